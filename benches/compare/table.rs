//! The figures of all runs, their medians, and the table that compares them with the goals.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::relay::Kind;

/// One thing that is measured, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// Messages a second, upstream down, kept connections.
    AcceptKept,
    /// Messages a second, upstream down, a connection for each.
    AcceptEach,
    /// Messages a second to the upstream.
    EndToEnd,
    /// The same with a delay of 30 ms a reply.
    EndToEndFar,
    /// AUTH commands for 1,000 messages.
    Logins,
    /// Upstream connections for 1,000 messages.
    Connections,
    /// Milliseconds, median.
    DotP50,
    /// Milliseconds, the 99th of 100.
    DotP99,
    /// Seconds of processor time for 1,000 messages.
    Processor,
    /// MiB at rest.
    Idle,
    /// MiB at most under load.
    Peak,
    /// Processes at most under load.
    Processes,
    /// MiB that one big message adds.
    Big,
    /// Milliseconds from start to greeting.
    Ready,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
enum Goal {
    /// So many times the figure of Postfix, at least.
    Times(f64),
    /// So much at most.
    Most(f64),
    /// Less than so much.
    Below(f64),
    /// Only to know.
    None,
}

const ALL: [(Metric, &str, Goal); 14] = [
    (Metric::AcceptKept, "accept/s, upstream down, kept connections", Goal::Times(10.0)),
    (Metric::AcceptEach, "accept/s, upstream down, a connection per message", Goal::Times(8.0)),
    (Metric::EndToEnd, "end to end/s", Goal::Times(10.0)),
    (Metric::EndToEndFar, "end to end/s, upstream 30 ms per reply", Goal::Times(5.0)),
    (Metric::Logins, "AUTH per 1,000 messages", Goal::Below(20.0)),
    (Metric::Connections, "upstream connections per 1,000 messages", Goal::None),
    (Metric::DotP50, "250 to upstream, p50, ms", Goal::Below(3.0)),
    (Metric::DotP99, "250 to upstream, p99, ms", Goal::None),
    (Metric::Processor, "CPU s per 1,000 messages", Goal::None),
    (Metric::Idle, "idle memory, PSS MiB", Goal::Most(8.0)),
    (Metric::Peak, "peak memory under load, PSS MiB", Goal::Most(30.0)),
    (Metric::Processes, "processes under load", Goal::None),
    (Metric::Big, "memory added by a 50 MiB message, MiB", Goal::Below(10.0)),
    (Metric::Ready, "start to greeting, ms", Goal::Most(50.0)),
];

/// All runs.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<(Metric, Kind), Vec<f64>>);

impl Figures {
    /// One figure of one run.
    pub(crate) fn add(&mut self, kind: Kind, metric: Metric, figure: f64) {
        eprintln!("  {:<20} {metric:?} {figure:.2}", kind.name());
        self.0.entry((metric, kind)).or_default().push(figure);
    }

    fn median(&self, metric: Metric, kind: Kind) -> Option<f64> {
        let mut runs = self.0.get(&(metric, kind))?.clone();
        runs.sort_by(f64::total_cmp);
        Some(runs[runs.len() / 2])
    }

    /// The table in Markdown.
    pub(crate) fn table(&self) -> String {
        let kinds = [Kind::Yizhan, Kind::Postfix, Kind::PostfixReuse];
        let mut text = String::from("| measure |");
        for kind in kinds {
            let _ = write!(text, " {} |", kind.name());
        }
        text.push_str(" Yizhan / Postfix | goal | |\n|---|---|---|---|---|---|---|\n");
        for (metric, name, goal) in ALL {
            let medians = kinds.map(|kind| self.median(metric, kind));
            let ratio =
                medians[0].zip(medians[1]).filter(|(_, theirs)| *theirs > 0.0).map(|(ours, theirs)| ours / theirs);
            let _ = write!(text, "| {name} |");
            for median in medians {
                let _ = write!(text, " {} |", median.map_or("-".to_owned(), number));
            }
            let (wanted, reached) = match goal {
                Goal::Times(times) => (format!(">= {times} x"), ratio.map(|ratio| ratio >= times)),
                Goal::Most(most) => (format!("<= {most}"), medians[0].map(|ours| ours <= most)),
                Goal::Below(limit) => (format!("< {limit}"), medians[0].map(|ours| ours < limit)),
                Goal::None => (String::new(), None),
            };
            let verdict = reached.map_or("", |reached| if reached { "yes" } else { "**no**" });
            let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{} x", number(ratio)));
            let _ = writeln!(text, " {ratio} | {wanted} | {verdict} |");
        }
        text
    }
}

/// Three digits that count.
pub(crate) fn number(figure: f64) -> String {
    match figure {
        _ if figure >= 100.0 => format!("{figure:.0}"),
        _ if figure >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
