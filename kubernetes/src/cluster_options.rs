//! What differs from cluster to cluster and changes the objects of every tenant on it.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use serde::Deserialize;

/// Facts about one cluster that the network policies of its tenants depend on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterOptions {
    /// The pods that may reach a tenant's exposed pods from outside. Default: pods labelled
    /// `app.kubernetes.io/name: ingress-nginx` in namespace `ingress-nginx`. `None`: nothing may.
    pub ingress_controller: Option<PodSource>,
    /// The pods that collect metrics. Default: pods labelled `app.kubernetes.io/name: prometheus`
    /// in namespace `monitoring`. `None`: no metrics are collected from tenants' pods.
    pub monitoring: Option<PodSource>,
    /// Name of the container port that [`monitoring`](Self::monitoring) may reach; pods that
    /// declare no port of this name stay closed to it. At most 15 characters. Default: `metrics`.
    pub metrics_port: String,
    /// The cluster's own networks (pods, services, nodes) where they lie outside the private
    /// ranges, which are always closed. Tenants' egress to the internet leaves them out too.
    /// Default: none.
    pub internal_networks: Vec<Cidr>,
    /// Address of a DNS cache on each node, where the cluster runs one (often 169.254.20.10).
    /// Default: `None`.
    pub node_local_dns: Option<IpAddr>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            ingress_controller: Some(PodSource::named("ingress-nginx", "ingress-nginx")),
            monitoring: Some(PodSource::named("monitoring", "prometheus")),
            metrics_port: "metrics".to_owned(),
            internal_networks: Vec::new(),
            node_local_dns: None,
        }
    }
}

/// Pods of one namespace that traffic may come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodSource {
    /// The namespace, found by the label `kubernetes.io/metadata.name`: the API server sets it,
    /// so nobody can give a namespace of theirs this name.
    pub namespace: String,
    /// Labels that all must match. Empty: every pod of the namespace.
    #[serde(default)]
    pub pod_labels: BTreeMap<String, String>,
}

impl PodSource {
    /// Pods in `namespace` that carry `app.kubernetes.io/name: {app}`.
    #[must_use]
    pub fn named(namespace: &str, app: &str) -> Self {
        let label = ("app.kubernetes.io/name".to_owned(), app.to_owned());
        Self {
            namespace: namespace.to_owned(),
            pod_labels: BTreeMap::from([label]),
        }
    }
}

/// A network such as `10.20.0.0/16`: an address without host bits and a prefix of at least one
/// bit, which is what an exception inside "the whole internet" must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a [`Cidr`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// Not `address/prefix`, or the prefix is 0 or longer than the address.
    #[error("must be an address, a slash and a prefix length of at least 1, as in 10.20.0.0/16")]
    Shape,
    /// Bits are set behind the prefix. Newer API servers refuse such a network.
    #[error("has bits set behind its prefix")]
    HostBits,
}

impl Cidr {
    /// Whether this is a network of IPv6 addresses.
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = text.split_once('/').ok_or(InvalidCidr::Shape)?;
        let address: IpAddr = address.parse().map_err(|_| InvalidCidr::Shape)?;
        let prefix: u8 = prefix.parse().map_err(|_| InvalidCidr::Shape)?;
        let (bits, length) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        if prefix == 0 || prefix > length {
            return Err(InvalidCidr::Shape);
        }
        // A prefix of at least 1 leaves at most 127 host bits, so the shift cannot overflow.
        let host_mask = (1_u128 << (length - prefix)) - 1;
        if bits & host_mask != 0 {
            return Err(InvalidCidr::HostBits);
        }
        Ok(Self { address, prefix })
    }
}

impl TryFrom<String> for Cidr {
    type Error = InvalidCidr;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_written_back_as_it_was_read() {
        for good in [
            "10.20.0.0/16",
            "203.0.113.7/32",
            "0.0.0.0/1",
            "2001:db8::/32",
            "::1/128",
        ] {
            assert_eq!(
                good.parse::<Cidr>().map(|cidr| cidr.to_string()),
                Ok(good.to_owned())
            );
        }
    }

    #[test]
    fn a_text_that_is_no_network_inside_the_internet_is_refused() {
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "0.0.0.0/0",
            "::/0",
            "a/8",
            "::/129",
        ] {
            assert_eq!(bad.parse::<Cidr>(), Err(InvalidCidr::Shape), "{bad}");
        }
        for bad in ["10.0.0.1/8", "2001:db8::1/64", "128.0.0.0/0"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn absent_options_take_their_defaults() {
        let options: ClusterOptions =
            serde_json::from_str(r#"{"internal_networks": ["203.0.113.0/24"]}"#).unwrap();
        let defaults = ClusterOptions::default();
        assert_eq!(options.ingress_controller, defaults.ingress_controller);
        assert_eq!(
            options.internal_networks,
            ["203.0.113.0/24".parse().unwrap()]
        );
    }
}
