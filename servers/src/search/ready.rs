//! Knocking at a node: one request in plain text, or through `openssl s_client` where TLS is on.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Secured;

const LIMIT: Duration = Duration::from_secs(5);

/// Where to knock, and how to get in.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) secured: Option<Secured>,
}

impl Door {
    /// Returns true if the node takes requests and has its cluster state.
    pub(super) fn answers(&self) -> bool {
        let answer = match &self.secured {
            None => self.plain(),
            Some(secured) => self.tls(secured),
        };
        answer.is_ok_and(|answer| is_ok(&answer))
    }

    fn plain(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(request("").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn tls(&self, secured: &Secured) -> io::Result<String> {
        // Ask only when somebody listens: starting openssl many times a second would slow the node down.
        drop(TcpStream::connect_timeout(&self.address, LIMIT)?);
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-connect", &self.address.to_string(), "-CAfile"])
            .arg(&secured.ca)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let credentials = base64(format!("{}:{}", secured.user, secured.password.reveal()).as_bytes());
        let stdin = child.stdin.take();
        if let Some(stdin) = &stdin {
            let mut stdin = stdin;
            stdin.write_all(request(&format!("Authorization: Basic {credentials}\r\n")).as_bytes())?;
        }
        // The node closes after its answer, which ends openssl; closing its input earlier would, too.
        let output = child.wait_with_output()?;
        drop(stdin);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The health of the cluster: it comes with the cluster state, later than the first page.
fn request(header: &str) -> String {
    format!("GET /_cluster/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n")
}

fn is_ok(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200") && (answer.contains("\"green\"") || answer.contains("\"yellow\""))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain([&0; 2]).take(3).fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        for position in 0..4 {
            let index = (group >> (18 - 6 * position)) & 0x3f;
            text.push(if position <= chunk.len() { char::from(LETTERS[index as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_each_remainder() {
        assert_eq!(base64(b"admin:admin"), "YWRtaW46YWRtaW4=");
        assert_eq!(base64(b"abc"), "YWJj");
        assert_eq!(base64(b"a"), "YQ==");
        assert_eq!(base64(b""), "");
    }

    #[test]
    fn only_a_healthy_cluster_is_ready() {
        assert!(is_ok("HTTP/1.1 200 OK\r\n\r\n{\"status\":\"green\"}"));
        assert!(!is_ok("HTTP/1.1 200 OK\r\n\r\n{\"status\":\"red\"}"));
        assert!(!is_ok("HTTP/1.1 503 Service Unavailable\r\n\r\n{}"));
        assert!(!is_ok(""));
    }
}
