//! `yizhan explain`: what a reply means, what the relay does about it, and what the owner should do.
//!
//! Looks a reply up as the relay would, in the same catalogue, with the owner's own rows where there are settings; nothing
//! is sent, and none are needed. Not here: the sentences (`words`).
//! Invariants: what is said of a reply is what the relay does when it meets it; nothing but printable
//! text reaches the terminal, wherever the reply was copied from.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::app;
use crate::config::{self, Overrides, Sources};
use crate::provider::{Action, Basis, Catalogue, Grade, Group, Phase, Verdict, names, preset};
use crate::secret::redact::redact;

use super::failure::CommandFailure;
use super::runtime;
use super::screen::{self, Ink, Lang, Paint, harmless, say};

mod copied;
mod words;

use copied::Copied;

/// What `explain` takes.
#[derive(Args)]
pub(super) struct Arguments {
    /// The reply as a log, a notice or a program shows it, such as "550 Ip frequency limited": with words in front, in
    /// several lines, as a Python exception, as one of our log lines in JSON, or without its code; several, one argument
    /// each
    #[arg(value_name = "REPLY", required = true)]
    replies: Vec<String>,
    /// Whose reply it is: a preset, such as qq (default: any)
    #[arg(long, value_name = "NAME", value_parser = provider_of)]
    provider: Option<Provider>,
    /// Where it came: connect, ehlo, starttls, auth, mail, rcpt, data, rset or quit (default: anywhere)
    #[arg(long, value_name = "PHASE", value_parser = phase_of)]
    phase: Option<Phase>,
    /// The settings file with your own [[reply]] rows; without it, the one that `yizhan run` would find, if any
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A provider as it was named.
#[derive(Clone, Debug)]
struct Provider {
    name: String,
    group: Group,
}

fn provider_of(name: &str) -> Result<Provider, String> {
    let name = name.to_ascii_lowercase();
    let group = Group::named(&name).ok_or_else(|| format!("there is: {}", names().collect::<Vec<_>>().join(", ")))?;
    Ok(Provider { name, group })
}

fn phase_of(word: &str) -> Result<Phase, String> {
    Phase::named(word).ok_or_else(|| format!("there is: {}", Phase::ALL.map(Phase::word).join(", ")))
}

/// Prints what is known. Exit code 1 when a reply was not understood, 2 when one is no reply.
pub(super) fn run(arguments: &Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let catalogue = catalogue(arguments, lang)?;
    let mut answers = Vec::new();
    for reply in &arguments.replies {
        let Some(copied) = copied::read(reply) else {
            let reason = lang.pick(
                "is no reply: a reply has words, and most begin with three digits, such as 550",
                "不是一条回复：回复里有文字，通常以三位数字开头，例如 550",
            );
            return Err(CommandFailure::not_found(format!("\"{}\" {reason}", harmless(reply))).into());
        };
        answers.push(answer(&catalogue, arguments, copied, lang));
    }
    if arguments.json {
        say(&serde_json::to_string(&answers).expect("texts and lists of texts have a form in JSON"));
    } else {
        for (place, answer) in answers.iter().enumerate() {
            if place > 0 {
                say("");
            }
            show(answer, lang);
        }
    }
    Ok(if answers.iter().all(|answer| answer.known) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The catalogue of this program, with the owner's own rows before it where there are settings. Mistakes in settings
/// that nobody named are no reason to say nothing.
fn catalogue(arguments: &Arguments, lang: Lang) -> Result<Catalogue, CommandFailure> {
    let overrides = Overrides { config: arguments.config.clone(), ..Overrides::default() };
    match (config::load(Sources::of_process(overrides, true)), &arguments.config) {
        (Ok(loaded), _) => {
            // Only to take them out of what is shown; one that is missing is no matter here.
            if let Ok(runtime) = runtime::start() {
                runtime.block_on(app::read_secrets(&loaded.settings));
            }
            loaded.settings.catalogue().map_err(CommandFailure::bad_settings)
        }
        (Err(problems), Some(_)) => Err(CommandFailure::bad_settings(problems)),
        (Err(_), None) => {
            screen::complain(lang.pick(
                "the settings have mistakes (`yizhan check` lists them), so your own [[reply]] rows are left out",
                "设置有错误（`yizhan check` 会列出），因此没有使用您自己的 [[reply]] 规则",
            ));
            Ok(Catalogue::built_in())
        }
    }
}

/// What there is to say of one reply.
#[derive(Debug, Serialize)]
struct Answer {
    reply: String,
    /// False when only the code was understood.
    known: bool,
    /// Whether the pasted text has a code. Without one it is read as 550, or by its enhanced code.
    has_code: bool,
    readings: Vec<Reading>,
}

/// One way to read it. Without a provider or a phase there may be several.
#[derive(Debug, Serialize)]
struct Reading {
    /// The row of the catalogue, or the class of the general rule.
    cause: &'static str,
    /// How the verdict was reached: row, words or digit.
    basis: &'static str,
    /// Presets it holds for; empty: any provider.
    providers: Vec<String>,
    phases: Vec<&'static str>,
    /// Whom it condemns.
    scope: &'static str,
    action: &'static str,
    /// Whether the owner is told even though the relay goes on by itself.
    alert: bool,
    means: String,
    relay: String,
    owner: &'static str,
    /// How well the row is founded.
    founded: &'static str,
}

/// Where a verdict was met.
struct Met {
    verdict: Verdict,
    groups: Vec<Group>,
    phases: Vec<Phase>,
}

fn answer(catalogue: &Catalogue, arguments: &Arguments, copied: Copied, lang: Lang) -> Answer {
    let Copied { code: given, text, phase } = copied;
    let code = given.unwrap_or_else(|| assumed_code(&text));
    let met = look_up(catalogue, arguments, arguments.phase.or(phase), (code, &text));
    let known = met.iter().any(|one| one.verdict.is_known());
    let readings = met.iter().map(|one| Reading {
        cause: one.verdict.cause,
        basis: one.verdict.basis.word(),
        providers: providers(one, arguments.provider.as_ref()),
        phases: one.phases.iter().map(|phase| phase.word()).collect(),
        scope: one.verdict.scope.word(),
        action: one.verdict.action.word(),
        alert: one.verdict.alert,
        means: words::means(one.verdict, code, lang),
        relay: words::relay(one.verdict, lang),
        owner: lang.pick(one.verdict.remedy.en, one.verdict.remedy.zh),
        founded: words::founded(one.verdict, catalogue.entry(one.verdict.cause).map(|entry| entry.grade), lang),
    });
    let reply = if given.is_some() { format!("{code} {text}") } else { text.clone() };
    // It may have been copied from a place that shows the secret.
    let reply = redact(&reply).into_owned();
    Answer { reply, known, has_code: given.is_some(), readings: readings.collect() }
}

/// The code that a text without one is read with: one that calls itself permanent, unless its enhanced code (RFC 3463)
/// begins with 4.
fn assumed_code(text: &str) -> u16 {
    let transient = text.split(' ').next().is_some_and(|first| {
        let parts: Vec<&str> = first.split('.').collect();
        parts.len() == 3 && parts[0] == "4" && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
    });
    if transient { 450 } else { 550 }
}

/// Asks for every provider and phase that may be meant, and keeps the best: verified rows of a provider, else generic rows
/// and general rules on the words, else unverified rows of a provider, else what the code says.
fn look_up(catalogue: &Catalogue, arguments: &Arguments, phase: Option<Phase>, (code, text): (u16, &str)) -> Vec<Met> {
    let groups = arguments.provider.as_ref().map_or(Group::ALL.to_vec(), |provider| vec![provider.group]);
    let phases =
        phase.map_or_else(|| Phase::ALL.into_iter().filter(|phase| phase.matters()).collect(), |phase| vec![phase]);
    let mut met: Vec<Met> = Vec::new();
    for &group in &groups {
        for &phase in &phases {
            let mut verdict = catalogue.classify(group, phase, code, text);
            if phase == Phase::Auth && code >= 400 {
                verdict = verdict.for_log_in();
            }
            let same = |one: &&mut Met| one.verdict == verdict;
            let one = match met.iter_mut().find(same) {
                Some(one) => one,
                None => {
                    met.push(Met { verdict, groups: Vec::new(), phases: Vec::new() });
                    met.last_mut().expect("it was put there")
                }
            };
            if !one.groups.contains(&group) {
                one.groups.push(group);
            }
            if !one.phases.contains(&phase) {
                one.phases.push(phase);
            }
        }
    }
    let rank = |one: &Met| rank(catalogue, one, arguments.provider.is_some());
    let best = met.iter().map(rank).min().unwrap_or(u8::MAX);
    met.retain(|one| rank(one) == best);
    met
}

/// The lower the better. An unverified row may match by the code alone: without the name of its provider it is not listed
/// beside rows that were seen.
fn rank(catalogue: &Catalogue, one: &Met, named: bool) -> u8 {
    let verified = named || catalogue.entry(one.verdict.cause).is_none_or(|entry| entry.grade != Grade::Unverified);
    match (one.verdict.basis, one.verdict.cause.starts_with("XX-")) {
        (Basis::Row, false) if verified => 0,
        (Basis::Row, false) => 2,
        (Basis::Row, true) if one.verdict.action == Action::Ok => 3,
        // Known by its code alone, and by that not well.
        (Basis::Row, true) if one.verdict.action == Action::RetryThenBounce => 4,
        (Basis::Row, true) | (Basis::Words, _) => 1,
        (Basis::Digit, _) => 4,
    }
}

/// The presets a reading holds for; none when it does not depend on the provider.
fn providers(one: &Met, wanted: Option<&Provider>) -> Vec<String> {
    if let Some(provider) = wanted {
        return vec![provider.name.clone()];
    }
    if one.verdict.cause.starts_with("XX-") || one.verdict.basis == Basis::Words || one.groups.len() == Group::ALL.len()
    {
        return Vec::new();
    }
    let belongs = |name: &&str| preset(name).is_some_and(|preset| one.groups.contains(&preset.group));
    names().filter(belongs).map(str::to_owned).collect()
}

fn show(answer: &Answer, lang: Lang) {
    let paint = Paint::new();
    say(&paint.ink(Ink::Title, &harmless(&answer.reply)));
    if !answer.known {
        let unknown = "Not in the catalogue: only the first digit was understood.";
        say(&format!("  {}", paint.ink(Ink::Bad, lang.pick(unknown, "目录里没有这条回复：只看懂了第一位数字。"))));
    } else if answer.readings.iter().all(|reading| reading.basis == Basis::Words.word()) {
        let guessed = "Not in the catalogue: guessed from its words.";
        say(&format!("  {}", paint.ink(Ink::Quiet, lang.pick(guessed, "目录里没有这条回复：根据其中的词语推测。"))));
    }
    if !answer.has_code {
        let assumed = "It has no code; it is read as a refusal that calls itself permanent, unless it begins with 4.";
        let zh = "其中没有代码；除非以 4 开头，都按自称永久的拒绝来看。";
        say(&format!("  {}", paint.ink(Ink::Quiet, lang.pick(assumed, zh))));
    }
    for reading in &answer.readings {
        let any = lang.pick("any provider", "任何服务商");
        let providers = if reading.providers.is_empty() { any.to_owned() } else { reading.providers.join(", ") };
        say(&format!("  {}  {providers}", paint.ink(Ink::Good, reading.cause)));
        for (en, zh, text) in [
            ("where", "阶段", reading.phases.join(", ").as_str()),
            ("means", "含义", &reading.means),
            ("relay", "中继", &reading.relay),
            ("you", "您", reading.owner),
            ("from", "依据", reading.founded),
        ] {
            // A Chinese character is two columns wide.
            let label = match lang {
                Lang::En => format!("{en:<6}"),
                Lang::Zh => format!("{zh}{}", " ".repeat(6 - 2 * zh.chars().count())),
            };
            say(&format!("    {}{text}", paint.ink(Ink::Quiet, &label)));
        }
    }
}
