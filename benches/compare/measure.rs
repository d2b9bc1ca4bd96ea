//! The measurements: each starts a fresh relay, drives it, and ends it.
//!
//! A figure is one number of one run; medians and verdicts are made in `table`. Rates count whole messages over the time
//! from the start of the generator, so that its own start and the relay's first connections are in it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::gauge;
use crate::load::{self, Client, Load};
use crate::relay::{Kind, Relay, Way};
use crate::support::ports::Reserved;
use crate::table::{Figures, Metric};
use crate::upstream::Upstream;

/// How long the last message of a run may take to the upstream.
const DELIVERED_LIMIT: Duration = Duration::from_secs(240);
/// Messages before the measured ones, so that processes and connections are there.
const WARM_UP: u32 = 256;
/// A line of a fast home or office to a provider, there and back.
const LATENCY: Duration = Duration::from_millis(30);
/// Between two looks at memory under load. Postfix has over 100 processes to look at, and a look costs time.
const SAMPLE: Duration = Duration::from_millis(250);
/// The big message of the last measurement.
const BIG: usize = 50 * 1024 * 1024;

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Divides all counts.
    pub(crate) divisor: u32,
    /// Whether the upstream port starts in plaintext with STARTTLS.
    pub(crate) starttls: bool,
}

impl Scale {
    /// Counts are such that a run takes some seconds with each relay; the faster one needs more messages for that.
    fn messages(self, kind: Kind, yizhan: u32, postfix: u32) -> u32 {
        let count = if kind == Kind::Yizhan { yizhan } else { postfix };
        (count / self.divisor).max(200)
    }
}

/// What a measurement needs.
pub(crate) struct Bench<'a> {
    pub(crate) upstream: &'a mut Upstream,
    pub(crate) scale: Scale,
    pub(crate) figures: &'a mut Figures,
}

type Done = anyhow::Result<()>;

