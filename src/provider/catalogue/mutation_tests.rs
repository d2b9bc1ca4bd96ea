//! Every row with words of its own, and every reply of the rules' list, said a little differently: the verdict stays.

// The figures are what these tests are run for by hand.
#![allow(clippy::print_stdout)]

use regex_lite::Regex;

use super::row::compile;
use super::*;

/// The percentage of mutants that get the verdict of the original, at least.
const KEPT: usize = 98;

/// A reply with its code.
#[derive(Clone)]
struct Said {
    code: u16,
    text: String,
}

fn replaced(pattern: &str, text: &str, with: &str) -> String {
    Regex::new(pattern).unwrap().replace_all(text, with).into_owned()
}

/// What servers, logs and people change about a reply without changing what it says.
fn mutants(said: &Said) -> Vec<(&'static str, Said)> {
    let Said { code, text } = said;
    let with_text = |name, text: String| (name, Said { code: *code, text });
    let with_code = |name, code| (name, Said { code, text: text.clone() });
    let other = |code: u16| if code % 100 == 50 { code + 4 } else { code / 100 * 100 + 50 };
    let across = |code: u16| if code < 500 { code + 100 } else { code - 100 };
    let enhanced = Regex::new(r"^[245]\.\d{1,3}\.\d{1,3} ").unwrap();
    let toggled = if enhanced.is_match(text) {
        with_text("without enhanced code", enhanced.replace(text, "").into_owned())
    } else {
        with_text("with enhanced code", format!("{}.7.1 {text}", code / 100))
    };
    vec![
        with_code("another code", other(*code)),
        with_code("a code of the other class", across(*code)),
        with_text("upper case", text.to_ascii_uppercase()),
        with_text("lower case", text.to_ascii_lowercase()),
        with_text("doubled blanks", text.replace(' ', "  ")),
        with_text("other blanks", text.replace(' ', "\u{a0}")),
        with_text("ideographic blanks", text.replace(' ', "\u{3000}")),
        with_text("curly quotes", text.replace('\'', "\u{2019}").replace('"', "\u{201d}")),
        with_text(
            "full-width punctuation",
            text.replace(':', "\u{ff1a}").replace('(', "\u{ff08}").replace(')', "\u{ff09}"),
        ),
        with_text("an address behind it", format!("{text} <lee@example.net>")),
        with_text("a queue id behind it", format!("{text} id=4XyZ12abc3")),
        with_text("a date behind it", format!("{text} Tue, 01 Dec 2026 10:00:00 +0800")),
        with_text("an IP address behind it", format!("{text} [198.51.100.7]")),
        with_text("a command behind it", format!("{text} (in reply to end of DATA command)")),
        with_text("a server in front", format!("host mx.example.net said: {text}")),
        with_text("another IP address", replaced(r"\d+\.\d+\.\d+\.\d+", text, "198.51.100.7")),
        with_text("another address", replaced(r"[\w.]+@[\w.]+", text, "lee@example.net")),
        toggled,
    ]
}

/// The text up to the end of what the pattern asks for.
fn without_tail(pattern: &str, said: &Said) -> Option<(&'static str, Said)> {
    let line = format!("{:03} {}", said.code, said.text);
    let end = compile(pattern).unwrap().find(&line)?.end();
    let text = line.get(4..end)?.to_owned();
    Some(("without its tail", Said { code: said.code, text }))
}

/// Counts the mutants, and says which got another action or scope.
#[derive(Default)]
struct Count {
    all: usize,
    lost: Vec<String>,
}

impl Count {
    fn ask(&mut self, (group, phase): (Group, Phase), said: &Said, mutants: Vec<(&'static str, Said)>) {
        let verdict = |said: &Said| Catalogue::built_in().classify(group, phase, said.code, &said.text);
        let original = verdict(said);
        for (name, mutant) in mutants.into_iter().filter(|(_, one)| (one.code, &one.text) != (said.code, &said.text)) {
            self.all += 1;
            let got = verdict(&mutant);
            if (got.action, got.scope) != (original.action, original.scope) {
                let (was, is) = (original.cause, got.cause);
                self.lost.push(format!("{was} became {is}, {phase:?}, {name}: {} {}", mutant.code, mutant.text));
            }
        }
    }

    fn report(&self, what: &str) {
        let kept = self.all - self.lost.len();
        println!("{what}: {kept} of {} mutants keep their verdict", self.all);
        for lost in &self.lost {
            println!("  {lost}");
        }
        assert!(kept * 100 >= self.all * KEPT, "{what}: {kept} of {}\n{}", self.all, self.lost.join("\n"));
    }
}

#[test]
fn rows_with_words_keep_their_verdict() {
    let mut count = Count::default();
    // A row without words has only its code; to change it is to change the reply.
    for row in TABLE.iter().filter(|row| row.filter.has_words()) {
        let (code, text) = row.sample.split_once(' ').unwrap();
        let said = Said { code: code.parse().unwrap(), text: text.to_owned() };
        for &phase in &row.phases {
            let mut mutants = mutants(&said);
            mutants.extend(without_tail(row.pattern, &said));
            count.ask((row.group.unwrap(), phase), &said, mutants);
        }
    }
    count.report("rows");
}

#[test]
fn the_list_of_the_rules_keeps_its_verdicts() {
    let mut count = Count::default();
    for (phase, code, text, ..) in super::words_tests::replies() {
        let said = Said { code, text };
        // The class decides whether a recipient or the contents fail, by intent.
        let mut mutants = mutants(&said);
        mutants.retain(|(name, _)| *name != "a code of the other class");
        count.ask((Group::Generic, phase), &said, mutants);
    }
    count.report("words");
}
