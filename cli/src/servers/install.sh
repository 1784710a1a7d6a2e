# Installs Debian packages without leaving a service behind that runs, or starts at the next boot.
# Run as root. Arguments: package:oldest-major-version ...
# Ends with 3 when a package's release here is too old, having said so.

set -u
export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

lock=/run/unity-install.lock
cluster_folder=/etc/postgresql-common/createcluster.d
cluster_file=$cluster_folder/unity-no-main-cluster.conf
policy=/usr/sbin/policy-rc.d
mark='# Written by unity for the time of an installation.'

packages=
for argument in "$@"; do
    packages="$packages ${argument%%:*}"
done

# One installation at a time: the second must not take away what the first relies on.
exec 9>"$lock"
flock 9

made_folder=
wrote_cluster_file=
wrote_policy=
clean_up() {
    [ -z "$wrote_cluster_file" ] || rm -f "$cluster_file"
    if [ -n "$made_folder" ]; then
        rmdir "$cluster_folder" 2>/dev/null
        rmdir "${cluster_folder%/*}" 2>/dev/null
    fi
    [ -z "$wrote_policy" ] || rm -f "$policy"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# postgresql-common makes a cluster called "main" unless it is told not to.
if [ ! -d "$cluster_folder" ]; then
    made_folder=yes
    mkdir -p "$cluster_folder"
fi
wrote_cluster_file=yes
echo 'create_main_cluster = false' >"$cluster_file"

# Packages start their services unless this file forbids it. An administrator's own stays as it is;
# one that a killed installation left is replaced. It forbids these services only, and only while
# this shell lives, so that even left behind it does no harm.
if [ ! -e "$policy" ] || grep -qsF "$mark" "$policy"; then
    wrote_policy=yes
    rm -f "$policy"
    cat >"$policy" <<END
#!/bin/sh
$mark
[ -d /proc/$$ ] || exit 0
case "\$*" in
    *postgresql*|*redis*) exit 101 ;;
esac
exit 0
END
    chmod 755 "$policy"
fi

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}
had_redis=
if is_installed redis-server; then
    had_redis=yes
fi

# An update fails for one dead source in a list of many, or while somebody else updates: the
# installation shows whether that matters.
apt-get -o DPkg::Lock::Timeout=300 update 9>&- || {
    sleep 5
    apt-get -o DPkg::Lock::Timeout=300 update 9>&-
}

for argument in "$@"; do
    package=${argument%%:*}
    oldest=${argument##*:}
    offered=$(apt-cache policy "$package" | sed -n 's/^  Candidate: //p')
    version=${offered#*:}
    major=${version%%[!0-9]*}
    if [ -n "$major" ] && [ "$major" -lt "$oldest" ]; then
        echo "$package is $offered here, and $oldest or newer is needed"
        exit 3
    fi
done

# Unquoted on purpose: a list of words.
apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $packages 9>&-
outcome=$?

if [ -z "$had_redis" ] && is_installed redis-server; then
    # Nobody asked for a Redis of the system. It started only where an own policy let it.
    [ -n "$wrote_policy" ] || service redis-server stop >/dev/null 2>&1 9>&-
    update-rc.d redis-server disable >/dev/null 2>&1
    if command -v systemctl >/dev/null; then
        systemctl disable redis-server.service >/dev/null 2>&1
    fi
fi
exit $outcome
