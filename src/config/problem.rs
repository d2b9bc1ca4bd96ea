//! Mistakes in the settings, in the form they are shown in.
//!
//! A problem names the key, the value, where it was written, why it cannot be used and what to do. It never holds a
//! secret: whoever makes one gives the value already hidden (`keys::Key::display`).

use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The dotted key, such as `listener.local.bind`; empty when the file as a whole is meant.
    pub key: String,
    /// What was written there, as TOML; `None` when nothing was, or when it may not be shown.
    pub value: Option<String>,
    /// `yizhan.toml:5`, `$YIZHAN_USER`, `--user` or `default`; empty when nothing was written anywhere.
    pub origin: String,
    /// Why it cannot be used.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl Problem {
    /// A mistake that shows no value.
    pub(super) fn new(key: &str, origin: &str, reason: &str, remedy: &str) -> Problem {
        Problem {
            key: key.to_owned(),
            value: None,
            origin: origin.to_owned(),
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
        }
    }

    /// Files in the order of their lines, then everything else by name.
    fn place(&self) -> (String, usize, String) {
        let (name, line) = match self.origin.rsplit_once(':').map(|(name, line)| (name, line.parse())) {
            Some((name, Ok(line))) => (name.to_owned(), line),
            Some((_, Err(_))) | None => (format!("~{}", self.origin), 0),
        };
        (name, line, self.key.clone())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = Vec::new();
        if !self.origin.is_empty() {
            head.push(self.origin.clone());
        }
        if !self.key.is_empty() {
            let value = self.value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
            head.push(format!("{}{value}", self.key));
        }
        // A key is text from the file, too, and must not draw on the terminal.
        let tame = |text: &str| text.replace(char::is_control, "\u{fffd}");
        write!(f, "{}\n  problem: {}\n  remedy:  {}", tame(&head.join(": ")), tame(&self.reason), tame(&self.remedy))
    }
}

/// All mistakes that were found; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The problems in the order in which a person would correct them.
    pub(super) fn sorted(mut problems: Vec<Problem>) -> Problems {
        problems.sort_by_key(Problem::place);
        Problems(problems)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "1 mistake in the settings")?,
            n => writeln!(f, "{n} mistakes in the settings")?,
        }
        for problem in &self.0 {
            write!(f, "\n{problem}\n")?;
        }
        Ok(())
    }
}

/// What the check of a part of the settings found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    /// What is allowed but unwise, one sentence each.
    pub(super) warnings: Vec<String>,
    /// Keys whose value may be a secret in the wrong place, so that it is not shown.
    pub(super) hidden: Vec<String>,
}

/// The meaning of a part, and what its check found. There is no meaning only where a problem was found, now or when a
/// value was read.
pub(super) type Checked<T> = (Option<T>, Findings);

impl Findings {
    /// Runs a check and returns its meaning with its findings.
    pub(super) fn of<T>(check: impl FnOnce(&mut Findings) -> Option<T>) -> Checked<T> {
        let mut findings = Findings::default();
        (check(&mut findings), findings)
    }

    /// Adds the findings of a part and returns its meaning.
    pub(super) fn take<T>(&mut self, (meaning, findings): Checked<T>) -> Option<T> {
        self.add(findings);
        meaning
    }

    /// Adds the findings of a part.
    pub(super) fn add(&mut self, other: Findings) {
        self.problems.extend(other.problems);
        self.warnings.extend(other.warnings);
        self.hidden.extend(other.hidden);
    }
}

/// What a reader of one value has to say against it, before the key is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: String,
    pub(super) remedy: String,
    /// The one item of a list that is meant.
    pub(super) item: Option<String>,
}

impl Fault {
    pub(super) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault { reason: reason.into(), remedy: remedy.into(), item: None }
    }
}
