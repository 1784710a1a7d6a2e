# syntax=docker/dockerfile:1

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
# Statements are checked against .sqlx: an image is built without a database.
ENV SQLX_OFFLINE=true CARGO_PROFILE_RELEASE_STRIP=debuginfo
COPY . .
# Crates and what was compiled of them stay in the builder's cache, so a change of our own code compiles
# our own code only. The binary must leave the cache, which is no part of the image.
RUN --mount=type=cache,id=unity-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=unity-target,target=/src/target,sharing=locked \
    cargo build --release --locked --package unity \
    && install -D --mode=0755 target/release/unity /out/unity

FROM debian:12.12-slim
# Certificates of public authorities, for servers that are reached with TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 unity \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/unity --shell /usr/sbin/nologin unity \
    && install -d --owner=10001 --group=10001 --mode=0700 /cluster /var/lib/unity
COPY --from=build /out/unity /usr/local/bin/unity
COPY LICENSE /usr/share/doc/unity/LICENSE
LABEL org.opencontainers.image.title="Unity" \
      org.opencontainers.image.description="Multi-tenant control plane for Kubernetes on a job queue" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number, so that a cluster can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/unity
# The API, and the port for operators that every process has.
EXPOSE 8080 9090
ENTRYPOINT ["unity"]
CMD ["--help"]
