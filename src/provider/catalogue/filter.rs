//! What can be said of a pattern without running it: which codes it can fit, and which words a text must have.
//!
//! A pattern of the catalogue looks like `^550\b.*(?:mailbox not found|no=1000728)`. The code in front is compared by
//! itself, and the longest words that every fitting text contains are searched first; so that of some fifty patterns
//! rarely more than one is run, and only that one is ever compiled. Not here: running it (`row`).
//!
//! Invariant: a filter is never stricter than its pattern. What this file does not understand filters nothing.

/// What a text must have before the pattern is worth running.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    /// The codes it fits, one bit a digit in each place; `None` when the pattern begins in another way.
    codes: Option<Vec<[u16; 3]>>,
    /// One of these, in lower case, is in every text that fits; empty when nothing can be said.
    words: Vec<String>,
    /// The pattern asks for the code and nothing else.
    code_only: bool,
}

impl Filter {
    /// Reads a pattern. Total: what is not understood gives a filter that lets everything pass.
    pub(super) fn of(pattern: &str) -> Filter {
        let nothing = || required(pattern).unwrap_or_default();
        let Some((codes, rest)) = head(pattern) else {
            return Filter { codes: None, words: nothing(), code_only: false };
        };
        Filter { codes: Some(codes), words: required(rest).unwrap_or_default(), code_only: rest.is_empty() }
    }

    /// Whether the pattern is worth running. `code` is three digits, `line` is code and text in lower case.
    pub(super) fn lets_pass(&self, code: &str, line: &str) -> bool {
        let fits = |masks: &[u16; 3]| {
            masks.iter().zip(code.bytes()).all(|(mask, digit)| digit.is_ascii_digit() && mask & bit(digit) != 0)
        };
        self.codes.as_ref().is_none_or(|codes| codes.iter().any(fits))
            && (self.words.is_empty() || self.words.iter().any(|word| line.contains(word.as_str())))
    }

    /// Whether what passes fits: there is nothing left to run.
    pub(super) fn is_whole_pattern(&self) -> bool {
        self.code_only
    }

    /// Whether the pattern names a code, or words, and not only a first digit.
    pub(super) fn is_particular(&self) -> bool {
        let digits = |codes: &Vec<[u16; 3]>| codes.iter().all(|[_, second, third]| (*second, *third) == (ANY, ANY));
        !self.code_only || !self.codes.as_ref().is_some_and(digits)
    }

    /// Whether it says anything of the text.
    #[cfg(test)]
    pub(super) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }
}

/// Every digit.
const ANY: u16 = 0x3ff;

fn bit(digit: u8) -> u16 {
    1 << (digit - b'0')
}

/// The codes in front of a pattern and what comes behind their `\b`. `None` when it does not begin with codes.
fn head(pattern: &str) -> Option<(Vec<[u16; 3]>, &str)> {
    let (head, rest) = pattern.strip_prefix('^')?.split_once("\\b")?;
    let codes = match head.split_once("(?:") {
        None => vec![masks(head)?],
        Some((before, group)) => {
            let (group, after) = group.split_once(')')?;
            let each = group.split('|').map(|middle| masks(&format!("{before}{middle}{after}")));
            each.collect::<Option<Vec<_>>>()?
        }
    };
    Some((codes, rest))
}

