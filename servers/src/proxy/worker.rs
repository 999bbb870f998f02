//! A thread with a runtime of its own, for one proxy: it goes on while a test blocks, and ends with the proxy.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Ends the thread, and with it all connections, when dropped.
#[derive(Debug)]
pub(super) struct Worker {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Binds a free port of loopback, runs what `serve` makes of it, and returns the address.
pub(super) fn start<F>(serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> io::Result<(SocketAddr, Worker)>
where
    F: Future<Output = ()>,
{
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _guard = runtime.enter();
        TcpListener::from_std(socket)?
    };
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("fault-proxy".to_owned()).spawn(move || {
        runtime.block_on(async move {
            tokio::select! {
                () = serve(listener) => {}
                // The proxy was dropped.
                _ = stopped => {}
            }
        });
    })?;
    Ok((address, Worker { stop: Some(stop), thread: Some(thread) }))
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}