impl Bench<'_> {
    fn way(&self) -> Way {
        let port = if self.scale.starttls { self.upstream.plain() } else { self.upstream.implicit() };
        Way { port, starttls: self.scale.starttls, ca: self.upstream.ca_file().to_owned() }
    }

    fn start(&mut self, kind: Kind, way: &Way) -> anyhow::Result<Relay> {
        let relay = Relay::start(kind, way)?;
        self.figures.add(kind, Metric::Ready, relay.ready().as_secs_f64() * 1000.0);
        Ok(relay)
    }

    /// How fast mail is taken and made safe when nothing can go out.
    pub(crate) fn accept(&mut self, kind: Kind, kept: bool) -> Done {
        // A port where nobody listens: connections are refused at once.
        let way = Way { port: Reserved::new().release(), ..self.way() };
        let relay = self.start(kind, &way)?;
        let count =
            if kept { self.scale.messages(kind, 40_000, 4_000) } else { self.scale.messages(kind, 20_000, 2_500) };
        load::send(Load::new(WARM_UP, kept), relay.port()).with_context(|| relay.log())?;
        let elapsed = load::send(Load::new(count, kept), relay.port()).with_context(|| relay.log())?;
        let metric = if kept { Metric::AcceptKept } else { Metric::AcceptEach };
        self.figures.add(kind, metric, f64::from(count) / elapsed.as_secs_f64());
        Ok(())
    }

    /// From the client to the upstream, with log-ins and processor time.
    pub(crate) fn end_to_end(&mut self, kind: Kind, far: bool) -> Done {
        let delay = if far { LATENCY } else { Duration::ZERO };
        let way = self.way();
        let relay = self.start(kind, &way)?;
        let count = if far { self.scale.messages(kind, 4_000, 900) } else { self.scale.messages(kind, 20_000, 2_000) };
        self.upstream.reset(delay)?;
        load::send(Load::new(WARM_UP, true), relay.port()).with_context(|| relay.log())?;
        self.upstream.wait(WARM_UP.into(), DELIVERED_LIMIT).with_context(|| relay.log())?;
        self.upstream.reset(delay)?;
        let (begin, used) = (load::now(), gauge::processor(relay.pid()));
        load::send(Load::new(count, true), relay.port()).with_context(|| relay.log())?;
        let counted = self.upstream.wait(count.into(), DELIVERED_LIMIT).with_context(|| relay.log())?;
        let used = gauge::processor(relay.pid()) - used;
        let rate = f64::from(count) / (counted.last.saturating_sub(begin) as f64 / 1e9);
        if far {
            self.figures.add(kind, Metric::EndToEndFar, rate);
            return Ok(());
        }
        let thousands = f64::from(count) / 1000.0;
        self.figures.add(kind, Metric::EndToEnd, rate);
        self.figures.add(kind, Metric::Logins, counted.logins as f64 / thousands);
        self.figures.add(kind, Metric::Connections, counted.connections as f64 / thousands);
        self.figures.add(kind, Metric::Processor, used / thousands);
        Ok(())
    }

    /// Memory at rest, and the most under the end-to-end load.
    pub(crate) fn memory(&mut self, kind: Kind) -> Done {
        let way = self.way();
        let relay = self.start(kind, &way)?;
        thread::sleep(Duration::from_secs(1));
        self.figures.add(kind, Metric::Idle, gauge::memory(relay.pid()));
        self.upstream.reset(Duration::ZERO)?;
        let count = self.scale.messages(kind, 20_000, 2_000);
        let watch = Watch::start(relay.pid(), SAMPLE);
        load::send(Load::new(count, true), relay.port()).with_context(|| relay.log())?;
        self.upstream.wait(count.into(), DELIVERED_LIMIT).with_context(|| relay.log())?;
        let (peak, processes) = watch.stop();
        self.figures.add(kind, Metric::Peak, peak);
        self.figures.add(kind, Metric::Processes, processes as f64);
        Ok(())
    }

    /// From the 250 at the client to the final dot at the upstream, one message at a time.
    pub(crate) fn latency(&mut self, kind: Kind) -> Done {
        let way = self.way();
        let relay = self.start(kind, &way)?;
        self.upstream.reset(Duration::ZERO)?;
        let mut client = Client::connect(relay.port())?;
        let (warm, count) = (5, 60);
        let mut accepted = Vec::new();
        for sent in 1..=warm + count {
            accepted.push(client.send()?);
            self.upstream.wait(sent, DELIVERED_LIMIT).with_context(|| relay.log())?;
            thread::sleep(Duration::from_millis(20));
        }
        let pairs = accepted.iter().zip(self.upstream.times()?).skip(warm as usize);
        // The upstream may have it before the client has read its 250: that is no time at all.
        let mut waits: Vec<f64> =
            pairs.map(|(&accepted, arrived)| arrived.saturating_sub(accepted) as f64 / 1e6).collect();
        waits.sort_by(f64::total_cmp);
        self.figures.add(kind, Metric::DotP50, waits[waits.len() / 2]);
        self.figures.add(kind, Metric::DotP99, waits[waits.len() * 99 / 100]);
        Ok(())
    }

    /// What one message of 50 MiB adds to a warm relay's memory.
    pub(crate) fn big(&mut self, kind: Kind) -> Done {
        let way = self.way();
        let relay = self.start(kind, &way)?;
        self.upstream.reset(Duration::ZERO)?;
        let small = Load { sessions: 1, ..Load::new(10, true) };
        load::send(small, relay.port()).with_context(|| relay.log())?;
        self.upstream.wait(10, DELIVERED_LIMIT).with_context(|| relay.log())?;
        let before = gauge::memory(relay.pid());
        let watch = Watch::start(relay.pid(), Duration::from_millis(10));
        let one = Load { messages: 1, kept: true, sessions: 1, size: BIG };
        load::send(one, relay.port()).with_context(|| relay.log())?;
        self.upstream.wait(11, DELIVERED_LIMIT).with_context(|| relay.log())?;
        self.figures.add(kind, Metric::Big, (watch.stop().0 - before).max(0.0));
        Ok(())
    }

    /// What the generator and the sink reach without a relay between them.
    pub(crate) fn ceiling(&mut self) -> anyhow::Result<(f64, f64)> {
        self.upstream.reset(Duration::ZERO)?;
        let rate = |kept, count: u32, port| -> anyhow::Result<f64> {
            Ok(f64::from(count) / load::send(Load::new(count, kept), port)?.as_secs_f64())
        };
        let (kept, each) = (80_000 / self.scale.divisor, 30_000 / self.scale.divisor);
        Ok((rate(true, kept, self.upstream.plain())?, rate(false, each, self.upstream.plain())?))
    }
}

/// Looks at a relay's memory again and again until it is told to stop.
struct Watch {
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<(f64, usize)>,
}

impl Watch {
    fn start(pid: u32, pause: Duration) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let over = over.clone();
            move || {
                let (mut peak, mut processes) = (0.0f64, 0);
                loop {
                    let last = over.load(Ordering::Relaxed);
                    peak = peak.max(gauge::memory(pid));
                    processes = processes.max(gauge::processes(pid));
                    if last {
                        return (peak, processes);
                    }
                    thread::sleep(pause);
                }
            }
        });
        Self { over, thread }
    }

    fn stop(self) -> (f64, usize) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watch only reads /proc")
    }
}

/// The processor, the kernel and the disk that the figures were made on.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores of {}, Linux {}", model.map_or("an unknown processor", |(_, name)| name), kernel.trim())
}
