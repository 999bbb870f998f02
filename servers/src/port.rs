//! Free ports on loopback.

use std::net::TcpListener;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ServerError;

// Below the kernel's ephemeral range, so that no outgoing connection takes a server's port while it is restarted.
const FIRST: u16 = 15_000;
const LAST: u16 = 31_999;

/// Returns a port that is free now and that this process gives out once.
pub(crate) fn free() -> Result<u16, ServerError> {
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let span = LAST - FIRST + 1;
    for _ in 0..span {
        let port = next.unwrap_or_else(|| start(span));
        *next = Some(if port == LAST { FIRST } else { port + 1 });
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(ServerError::NoPort { first: FIRST, last: LAST })
}

/// Processes begin at different places, so that two of them do not race for one port.
fn start(span: u16) -> u16 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.subsec_nanos());
    let mixed = (u64::from(std::process::id()) << 32 | u64::from(nanos)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    FIRST + u16::try_from(mixed % u64::from(span)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_out_twice() {
        let (one, two) = (free().unwrap(), free().unwrap());
        assert_ne!(one, two);
        assert!((FIRST..=LAST).contains(&one));
    }
}
