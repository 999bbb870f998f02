//! The kernel side at work in a test, and questions about what it told.

use std::time::{Duration, Instant};

use probe::kernel::event::{CgroupEvent, DatagramEvent, DropEvent, KernelCounters, KernelEvent, TcpChange, TcpEvent};
use probe::kernel::{HookState, Kernel, KernelOptions};

pub struct ProbeRun {
    pub kernel: Kernel,
    pub events: Vec<KernelEvent>,
}

impl ProbeRun {
    pub fn start() -> Self {
        Self::with(&KernelOptions::default())
    }

    pub fn with(options: &KernelOptions) -> Self {
        let (kernel, reports) = Kernel::start(options).unwrap();
        for report in reports {
            if let HookState::Refused(error) = report.state {
                panic!("hook {} refused: {error:?}", report.hook.name());
            }
        }
        Self { kernel, events: Vec::new() }
    }

    pub fn poll(&mut self) {
        while self.kernel.poll(|event| self.events.push(event)).more {}
    }

    /// Polls while `work` takes its time, so that the traffic of others cannot fill the rings meanwhile.
    pub fn during<T: Send>(&mut self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let working = scope.spawn(work);
            while !working.is_finished() {
                self.poll();
                std::thread::sleep(Duration::from_millis(10));
            }
            working.join().unwrap_or_else(|e| std::panic::resume_unwind(e))
        })
    }

    /// Polls until the events say what is expected. Fails after a time that a loaded machine needs.
    pub fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(15);
        loop {
            self.poll();
            if enough(self) {
                return;
            }
            assert!(Instant::now() < end, "never seen: {what}; {} events, {:#?}", self.events.len(), self.counters());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Polls on for a moment, to see that nothing more comes.
    pub fn settle(&mut self) {
        std::thread::sleep(Duration::from_millis(300));
        self.poll();
    }

    pub fn tcp(&self, netns: u32) -> Vec<&TcpEvent> {
        self.events
            .iter()
            .filter_map(|e| if let KernelEvent::Tcp(e) = e { Some(e) } else { None })
            .filter(|e| e.place.netns == netns)
            .collect()
    }

    pub fn tcp_ended(&self, netns: u32) -> Vec<&TcpEvent> {
        let ended = |e: &&TcpEvent| !matches!(e.change, TcpChange::Established | TcpChange::Stalled);
        self.tcp(netns).into_iter().filter(ended).collect()
    }

    pub fn datagrams(&self, netns: u32) -> Vec<&DatagramEvent> {
        self.events
            .iter()
            .filter_map(|e| if let KernelEvent::Datagram(e) = e { Some(e) } else { None })
            .filter(|e| e.place.netns == netns)
            .collect()
    }

    pub fn drops(&self, netns: u32) -> Vec<&DropEvent> {
        self.events
            .iter()
            .filter_map(|e| if let KernelEvent::Drop(e) = e { Some(e) } else { None })
            .filter(|e| e.netns == netns)
            .collect()
    }

    pub fn cgroups(&self) -> Vec<&CgroupEvent> {
        self.events.iter().filter_map(|e| if let KernelEvent::Cgroup(e) = e { Some(e) } else { None }).collect()
    }

    pub fn counters(&self) -> KernelCounters {
        self.kernel.counters().unwrap()
    }
}
