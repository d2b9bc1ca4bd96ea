//! Takes secrets out of texts: every secret that is in use, in every form in which another program may send it back.
//!
//! A secret joins the set of this process when it is read ([`super::SecretSource::read`]), a renewed one beside the old one.
//! [`redact`] is asked where texts of others come in (replies, answers of a webhook, dialogues) and again where texts go
//! out (log, commands). The forms: itself in any letter case, its percent-encoding and decoding, hexadecimal, and base64 at each
//! of the three alignments, so that the initial responses of PLAIN and LOGIN (RFC 4616, RFC 4954) are found whoever the user
//! is. A text is looked through as it is and, where it has escapes (`%41`, `\x41`, `\/`), once more without them. With
//! base64 and hexadecimal the whole run of such characters goes, with what stands before and behind the secret.
//!
//! Invariants: a text without a secret is not copied. A secret of less than [`SHORTEST`] octets is not looked for: it would
//! be found in words that have nothing to do with it, and the texts would say nothing any more.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

use super::Secret;

/// Shorter secrets are not looked for, in octets.
pub const SHORTEST: usize = 6;
/// What stands in the place of a secret.
pub const MARK: &str = "[secret]";
/// So many secrets are remembered; the oldest go first.
const MOST: usize = 1_000;
/// The begin of a form, by which it is found.
const KEY: usize = 4;
/// Bits of the filter that most positions of a text do not pass.
const BITS: usize = 1 << 12;

/// Those of this process.
static LIVE: RwLock<Option<Arc<Redactor>>> = RwLock::new(None);

/// Adds `secret` to those that [`redact`] takes out. One that is known already costs a comparison with each.
pub fn protect(secret: &Secret) {
    let text = secret.expose();
    if live().is_some_and(|live| live.knows(text)) {
        return;
    }
    let mut live = LIVE.write().unwrap_or_else(PoisonError::into_inner);
    if live.as_ref().is_some_and(|live| live.knows(text)) {
        return;
    }
    let before = live.take();
    let known: Vec<&str> = before.iter().flat_map(|before| before.secrets()).collect();
    let newest = &known[known.len().saturating_sub(MOST - 1)..];
    *live = Some(Arc::new(Redactor::new(newest.iter().copied().chain([text]))));
}

/// Adds `new` and forgets `old`, for secrets that are replaced every hour.
pub fn replace(old: Option<&Secret>, new: &Secret) {
    if let Some(old) = old.filter(|old| *old != new) {
        let mut live = LIVE.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = live.take_if(|live| live.knows(old.expose())) {
            *live = Some(Arc::new(Redactor::new(before.secrets().filter(|secret| *secret != old.expose()))));
        }
    }
    protect(new);
}

/// The text without any secret of this process.
pub fn redact(text: &str) -> Cow<'_, str> {
    live().map_or(Cow::Borrowed(text), |live| live.redact(text))
}

/// As [`redact`], for octets in any charset.
pub fn redact_octets(octets: &[u8]) -> Cow<'_, [u8]> {
    live().map_or(Cow::Borrowed(octets), |live| live.redact_octets(octets))
}

fn live() -> Option<Arc<Redactor>> {
    LIVE.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Some secrets, ready to be looked for.
pub struct Redactor {
    secrets: Vec<SecretString>,
    /// Sorted by their keys.
    forms: Vec<Form>,
    filter: [u64; BITS / 64],
}

/// A secret as it may stand in a text, in lower case.
struct Form {
    key: u32,
    text: SecretString,
    run: Run,
}

/// What else goes with a form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    None,
    Hex,
    Base64,
}

