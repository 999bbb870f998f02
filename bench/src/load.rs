//! The load: connect, 128 B there, 1 KiB back, orderly close, as fast as it goes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use clap::Args;
use lab::netns;
use serde::{Deserialize, Serialize};

use crate::contender;
use crate::measured::own_cpu;
use crate::network::{Network, address};
use crate::report::say;

const REQUEST_BYTES: usize = 128;
const ANSWER_BYTES: usize = 1024;
/// As many as the machine of the goals has CPUs.
const CLIENTS: u64 = 2;

/// How the connections are spread.
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// Namespace of the clients
    #[arg(long)]
    client: String,
    /// Namespace of the servers
    #[arg(long)]
    server: String,
    /// How many connections to make
    #[arg(long)]
    connections: u64,
    /// To how many addresses
    #[arg(long)]
    addresses: u32,
    /// To how many ports of each address
    #[arg(long)]
    ports: u32,
}

/// What the load took: both ends, client and server, in one process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Connections made, each answered in full and closed in order.
    pub(crate) connections: u64,
    /// CPU time of both ends.
    pub(crate) cpu_us: u64,
    /// From the first connection to the last close.
    pub(crate) wall_us: u64,
}

impl Load {
    /// Describes a load on a network.
    pub(crate) fn on(network: &Network, connections: u64, addresses: u32, ports: u32) -> Self {
        let (client, server) = (network.client.name.clone(), network.server.name.clone());
        Self { client, server, connections, addresses, ports }
    }

    /// Runs it as a process of its own. `meanwhile` is called every few milliseconds.
    pub(crate) fn make(&self, meanwhile: impl FnMut()) -> anyhow::Result<Done> {
        let arguments = [
            ("--client", self.client.clone()),
            ("--server", self.server.clone()),
            ("--connections", self.connections.to_string()),
            ("--addresses", self.addresses.to_string()),
            ("--ports", self.ports.to_string()),
        ];
        let arguments: Vec<String> = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        let (done, _) = contender::answer::<Done>(contender::start("load", &arguments)?, meanwhile)
            .context("cannot make connections")?;
        if done.connections != self.connections {
            return Err(anyhow!("{} of {} connections were made", done.connections, self.connections));
        }
        Ok(done)
    }

    /// Runs it in this process.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let listeners = self.listen()?;
        let places = self.places(&listeners)?;
        let (begun, cpu) = (Instant::now(), own_cpu());
        let servers: Vec<_> = listeners
            .into_iter()
            .enumerate()
            .map(|(at, listener)| {
                let turns = turns_of(at as u64, self.ports.into(), self.connections);
                thread::spawn(move || serve(&listener, turns))
            })
            .collect();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|first| {
                let (namespace, places, connections) = (self.client.clone(), places.clone(), self.connections);
                thread::spawn(move || {
                    netns::enter(&namespace)?;
                    knock(&places, first, connections)
                })
            })
            .collect();
        // If a client fails, its servers wait for ever; the end of the process ends them.
        let connections = clients.into_iter().map(joined).sum::<anyhow::Result<u64>>()?;
        servers.into_iter().try_for_each(joined)?;
        let (cpu, wall) = (own_cpu().saturating_sub(cpu), begun.elapsed());
        let (cpu_us, wall_us) = (u64::try_from(cpu.as_micros())?, u64::try_from(wall.as_micros())?);
        say(&serde_json::to_string(&Done { connections, cpu_us, wall_us })?);
        Ok(())
    }

    fn listen(&self) -> anyhow::Result<Vec<TcpListener>> {
        let (namespace, ports) = (self.server.clone(), self.ports);
        joined(thread::spawn(move || {
            netns::enter(&namespace)?;
            let listen = || TcpListener::bind(("0.0.0.0", 0)).context("cannot listen");
            (0..ports).map(|_| listen()).collect()
        }))
    }

    /// Lists where to connect to: all ports of the first address, then of the next.
    fn places(&self, listeners: &[TcpListener]) -> anyhow::Result<Vec<SocketAddr>> {
        let mut places = Vec::new();
        for n in 1..=self.addresses {
            let ip = address(n, "").parse().context("no address")?;
            for listener in listeners {
                places.push(SocketAddr::new(ip, listener.local_addr()?.port()));
            }
        }
        Ok(places)
    }
}

/// Returns how many of the connections `0..connections` fall to place `at` of `places` that take turns.
fn turns_of(at: u64, places: u64, connections: u64) -> u64 {
    connections / places + u64::from(at < connections % places)
}

fn serve(listener: &TcpListener, turns: u64) -> anyhow::Result<()> {
    let (mut request, answer) = ([0; REQUEST_BYTES], [b'a'; ANSWER_BYTES]);
    for _ in 0..turns {
        let (mut stream, _) = listener.accept().context("cannot accept")?;
        stream.read_exact(&mut request).context("cannot read the request")?;
        stream.write_all(&answer).context("cannot answer")?;
        // The client closes first, as it should: its end, not the server's, then waits for late packets.
        anyhow::ensure!(
            stream.read(&mut request).context("the client did not close in order")? == 0,
            "more than asked"
        );
    }
    Ok(())
}

fn knock(places: &[SocketAddr], first: u64, connections: u64) -> anyhow::Result<u64> {
    let (request, mut answer) = ([b'r'; REQUEST_BYTES], [0; ANSWER_BYTES]);
    let mut done = 0;
    let mine = (first..connections).step_by(usize::try_from(CLIENTS)?);
    for number in mine {
        let place = places[usize::try_from(number % places.len() as u64)?];
        let mut stream = TcpStream::connect(place).with_context(|| format!("cannot connect to {place}"))?;
        stream.write_all(&request).context("cannot ask")?;
        stream.read_exact(&mut answer).context("cannot read the answer")?;
        done += 1;
    }
    Ok(done)
}

fn joined<T>(thread: JoinHandle<anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().map_err(|_| anyhow!("a thread broke off"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_falls_to_one_server() {
        for (places, connections) in [(1, 5), (8, 7), (8, 8), (8, 1001), (3, 0)] {
            let sum: u64 = (0..places).map(|at| turns_of(at, places, connections)).sum();
            assert_eq!(sum, connections, "{places} servers");
            let taken = (0..connections).filter(|number| number % places == 0).count() as u64;
            assert_eq!(turns_of(0, places, connections), taken);
        }
    }
}
