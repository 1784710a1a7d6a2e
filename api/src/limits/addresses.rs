//! The limit of a source address, for requests of which nobody knows whose they are: without a valid
//! key, or for an address that no route has. It holds before anybody looks who calls, so that guessing
//! costs the guesser and not the database.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use tokio::time::Instant;

use super::{
    Standing,
    bucket::{Bucket, Flow},
    headers::{is_told, write_standing},
};
use crate::{error::ApiError, middleware::SourceAddress};

/// How many such requests an address may make.
#[derive(Debug, Clone, Copy)]
pub struct AddressLimit {
    /// In a second.
    pub per_second: u32,
    /// At once, after it was quiet.
    pub burst: u32,
}

/// What each address has left, in this process.
#[derive(Debug)]
pub struct Addresses {
    flow: Flow,
    limit: AddressLimit,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

/// Addresses that are remembered. Beyond, those whose bucket is full again are forgotten, and if there
/// are none, all: somebody with so many addresses is not held up by any table.
const MOST: usize = 100_000;

impl Addresses {
    /// Every bucket is full.
    pub fn new(limit: AddressLimit) -> Self {
        Self {
            flow: Flow {
                per_second: f64::from(limit.per_second.max(1)),
                burst: f64::from(limit.burst.max(1)),
            },
            limit,
            buckets: Mutex::default(),
        }
    }

    /// Until the address may try again; absent = now.
    fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let wait = self.lock().get(&subscriber(address))?.wait(self.flow, now);
        (!wait.is_zero()).then_some(wait)
    }

    /// Charges the address for a request that nobody answers for.
    fn charge(&self, address: IpAddr, now: Instant) {
        let mut buckets = self.lock();
        if buckets.len() >= MOST {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= MOST {
                buckets.clear();
            }
        }
        let bucket = buckets
            .entry(subscriber(address))
            .or_insert_with(|| Bucket::full(now));
        // What was let in beside others may find nothing left to pay with.
        let _ = bucket.take(self.flow, now);
    }

    fn standing(&self, address: IpAddr, now: Instant) -> Standing {
        let buckets = self.lock();
        let bucket = buckets.get(&subscriber(address));
        let AddressLimit { per_second, burst } = self.limit;
        Standing {
            name: "address",
            quota: burst,
            window: Duration::from_secs(u64::from(burst.div_ceil(per_second.max(1)).max(1))),
            left: bucket.map_or(burst, |bucket| bucket.left(self.flow, now)),
            reset: bucket.map_or(Duration::ZERO, |bucket| {
                bucket.wait(self.flow, now).max(Duration::from_secs(1))
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Bucket>> {
        // Each bucket is whole between any two statements.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subscriber's addresses count as one: of IPv6 they usually have 2^64.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
    }
}

/// Refuses requests of an address that has none left, and charges it for those that nobody else is
/// charged for.
pub async fn limit_address<F: Future<Output = Response>>(
    addresses: Option<Arc<Addresses>>,
    req: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let (Some(addresses), Some(SourceAddress(address))) =
        (addresses, req.extensions().get().copied())
    else {
        return next(req).await;
    };
    let refused = addresses.wait(address, Instant::now());
    let mut response = match refused {
        Some(wait) => {
            metrics::counter!("unity_rate_limited_total", "limit" => "address").increment(1);
            ApiError::RateLimited {
                limit: "address",
                retry_after: wait,
            }
            .into_response()
        }
        None => next(req).await,
    };
    if !is_told(&response) {
        let now = Instant::now();
        let is_ours = response.status().is_server_error();
        if refused.is_none() && !is_ours {
            addresses.charge(address, now);
        }
        write_standing(&mut response, &[addresses.standing(address, now)]);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses::new(AddressLimit {
            per_second: 10,
            burst: 3,
        })
    }

    #[test]
    fn an_address_that_failed_too_often_waits_and_others_do_not() {
        let (addresses, now) = (addresses(), Instant::now());
        let [one, other]: [IpAddr; 2] =
            ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        for left in (0..3).rev() {
            assert_eq!(addresses.wait(one, now), None);
            addresses.charge(one, now);
            assert_eq!(addresses.standing(one, now).left, left);
        }
        let wait = addresses.wait(one, now).unwrap();
        assert_eq!(addresses.wait(other, now), None);
        assert_eq!(addresses.wait(one, now + wait), None);
    }

    #[test]
    fn ipv6_counts_by_the_first_half() {
        let of = |text: &str| subscriber(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::9"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn the_table_of_addresses_has_an_end() {
        let (addresses, now) = (addresses(), Instant::now());
        for number in 0..=u32::try_from(MOST).unwrap() {
            addresses.charge(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(addresses.lock().len() <= MOST);
    }
}
