//! The internet as network policies see it: every address that is not somebody's inside.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer};

use crate::cluster_options::Cidr;

/// Private, shared and link-local networks. Link-local holds 169.254.169.254, where clouds hand
/// out the node's credentials.
const INTERNAL_V4: [&str; 5] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
];

/// The same in IPv6 (clouds hand out credentials at `fd00:ec2::254` too), and the networks whose
/// addresses stand for IPv4 addresses, which would lead around the list above.
const INTERNAL_V6: [&str; 5] = [
    "fc00::/7",
    "fe80::/10",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2002::/16",
];

/// Both families without the internal networks, those of this cluster included.
pub(super) fn internet(of_this_cluster: &[Cidr]) -> Vec<NetworkPolicyPeer> {
    let outside = |everything: &str, internal: &[&str], is_ipv6: bool| {
        let own = of_this_cluster
            .iter()
            .filter(|cidr| cidr.is_ipv6() == is_ipv6);
        let except = internal
            .iter()
            .map(|&cidr| cidr.to_owned())
            .chain(own.map(Cidr::to_string));
        block(everything.to_owned(), Some(except.collect()))
    };
    vec![
        outside("0.0.0.0/0", &INTERNAL_V4, false),
        outside("::/0", &INTERNAL_V6, true),
    ]
}

/// One address.
pub(super) fn single_address(address: IpAddr) -> NetworkPolicyPeer {
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    block(format!("{address}/{prefix}"), None)
}

fn block(cidr: String, except: Option<Vec<String>>) -> NetworkPolicyPeer {
    let ip_block = Some(IPBlock { cidr, except });
    NetworkPolicyPeer {
        ip_block,
        ..NetworkPolicyPeer::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_is_a_network_inside_its_family() {
        for (cidrs, is_ipv6) in [(INTERNAL_V4, false), (INTERNAL_V6, true)] {
            for cidr in cidrs {
                assert_eq!(cidr.parse::<Cidr>().unwrap().is_ipv6(), is_ipv6, "{cidr}");
            }
        }
    }

    #[test]
    fn the_clusters_own_networks_are_left_out_of_their_family() {
        let own: Vec<Cidr> = ["203.0.113.0/24", "2001:db8::/32"]
            .iter()
            .map(|cidr| cidr.parse().unwrap())
            .collect();
        let except: Vec<Vec<String>> = internet(&own)
            .into_iter()
            .map(|peer| peer.ip_block.unwrap().except.unwrap())
            .collect();
        assert_eq!(except[0].last().unwrap(), "203.0.113.0/24");
        assert_eq!(except[1].last().unwrap(), "2001:db8::/32");
        assert_eq!((except[0].len(), except[1].len()), (6, 6));
    }
}
