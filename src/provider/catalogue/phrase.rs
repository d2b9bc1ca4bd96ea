//! The pattern language of `words.tsv`: which words a text must have, near each other or anywhere, and which not.
//!
//! ```text
//!  too many + {mail} ~ per hour|an hour     "too many", then one of the list {mail}, then one of the two
//!  quota* & your account ! mailbox          both anywhere, and nowhere "mailbox"
//! ```
//!
//! - `a|b`: one of these; each begins and ends where a word does, unless `*` at its end allows more letters behind it.
//! - `x + y`: y follows at once (at most two octets between); `x ~ y`: within 40 octets; `x ~12 y`: within 12.
//! - `x & y`: both, in any order. `x ! y`: x, and nowhere y. `{name}`: a list that a line `={name}` defines.
//!
//! Invariant: a search takes no more time than the product of text and pattern, and keeps nothing of the text.

use std::sync::Arc;

/// Octets between two steps with `~` and no number.
const NEAR: usize = 40;
/// Octets between two steps with `+`: a blank, and a colon or a comma.
const NEXT: usize = 2;

/// Words of which one must be there. Steps that name the same list share it.
type Words = Arc<[Needle]>;

/// One word or several, in lower case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needle {
    text: &'static str,
    /// Letters may follow.
    open: bool,
}

/// One of these words, at most `gap` octets behind the step before; the first step may begin anywhere.
#[derive(Debug)]
struct Step {
    gap: Option<usize>,
    words: Words,
}

/// Steps that follow each other.
#[derive(Debug)]
struct Chain(Vec<Step>);

/// A whole pattern.
#[derive(Debug)]
pub(super) struct Phrase {
    wanted: Vec<Chain>,
    unwanted: Vec<Chain>,
}

/// A list of words with its name, such as `{mail}`.
pub(super) type List = (&'static str, Words);

impl Phrase {
    /// Reads a pattern. `None` when a list is not defined or a step is empty.
    pub(super) fn read(pattern: &'static str, lists: &[List]) -> Option<Phrase> {
        let mut parts = pattern.split(" ! ");
        let wanted = parts.next()?.split(" & ").map(|chain| Chain::read(chain, lists)).collect::<Option<_>>()?;
        let unwanted = parts.map(|chain| Chain::read(chain, lists)).collect::<Option<_>>()?;
        Some(Phrase { wanted, unwanted })
    }

    /// The words of `text` that fit, joined by dots; `None` when the pattern does not fit.
    pub(super) fn find(&self, text: &str) -> Option<String> {
        let mut found: Vec<&str> = Vec::new();
        for chain in &self.wanted {
            if !chain.find(text, &mut found) {
                return None;
            }
        }
        let spoilt = self.unwanted.iter().any(|chain| chain.find(text, &mut Vec::new()));
        (!spoilt).then(|| found.join(" ... "))
    }
}

/// Reads a list such as `message*|mail|mails`, in which other lists may stand.
pub(super) fn words(list: &'static str, lists: &[List]) -> Option<Words> {
    let named = |word: &str| lists.iter().find(|(name, _)| *name == word).map(|(_, words)| Arc::clone(words));
    if let Some(whole) = named(list.trim()) {
        return Some(whole);
    }
    let mut all = Vec::new();
    for word in list.split('|').map(str::trim) {
        if word.starts_with('{') {
            all.extend(named(word)?.iter());
            continue;
        }
        let (text, open) = word.strip_suffix('*').map_or((word, false), |text| (text, true));
        if text.is_empty() {
            return None;
        }
        all.push(Needle { text, open });
    }
    Some(all.into())
}

impl Chain {
    fn read(chain: &'static str, lists: &[List]) -> Option<Chain> {
        let (mut steps, mut rest, mut gap) = (Vec::new(), chain, None);
        loop {
            let end = rest.find(" + ").into_iter().chain(rest.find(" ~")).min();
            let (step, after) = end.map_or((rest, ""), |end| rest.split_at(end));
            steps.push(Step { gap, words: words(step.trim(), lists)? });
            if after.is_empty() {
                return Some(Chain(steps));
            }
            if let Some(after) = after.strip_prefix(" + ") {
                (gap, rest) = (Some(NEXT), after);
            } else {
                let (figure, after) = after.strip_prefix(" ~")?.split_once(' ')?;
                (gap, rest) = (Some(if figure.is_empty() { NEAR } else { figure.parse().ok()? }), after);
            }
        }
    }

    /// Whether the steps are in the text; what they found is put behind `found`.
    fn find<'t>(&self, text: &'t str, found: &mut Vec<&'t str>) -> bool {
        let before = found.len();
        let fits = follow(&self.0, text, 0, found);
        if !fits {
            found.truncate(before);
        }
        fits
    }
}

