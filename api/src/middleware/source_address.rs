//! Where a request comes from.
//!
//! Anybody can write `X-Forwarded-For`. It is believed only from proxies that the operator named, and
//! of it only the right-most address that is not such a proxy: that one was written by a proxy of
//! ours about its own peer, what is left of it by whoever.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, request::Parts},
};
use unity_shared::config::Network;

use crate::{error::ApiError, serve::PeerAddress};

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceAddress(pub IpAddr);

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Puts the address where handlers find it. A request that came on no connection has none.
pub fn find_source_address(proxies: &[Network], mut req: Request) -> Request {
    if let Some(PeerAddress(peer)) = req.extensions().get().copied() {
        let address = source_of(peer, req.headers(), proxies);
        req.extensions_mut().insert(SourceAddress(address));
    }
    req
}

impl<S: Send + Sync> FromRequestParts<S> for SourceAddress {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get()
            .copied()
            .ok_or_else(|| ApiError::Defect("a request comes from nowhere".to_owned()))
    }
}

fn source_of(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut nearest = peer.to_canonical();
    if !is_proxy(nearest) {
        return nearest;
    }
    // Several headers are one list, in their order.
    let values = headers.get_all(FORWARDED_FOR).iter();
    let stated: Vec<&str> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for text in stated.into_iter().rev() {
        let Some(address) = read(text.trim()) else {
            // What a proxy of ours passes on is no address: nothing left of it can be believed.
            return nearest;
        };
        nearest = address;
        if !is_proxy(nearest) {
            return nearest;
        }
    }
    nearest
}

/// An address, with or without a port.
fn read(text: &str) -> Option<IpAddr> {
    let address = IpAddr::from_str(text)
        .or_else(|_| SocketAddr::from_str(text).map(|socket| socket.ip()))
        .ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(peer: &str, forwarded: &[&str]) -> String {
        let proxies: Vec<Network> = ["10.0.0.0/8", "fd00::/8"]
            .map(|text| text.parse().unwrap())
            .into();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        source_of(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn a_header_is_believed_from_a_named_proxy_only() {
        assert_eq!(source("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(source("10.1.2.3", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(source("::ffff:10.1.2.3", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(source("fd00::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(source("10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn of_a_list_the_right_most_address_that_is_no_proxy_counts() {
        assert_eq!(
            source("10.1.2.3", &["1.1.1.1, 198.51.100.7, 10.9.9.9"]),
            "198.51.100.7"
        );
        assert_eq!(
            source("10.1.2.3", &["1.1.1.1", "198.51.100.7:4711"]),
            "198.51.100.7"
        );
        assert_eq!(source("10.1.2.3", &["1.1.1.1, garbage"]), "10.1.2.3");
        assert_eq!(source("10.1.2.3", &["1.1.1.1, , 10.9.9.9"]), "10.9.9.9");
        assert_eq!(source("10.1.2.3", &["10.5.5.5, 10.9.9.9"]), "10.5.5.5");
    }
}
