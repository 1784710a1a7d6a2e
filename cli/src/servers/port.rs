//! Free ports on the loopback interface. Between choosing a port and the server's bind somebody
//! else may take it, so a start is tried again on another port when the server says so.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use super::child::Server;
use super::error::ServersError;

const ATTEMPTS: usize = 5;

/// A port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Calls `start` with a port of `choose`, and again with another one while it fails because the
/// address is in use.
pub(super) fn start_on_free_port<T>(
    server: Server,
    choose: &mut dyn FnMut() -> io::Result<u16>,
    mut start: impl FnMut(u16) -> Result<T, ServersError>,
) -> Result<T, ServersError> {
    for _ in 0..ATTEMPTS {
        let port = choose().map_err(|source| ServersError::NoFreePort { server, source })?;
        match start(port) {
            Err(ServersError::EndedEarly { tail, .. }) if says_address_in_use(&tail) => {}
            outcome => return outcome,
        }
    }
    Err(ServersError::NoFreePort {
        server,
        source: io::ErrorKind::AddrInUse.into(),
    })
}

// The servers run with `LC_ALL=C`, so that the system's own text comes in English.
fn says_address_in_use(log: &str) -> bool {
    log.contains("Address already in use")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn ended(tail: &str) -> ServersError {
        ServersError::EndedEarly {
            server: Server::Redis,
            status: ExitStatus::from_raw(256),
            log: "redis.log".into(),
            tail: tail.to_owned(),
        }
    }

    #[test]
    fn only_an_address_in_use_is_tried_again() {
        let mut tried = Vec::new();
        let port = start_on_free_port(Server::Redis, &mut free_port, |port| {
            tried.push(port);
            if tried.len() < 3 {
                return Err(ended("bind: Address already in use"));
            }
            Ok(port)
        });
        assert_eq!(tried.len(), 3);
        assert_eq!(port.ok(), tried.last().copied());

        let mut calls = 0;
        let outcome = start_on_free_port(Server::Redis, &mut free_port, |_| {
            calls += 1;
            Err::<(), _>(ended("out of memory"))
        });
        assert!(matches!(outcome, Err(ServersError::EndedEarly { .. })));
        assert_eq!(calls, 1);
    }

    #[test]
    fn attempts_end_when_every_port_is_taken() {
        let outcome = start_on_free_port(Server::Redis, &mut free_port, |_| {
            Err::<(), _>(ended("bind: Address already in use"))
        });
        assert!(matches!(outcome, Err(ServersError::NoFreePort { .. })));
    }
}