impl Run {
    fn holds(self, octet: u8) -> bool {
        match self {
            Run::None => false,
            Run::Hex => octet.is_ascii_hexdigit(),
            Run::Base64 => octet.is_ascii_alphanumeric() || b"+/-_=".contains(&octet),
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

impl Redactor {
    /// For these secrets; those that are too short are left out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Redactor {
        let mut all = Redactor { secrets: Vec::new(), forms: Vec::new(), filter: [0; BITS / 64] };
        for secret in secrets {
            all.secrets.push(secret.into());
            all.add_forms(secret.as_bytes());
            let (decoded, _) = unescaped(secret.as_bytes());
            if decoded != secret.as_bytes() {
                all.add_forms(&decoded);
            }
        }
        all.forms.sort_by_key(|form| form.key);
        all
    }

    fn add_forms(&mut self, secret: &[u8]) {
        if secret.len() < SHORTEST {
            return;
        }
        self.add(&String::from_utf8_lossy(secret), Run::None);
        self.add(&secret.iter().map(|octet| format!("{octet:02x}")).collect::<String>(), Run::Hex);
        for lead in 0..3 {
            let text = STANDARD_NO_PAD.encode([&[0; 2][..lead], secret].concat());
            // Only the characters that no neighbour of the secret has a part in: six bits each.
            let inner = &text[(lead * 8).div_ceil(6)..(lead + secret.len()) * 8 / 6];
            self.add(inner, Run::Base64);
            // RFC 4648 section 5.
            if inner.contains(['+', '/']) {
                self.add(&inner.replace('+', "-").replace('/', "_"), Run::Base64);
            }
        }
    }

    fn add(&mut self, text: &str, run: Run) {
        let text = text.to_ascii_lowercase();
        let Some(key) = key_at(text.as_bytes(), 0) else { return };
        let bit = bit_of(key);
        self.filter[bit / 64] |= 1 << (bit % 64);
        self.forms.push(Form { key, text: text.into(), run });
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|secret| secret.expose_secret())
    }

    fn knows(&self, secret: &str) -> bool {
        self.secrets().any(|known| known == secret)
    }

    /// The text without these secrets.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.redact_octets(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // Secrets are UTF-8, so that no character was cut; if one was, its rest is shown as U+FFFD.
            Cow::Owned(octets) => Cow::Owned(String::from_utf8_lossy(&octets).into_owned()),
        }
    }

    /// The octets without these secrets.
    pub fn redact_octets<'t>(&self, octets: &'t [u8]) -> Cow<'t, [u8]> {
        let mut found = self.find(octets);
        if octets.iter().any(|octet| b"%\\".contains(octet)) {
            let (plain, begins) = unescaped(octets);
            found.extend(self.find(&plain).into_iter().map(|at| begins[at.start]..begins[at.end]));
        }
        if found.is_empty() {
            return Cow::Borrowed(octets);
        }
        found.sort_by_key(|at| at.start);
        let (mut out, mut done) = (Vec::with_capacity(octets.len()), 0);
        for at in found {
            if at.start >= done {
                out.extend_from_slice(&octets[done..at.start]);
                out.extend_from_slice(MARK.as_bytes());
            }
            done = done.max(at.end);
        }
        out.extend_from_slice(&octets[done..]);
        Cow::Owned(out)
    }

    /// Where the forms are; places may overlap.
    fn find(&self, octets: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.forms.is_empty() || octets.len() < KEY {
            return found;
        }
        let mut key = 0;
        for (at, octet) in octets.iter().enumerate() {
            key = key << 8 | u32::from(octet.to_ascii_lowercase());
            let bit = bit_of(key);
            if self.filter[bit / 64] & 1 << (bit % 64) == 0 || at + 1 < KEY {
                continue;
            }
            let start = at + 1 - KEY;
            let first = self.forms.partition_point(|form| form.key < key);
            for form in self.forms[first..].iter().take_while(|form| form.key == key) {
                let end = start + form.text.expose_secret().len();
                let here = octets.get(start..end).filter(|here| !is_mark(octets, start, here));
                if here.is_some_and(|here| here.eq_ignore_ascii_case(form.text.expose_secret().as_bytes())) {
                    let more = |octet: &&u8| form.run.holds(**octet);
                    let before = octets[..start].iter().rev().take_while(more).count();
                    let behind = octets[end..].iter().take_while(more).count();
                    found.push(start - before..end + behind);
                }
            }
        }
        found
    }
}

/// Whether this is the word of a [`MARK`] that was set before: a text may be redacted twice.
fn is_mark(octets: &[u8], start: usize, here: &[u8]) -> bool {
    start > 0 && octets[start - 1..].starts_with(MARK.as_bytes()) && here.len() <= MARK.len() - 2
}

fn key_at(octets: &[u8], at: usize) -> Option<u32> {
    let octets = octets.get(at..at + KEY)?;
    Some(octets.iter().fold(0, |key, octet| key << 8 | u32::from(octet.to_ascii_lowercase())))
}

fn bit_of(key: u32) -> usize {
    // Fibonacci hashing: the high bits of the product depend on all four octets.
    (key.wrapping_mul(0x9e37_79b1) >> 20) as usize % BITS
}

/// The octets without escapes, and where each of them begins in the original; one more place for the end.
fn unescaped(octets: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut plain, mut begins) = (Vec::with_capacity(octets.len()), Vec::with_capacity(octets.len() + 1));
    let hex = |at: usize| octets.get(at).and_then(|&octet| (octet as char).to_digit(16));
    let mut at = 0;
    while at < octets.len() {
        begins.push(at);
        let digits = match (octets[at], octets.get(at + 1)) {
            (b'%', _) => Some(at + 1),
            (b'\\', Some(b'x')) => Some(at + 2),
            _ => None,
        };
        match (digits.and_then(|at| Some((at, hex(at)? * 16 + hex(at + 1)?))), octets.get(at + 1)) {
            (Some((digits, octet)), _) => {
                plain.push(octet as u8);
                at = digits + 2;
            }
            (None, Some(next)) if octets[at] == b'\\' && next.is_ascii_punctuation() => {
                plain.push(*next);
                at += 2;
            }
            _ => {
                plain.push(octets[at]);
                at += 1;
            }
        }
    }
    begins.push(octets.len());
    (plain, begins)
}

#[cfg(test)]
mod tests;