/// Three places, each a digit, `\d`, or a list such as `[45]`.
fn masks(code: &str) -> Option<[u16; 3]> {
    let (mut masks, mut rest) = (Vec::with_capacity(3), code);
    while !rest.is_empty() {
        let (mask, after) = if let Some(after) = rest.strip_prefix("\\d") {
            (ANY, after)
        } else if let Some((list, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let digits = list.bytes().all(|b| b.is_ascii_digit()) && !list.is_empty();
            (digits.then(|| list.bytes().map(bit).fold(0, |all, one| all | one))?, after)
        } else {
            let digit = rest.bytes().next().filter(u8::is_ascii_digit)?;
            (bit(digit), &rest[1..])
        };
        masks.push(mask);
        rest = after;
    }
    masks.try_into().ok()
}

/// Words, in lower case, of which every text that fits has at least one. `None` when that cannot be said.
fn required(pattern: &str) -> Option<Vec<String>> {
    let alternatives = split(pattern)?.into_iter().map(of_sequence).collect::<Option<Vec<_>>>()?;
    Some(alternatives.concat())
}

/// The alternatives of a pattern, at its own level. `None` when brackets do not close.
fn split(pattern: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while at < pattern.len() {
        if pattern.as_bytes()[at] == b'|' {
            parts.push(&pattern[start..at]);
            start = at + 1;
        }
        at += atom(&pattern[at..])?.0;
    }
    parts.push(&pattern[start..]);
    Some(parts)
}

/// What a pattern can begin with.
enum Atom<'a> {
    /// This character and no other (in either case, if it is a letter).
    Letter(char),
    /// A group that captures nothing.
    Group(&'a str),
    /// Anything else.
    Other,
}

/// The first atom of a pattern that is not empty, with its length.
fn atom(pattern: &str) -> Option<(usize, Atom<'_>)> {
    let first = pattern.chars().next()?;
    match first {
        '\\' => {
            let escaped = pattern[1..].chars().next()?;
            let length = 1 + escaped.len_utf8();
            // A letter behind the backslash is a class or a place, and \x or \p take more behind them.
            match escaped {
                'b' | 'd' | 's' | 'w' | 'B' | 'D' | 'S' | 'W' => Some((length, Atom::Other)),
                c if c.is_ascii_punctuation() => Some((length, Atom::Letter(c))),
                _ => None,
            }
        }
        '(' => {
            let end = closing(pattern)?;
            let inner = pattern[..end].strip_prefix("(?:")?;
            Some((end + 1, Atom::Group(inner)))
        }
        '[' => {
            let end = pattern.find(']')?;
            // A bracket inside, or as the first one, makes it longer than it looks.
            let plain = !pattern[1..end].contains(['[', '\\']) && !matches!(&pattern[1..end], "" | "^");
            plain.then_some((end + 1, Atom::Other))
        }
        '.' | '^' | '$' | '|' | '?' | '*' | '+' => Some((1, Atom::Other)),
        '{' => Some((pattern.find('}')? + 1, Atom::Other)),
        letter => Some((letter.len_utf8(), Atom::Letter(letter))),
    }
}

/// Where the bracket that the pattern begins with is closed.
fn closing(pattern: &str) -> Option<usize> {
    let (mut depth, mut escaped) = (0, false);
    for (at, c) in pattern.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            // A class may hold a bracket that is none.
            '[' if pattern[at..].split(']').next()?.contains(['(', ')']) => return None,
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The best words of one alternative: of all its parts the one whose shortest word is longest.
fn of_sequence(sequence: &str) -> Option<Vec<String>> {
    let (mut best, mut run, mut at) = (None, String::new(), 0);
    let keep = |best: &mut Option<Vec<String>>, words: Vec<String>| {
        let shortest = |words: &Vec<String>| words.iter().map(String::len).min().unwrap_or(0);
        if shortest(&words) > best.as_ref().map_or(0, shortest) {
            *best = Some(words);
        }
    };
    while at < sequence.len() {
        let (length, atom) = atom(&sequence[at..])?;
        at += length;
        let behind = sequence[at..].chars().next();
        let optional = matches!(behind, Some('?' | '*' | '{'));
        match atom {
            Atom::Letter(letter) if !optional => run.push(letter.to_ascii_lowercase()),
            Atom::Letter(_) | Atom::Other => keep(&mut best, vec![std::mem::take(&mut run)]),
            Atom::Group(inner) => {
                keep(&mut best, vec![std::mem::take(&mut run)]);
                if let Some(words) = required(inner).filter(|_| !optional) {
                    keep(&mut best, words);
                }
            }
        }
        if behind == Some('+') {
            keep(&mut best, vec![std::mem::take(&mut run)]);
        }
    }
    keep(&mut best, vec![run]);
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_found() {
        let words = |pattern: &str| required(pattern).unwrap_or_default();
        assert_eq!(words(".*(?:Mailbox not found|no=1000728)"), ["mailbox not found", "no=1000728"]);
        assert_eq!(
            words(r#".*(?:"?From"? header is missing|detail/(?:124|0)/995)"#),
            [" header is missing", "detail/"]
        );
        assert_eq!(words(r".*doesn'?t conform with"), ["t conform with"]);
        assert_eq!(words(r".*\bip frequency"), ["ip frequency"]);
        assert_eq!(words(r"TLS 1\.0 and"), ["tls 1.0 and"]);
        assert_eq!(words("ab+c"), ["ab"]);
        assert_eq!(words("(?:a )?temporary"), ["temporary"]);
        // Nothing can be said of these.
        for pattern in ["", ".*", "a?", "(?:a|)", "(abc)", "(?i)abc", "[abc]", r"\x41bc", "(?:abc)?", "[]a]b"] {
            assert!(words(pattern).is_empty(), "{pattern}");
        }
    }

    #[test]
    fn codes_are_found() {
        let codes = |pattern: &str| {
            let filter = Filter::of(pattern);
            let all = (0..1000).map(|code| format!("{code:03}"));
            all.filter(|code| filter.lets_pass(code, "550 ")).collect::<Vec<_>>()
        };
        assert_eq!(codes(r"^550\b"), ["550"]);
        assert_eq!(codes(r"^55[04]\b"), ["550", "554"]);
        assert_eq!(codes(r"^5(?:55|01)\b"), ["501", "555"]);
        assert_eq!(codes(r"^(?:451|535)\b"), ["451", "535"]);
        assert_eq!(codes(r"^5[35]0\b"), ["530", "550"]);
        assert_eq!(codes(r"^[45]\d\d\b").len(), 200);
        for pattern in [r"550\b", "^550 ", r"^5\b", r"^55.\b", r"^[0-9]50\b", ""] {
            assert_eq!(codes(pattern).len(), 1000, "{pattern}");
        }
        assert!(Filter::of(r"^550\b").is_particular() && !Filter::of(r"^5\d\d\b").is_particular());
    }

    proptest! {
        /// No text that fits is kept from its pattern.
        #[test]
        fn a_filter_is_never_stricter_than_its_pattern(
            pattern in r"[ab.|?*+()\[\]{}1,^$:\\bd-]{0,12}", text in "[abAB1 ]{0,12}",
        ) {
            let line = format!("550 {text}");
            for pattern in [pattern.clone(), format!(r"^5\d0\b.*(?:{pattern})"), format!(r"^(?:{pattern})\b")] {
                let built = regex_lite::RegexBuilder::new(&pattern).case_insensitive(true).build();
                if built.is_ok_and(|regex| regex.is_match(&line)) {
                    let filter = Filter::of(&pattern);
                    prop_assert!(filter.lets_pass("550", &line.to_ascii_lowercase()), "{} {:?}", pattern, filter);
                }
            }
        }
    }
}
