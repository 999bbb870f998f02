//! What the packet filter of a namespace made of a connection's destination: original → translated.
//!
//! A socket knows where it wanted to go, a conntrack entry where its packets went (a Service's address → one of its
//! pods). Comes in: ctnetlink of one network namespace, the node's own. Goes out: [`Translation`] for each new
//! connection with a translated destination, and of all at once when asked. Optional: it needs CAP_NET_ADMIN, and
//! CAP_SYS_ADMIN where the namespace is not the caller's; and entries exist only where some rule uses conntrack.

mod message;

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use flow::Protocol;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};

use message::Answer;

/// Messages read in one look, so that a flood cannot hold the caller.
const MOST: usize = 4096;
/// 8 KiB is the most that ctnetlink puts into one datagram.
const DATAGRAM: usize = 16 << 10;
/// Room for some 20,000 events between two looks.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Bit of the multicast group of new connections (`NFNLGRP_CONNTRACK_NEW` is 1, counted from 1).
const GROUP_NEW: u32 = 1;

/// A connection whose destination was translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Translation {
    /// The protocol.
    pub protocol: Protocol,
    /// The end that began it.
    pub source: SocketAddr,
    /// Where it wanted to go.
    pub original: SocketAddr,
    /// Where its packets go.
    pub translated: SocketAddr,
}

/// Why translations cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConntrackError {
    /// The namespace could not be looked at or entered.
    #[error("cannot enter the network namespace {}", path.display())]
    Namespace {
        /// The namespace.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// No ctnetlink here, or no right to it.
    #[error("cannot open ctnetlink")]
    Open(#[source] io::Error),
    /// A question or its answer failed.
    #[error("cannot ask ctnetlink")]
    Ask(#[source] io::Error),
}

/// What one look at the events brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Translations handed to the sink.
    pub translations: usize,
    /// True if the kernel threw events away because nobody read them in time; [`Conntrack::dump`] brings them.
    pub overrun: bool,
    /// True if more events wait.
    pub more: bool,
}

/// An open ctnetlink of one namespace.
#[derive(Debug)]
pub struct Conntrack {
    events: OwnedFd,
    questions: OwnedFd,
    sequence: u32,
}

impl Conntrack {
    /// Opens ctnetlink in the namespace at `path`, such as `/proc/1/ns/net`, and listens from now on.
    ///
    /// # Errors
    /// Returns an error if the namespace cannot be entered or ctnetlink is not there or not permitted.
    pub fn open(path: &Path) -> Result<Self, ConntrackError> {
        let namespace = |error: io::Error| ConntrackError::Namespace { path: path.to_owned(), error };
        let wanted = fs::metadata(path).map_err(namespace)?;
        let own = fs::metadata("/proc/thread-self/ns/net").map_err(namespace)?;
        if (wanted.dev(), wanted.ino()) == (own.dev(), own.ino()) {
            return Self::open_here();
        }
        // A thread enters the namespace and ends; sockets stay where they were made.
        let inside = || {
            let file = File::open(path).map_err(namespace)?;
            setns(file, CloneFlags::CLONE_NEWNET).map_err(|e| namespace(e.into()))?;
            Self::open_here()
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|_| Err(namespace(io::Error::other("the thread that entered it failed"))))
    }

    fn open_here() -> Result<Self, ConntrackError> {
        let open = |groups: u32| -> Result<OwnedFd, Errno> {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
            Ok(fd)
        };
        let opened = |e: Errno| ConntrackError::Open(e.into());
        let events = open(GROUP_NEW).map_err(opened)?;
        // Beyond the system's limit only with a right that may be missing; then events are lost sooner and said so.
        if setsockopt(&events, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            tracing::debug!("ctnetlink keeps its usual receive buffer");
        }
        Ok(Self { events, questions: open(0).map_err(opened)?, sequence: 0 })
    }

    /// Hands the translations of connections begun since the last call to `sink`.
    ///
    /// # Errors
    /// Returns an error if reading fails for another reason than an overrun, which is told in the answer.
    pub fn poll(&mut self, mut sink: impl FnMut(Translation)) -> Result<Heard, ConntrackError> {
        let mut heard = Heard::default();
        let mut buffer = [0; DATAGRAM];
        for _ in 0..MOST {
            match recv(self.events.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => message::read(&buffer[..length], |answer| {
                    if let Answer::Connection(Some(translation)) = answer {
                        heard.translations += 1;
                        sink(translation);
                    }
                }),
                Err(Errno::EAGAIN) => return Ok(heard),
                Err(Errno::ENOBUFS) => heard.overrun = true,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(ConntrackError::Ask(error.into())),
            }
        }
        heard.more = true;
        Ok(heard)
    }

    /// Hands the translations of all connections that are tracked now to `sink`: those older than the probe, and those
    /// whose events were lost.
    ///
    /// # Errors
    /// Returns an error if asking fails.
    pub fn dump(&mut self, mut sink: impl FnMut(Translation)) -> Result<(), ConntrackError> {
        self.sequence = self.sequence.wrapping_add(1);
        let failed = |error: Errno| ConntrackError::Ask(error.into());
        let mut buffer = [0; DATAGRAM];
        // What a dump that failed half-way left over must not pass for this one's.
        while recv(self.questions.as_raw_fd(), &mut buffer, MsgFlags::empty()).is_ok() {}
        send(self.questions.as_raw_fd(), &message::question(self.sequence), MsgFlags::empty()).map_err(failed)?;
        // The kernel writes each part as the one before is read, so that none has to be waited for.
        let mut end = None;
        while end.is_none() {
            let length = match recv(self.questions.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                answer => answer.map_err(failed)?,
            };
            message::read(&buffer[..length], |answer| match answer {
                Answer::Connection(Some(translation)) => sink(translation),
                Answer::Connection(None) => {}
                Answer::Done => end = Some(Ok(())),
                Answer::Failed(errno) => {
                    end = Some(Err(ConntrackError::Ask(io::Error::from_raw_os_error(errno))));
                }
            });
        }
        end.unwrap_or(Ok(()))
    }
}
