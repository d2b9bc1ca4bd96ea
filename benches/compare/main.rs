//! `cargo bench --bench compare`: this relay and Debian's Postfix, side by side on this machine.
//!
//! Load comes from Postfix's `smtp-source` (64 sessions, 4 KiB messages), mail goes to a counting sink of ours over
//! verified TLS with a log-in. Runs are interleaved and medians are shown, because absolute figures drift with the
//! machine; ratios of one run are what can be compared. Not a test: nothing fails when a goal is missed, the table says so.
//!
//! ```text
//! cargo bench --bench compare                        three runs of everything, some ten minutes
//! cargo bench --bench compare -- --quick             one run with a quarter of the messages
//! cargo bench --bench compare -- --only e2e,far      some measurements: kept each e2e far memory latency big ceiling
//! cargo bench --bench compare -- --relays yizhan     some relays: yizhan postfix reuse
//! cargo bench --bench compare -- --starttls          the upstream's port starts in plaintext
//! YIZHAN_BIN=/path/to/yizhan cargo bench ...         another binary
//! ```
//!
//! Without Postfix (or root, which it needs) only Yizhan is measured; without `smtp-source` only what needs no load.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is the product; progress goes beside it")]

mod gauge;
mod load;
mod measure;
mod relay;
mod sink;
mod support;
mod table;
mod upstream;

use std::path::Path;

use measure::{Bench, Scale};
use relay::Kind;
use table::{Figures, number};
use upstream::Upstream;

/// What the command line asks for.
struct Plan {
    runs: u32,
    scale: Scale,
    only: Vec<String>,
    relays: Vec<Kind>,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, certificate, key] = arguments.as_slice()
        && role == sink::ROLE
    {
        return sink::run(Path::new(certificate), Path::new(key));
    }
    let plan = plan(&arguments)?;
    let mut figures = Figures::default();
    let mut upstream = Upstream::start()?;
    let mut bench = Bench { upstream: &mut upstream, scale: plan.scale, figures: &mut figures };
    let ceiling = measure_all(&plan, &mut bench);
    println!("{}\n\n{}", measure::machine(), figures.table());
    if let Some((kept, each)) = ceiling {
        let (kept, each) = (number(kept), number(each));
        println!("Generator straight into the sink, plaintext: {kept}/s kept, {each}/s with a connection per message.");
    }
    Ok(())
}

fn plan(arguments: &[String]) -> anyhow::Result<Plan> {
    let mut plan = Plan { runs: 3, scale: Scale { divisor: 1, starttls: false }, only: Vec::new(), relays: Vec::new() };
    let mut rest = arguments.iter();
    let mut relays = vec![Kind::Yizhan, Kind::Postfix, Kind::PostfixReuse];
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            // Cargo says this to every benchmark.
            "--bench" => {}
            "--quick" => (plan.runs, plan.scale.divisor) = (1, 4),
            "--starttls" => plan.scale.starttls = true,
            "--only" => {
                plan.only = rest.next().into_iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
            }
            "--relays" => {
                let list: Vec<&str> = rest.next().into_iter().flat_map(|list| list.split(',')).collect();
                let word = |kind: &Kind| match kind {
                    Kind::Yizhan => "yizhan",
                    Kind::Postfix => "postfix",
                    Kind::PostfixReuse => "reuse",
                };
                relays.retain(|kind| list.contains(&word(kind)));
            }
            other => anyhow::bail!("{other} is not known; see the top of benches/compare/main.rs"),
        }
    }
    for kind in relays {
        match kind.is_there() {
            Ok(()) => plan.relays.push(kind),
            Err(reason) => eprintln!("{} is left out: {reason}", kind.name()),
        }
    }
    if let Err(reason) = load::is_there() {
        eprintln!("only the time of one message is measured: {reason}");
        plan.only = vec!["latency".to_owned()];
    }
    Ok(plan)
}

/// One measurement of one relay.
type Step = fn(&mut Bench<'_>, Kind) -> anyhow::Result<()>;

const STEPS: &[(&str, Step)] = &[
    ("kept", |bench, kind| bench.accept(kind, true)),
    ("each", |bench, kind| bench.accept(kind, false)),
    ("e2e", |bench, kind| bench.end_to_end(kind, false)),
    ("far", |bench, kind| bench.end_to_end(kind, true)),
    ("memory", |bench, kind| bench.memory(kind)),
    ("latency", |bench, kind| bench.latency(kind)),
    ("big", |bench, kind| bench.big(kind)),
];

fn measure_all(plan: &Plan, bench: &mut Bench<'_>) -> Option<(f64, f64)> {
    let wanted = |name: &str| plan.only.is_empty() || plan.only.iter().any(|only| only == name);
    let mut ceiling = None;
    if wanted("ceiling") {
        match bench.ceiling() {
            Ok(rates) => ceiling = Some(rates),
            Err(error) => eprintln!("ceiling: {error:#}"),
        }
    }
    for run in 1..=plan.runs {
        for (name, step) in STEPS.iter().filter(|(name, _)| wanted(name)) {
            eprintln!("run {run} of {}: {name}", plan.runs);
            for &kind in &plan.relays {
                // One that fails leaves a hole in the table, and the rest goes on.
                if let Err(error) = step(bench, kind) {
                    eprintln!("  {}: {name}: {error:#}", kind.name());
                }
            }
        }
    }
    ceiling
}