/// Whether the first of `steps` begins near enough behind `from`, and the others behind it.
fn follow<'t>(steps: &[Step], text: &'t str, from: usize, found: &mut Vec<&'t str>) -> bool {
    let Some((step, later)) = steps.split_first() else { return true };
    for needle in step.words.iter() {
        let longest = step.gap.map_or(text.len(), |gap| from + gap + needle.text.len());
        let window = &text[from..text.floor_char_boundary(longest)];
        for (at, word) in window.match_indices(needle.text) {
            let (start, end) = (from + at, from + at + word.len());
            if !needle.stands_alone(text, start, end) {
                continue;
            }
            found.push(&text[start..needle.shown_end(text, end)]);
            if follow(later, text, end, found) {
                return true;
            }
            found.pop();
        }
    }
    false
}

impl Needle {
    /// Whether words begin and end here. A figure does not stand in the middle of a longer one such as an address.
    fn stands_alone(self, text: &str, start: usize, end: usize) -> bool {
        let letter = |c: char| c.is_ascii_alphanumeric();
        let before = text[..start].chars().next_back();
        let begins = !self.text.starts_with(letter)
            || !before.is_some_and(|c| letter(c) || c == '.' && self.text.starts_with(|c: char| c.is_ascii_digit()));
        let mut behind = text[end..].chars();
        let next = behind.next();
        let figure = self.text.ends_with(|c: char| c.is_ascii_digit())
            && next == Some('.')
            && behind.next().is_some_and(|c| c.is_ascii_digit());
        let ends = self.open || !self.text.ends_with(letter) || !next.is_some_and(letter) && !figure;
        begins && ends
    }

    /// Where the word ends for a reader: some letters behind an open one belong to it.
    fn shown_end(self, text: &str, end: usize) -> usize {
        let more = text[end..].bytes().take(5).take_while(u8::is_ascii_lowercase).count();
        if self.open { end + more } else { end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &'static str, text: &str) -> Option<String> {
        let mail: List = ("{mail}", words("message*|mail|mails", &[]).unwrap());
        Phrase::read(pattern, &[mail]).unwrap().find(text)
    }

    #[test]
    fn words_stand_alone_unless_a_star_says_more() {
        assert_eq!(find("relay", "no relay here").as_deref(), Some("relay"));
        assert_eq!(find("relay", "no relaying here"), None);
        assert_eq!(find("relay*", "no relaying here").as_deref(), Some("relaying"));
        assert_eq!(find("mail", "a voicemail"), None);
        assert_eq!(find("5.1.1", "host 10.5.1.1 or 5.1.11 or 5.1.1.2"), None);
        assert_eq!(find("5.1.1", "5.1.1. No").as_deref(), Some("5.1.1"));
        assert_eq!(find("不存在", "用户不存在。").as_deref(), Some("不存在"));
    }

    #[test]
    fn steps_follow_near_and_in_order() {
        assert_eq!(find("too many + {mail}", "too many messages").as_deref(), Some("too many ... messages"));
        assert_eq!(find("too many + {mail}", "too many bad messages"), None);
        assert_eq!(find("too many ~6 {mail}", "too many bad mails").as_deref(), Some("too many ... mails"));
        assert_eq!(find("too many ~3 {mail}", "too many bad mails"), None);
        assert_eq!(find("one ~ two", "two one"), None);
        // The first place that fits need not be the one that goes on.
        assert!(find("one ~5 two", "one and so on, one two").is_some());
        assert!(find("one & two ! three|four", "two one").is_some());
        assert_eq!(find("one & two ! three|four", "two one four"), None);
    }

    #[test]
    fn what_cannot_be_read_is_no_pattern() {
        for pattern in ["{none}", "a||b", "a ~x b", "*", ""] {
            assert!(Phrase::read(pattern, &[]).is_none(), "{pattern}");
        }
    }
}
