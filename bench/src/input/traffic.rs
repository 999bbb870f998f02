//! The traffic: pairs of pods that talk, and the raw records that the probes of their nodes would write.

use flow::{
    Counters, Destination, Identity, LocalIdentity, Outcome, Process, Protocol, RawFlow, Reporter, Stream,
    TcpStatistics, UnixMs,
};

use super::cluster::Cluster;
use super::random::Random;

/// The streams of all records begin here.
const EPOCH: u64 = 1_767_600_000_000;
const WINDOW_MS: u64 = 15_000;

/// Two pods that talk, by index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    /// Who begins.
    pub(crate) source: usize,
    /// Who answers.
    pub(crate) dest: usize,
}

/// Chooses pairs of different pods.
pub(crate) fn pairs(cluster: &Cluster, count: usize, random: &mut Random) -> Vec<Pair> {
    let pods = cluster.pods.len();
    let pair = |random: &mut Random| {
        let source = random.index(pods);
        Pair { source, dest: (source + 1 + random.skewed(pods - 1)) % pods }
    };
    (0..count).map(|_| pair(random)).collect()
}

/// Makes a record of a pair, told by the one end or the other, one in ten of refused connections.
///
/// # Errors
/// None that can come: all names are names of nodes.
pub(crate) fn record(
    cluster: &Cluster,
    pair: &Pair,
    end_time: UnixMs,
    next_seq: &mut [u64],
    random: &mut Random,
) -> anyhow::Result<RawFlow> {
    let (source, dest) = (&cluster.pods[pair.source], &cluster.pods[pair.dest]);
    let (reporter, local) = if random.below(2) == 0 { (Reporter::Src, source) } else { (Reporter::Dst, dest) };
    let outcome = if random.below(10) == 0 { Outcome::Refused } else { Outcome::Established };
    let answered = outcome == Outcome::Established;
    let flows = 1 + random.below(20);
    let to = Destination { ip: dest.ip.into(), port: Some(dest.port) };
    let seq = next_seq[local.node];
    next_seq[local.node] += 1;
    let start_time = UnixMs(end_time.0 - WINDOW_MS);
    let mut source_ports: Vec<u16> =
        (0..flows.min(8)).map(|_| 32_768 + u16::try_from(random.below(28_000)).unwrap_or(0)).collect();
    source_ports.sort_unstable();
    source_ports.dedup();
    Ok(RawFlow {
        stream: Stream::new("bench", &cluster.nodes[local.node], EPOCH)?,
        seq,
        start_time,
        end_time,
        reporter,
        initiator_known: true,
        protocol: Protocol::TCP,
        source_ip: source.ip.into(),
        source_port: None,
        source_ports,
        translated: Some(to),
        original: (reporter == Reporter::Src).then_some(to),
        local: LocalIdentity {
            identity: Identity::Cgroup,
            pod_uid: Some(local.uid.clone()),
            container_id: Some(local.container.clone()),
            netns: local.netns,
        },
        outcome,
        drop_reason: None,
        process: Some(Process { name: "server".to_owned(), pid: Some(local.netns & 0xffff), names: 1, pids: 1 }),
        icmp_type: None,
        icmp_code: None,
        counters: Counters {
            bytes_in: if answered { flows * (100 + random.below(100_000)) } else { 0 },
            bytes_out: if answered { flows * (100 + random.below(10_000)) } else { 0 },
            packets_in: flows * (1 + random.below(50)),
            packets_out: flows * (1 + random.below(50)),
            flows,
            flows_started: flows,
            flows_completed: if answered { flows } else { 0 },
            flows_aborted: 0,
        },
        tcp: answered.then(|| statistics(random)),
        oldest_start: start_time,
        newest_start: UnixMs(end_time.0 - random.below(WINDOW_MS)),
    })
}

fn statistics(random: &mut Random) -> TcpStatistics {
    let rtt = 50 + random.below(2_000);
    TcpStatistics {
        mean_send_congestion_window: 10,
        min_send_congestion_window: 10,
        mean_smooth_rtt_us: rtt,
        max_smooth_rtt_us: rtt * 2,
        mean_min_rtt_us: rtt / 2,
        max_min_rtt_us: rtt,
        mean_mss: 1_448,
        min_mss: 536,
        retransmissions: random.below(3),
        lost_packets: random.below(2),
        unrecovered_timeouts: 0,
    }
}
