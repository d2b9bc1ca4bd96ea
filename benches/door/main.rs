//! `cargo bench --bench door`: what the door costs, with many clients, with idle ones and with hostile ones.
//!
//! The finished program is measured, as a child; the account is paused, so that nothing is sent. Machines are noisy, so
//! what can be is a count (instructions, allocations, octets) or a ratio of turns that alternate in one run. Not a test:
//! nothing fails when a goal is missed, the table says so. See `--help`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is the product; progress goes beside it")]

#[path = "../compare/gauge.rs"]
#[allow(dead_code, reason = "only a part of it is used")]
mod gauge;
#[path = "../compare/support.rs"]
mod support;

mod attack;
mod client;
mod cost;
mod guess;
mod idle;
mod many;
mod relay;
mod rest;
mod slow;
mod table;

use table::Table;

const HELP: &str = "\
cargo bench --bench door                     everything, about four minutes
cargo bench --bench door -- --quick          fewer turns and clients, about one minute
cargo bench --bench door -- --only idle,slow some measurements: rest idle many cost slow guess
cargo bench --bench door -- --help           this
YIZHAN_BIN=/path/to/yizhan cargo bench ...   another binary

rest  memory of a relay that nobody talks to, by mapping
idle  memory of an idle connection: greeted, after EHLO, after a message; plain and TLS
many  500 sessions beside 64, 4 KiB messages, turn by turn
cost  instructions (callgrind) and allocations (dhat) of a message and of a session; needs valgrind
slow  a steady client, alone and beside 450 that dribble, say nothing or never read, turn by turn
guess memory while sixty addresses guess passwords, and afterwards";

/// What the command line asks for.
pub(crate) struct Plan {
    /// Fewer turns and clients.
    pub(crate) quick: bool,
    only: Vec<String>,
}

/// One measurement.
type Step = fn(&Plan, &mut Table) -> anyhow::Result<()>;

const STEPS: &[(&str, Step)] = &[
    ("rest", rest::measure),
    ("idle", idle::measure),
    ("many", many::measure),
    ("cost", cost::measure),
    ("slow", slow::measure),
    ("guess", guess::measure),
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, port, count] = arguments.as_slice()
        && role == attack::ROLE
    {
        return attack::run(port.parse()?, count.parse()?);
    }
    let mut plan = Plan { quick: false, only: Vec::new() };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            // Cargo says this to every benchmark.
            "--bench" => {}
            "--help" => {
                println!("{HELP}");
                return Ok(());
            }
            "--quick" => plan.quick = true,
            "--only" => {
                plan.only = rest.next().into_iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
            }
            other => anyhow::bail!("{other} is not known\n\n{HELP}"),
        }
    }
    relay::raise_descriptor_limit()?;
    let mut table = Table::default();
    for (name, step) in STEPS.iter().filter(|(name, _)| plan.only.is_empty() || plan.only.iter().any(|o| o == name)) {
        eprintln!("{name}");
        // One that fails leaves a hole in the table, and the rest goes on.
        if let Err(error) = step(&plan, &mut table) {
            eprintln!("  {name}: {error:#}");
        }
    }
    println!("{}", table.text());
    Ok(())
}
