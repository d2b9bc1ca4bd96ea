//! What can be said of a pattern without running it: which codes it can fit, and which words a text must have.
//!
//! A pattern of the catalogue looks like `^550\b.*(?:mailbox not found|no=1000728)`. The code in front is compared by
//! itself, and the words that every fitting text contains are searched first. For most patterns that is all there is, and
//! the engine never sees them; of the others only one that may fit is run, and compiled when it is run for the first time.
//! Not here: running it (`row`).
//!
//! Invariant: a filter is never stricter than its pattern. What this file does not understand filters nothing.

/// What a text must have before the pattern is worth running.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    /// The codes it fits, one bit a digit in each place; `None` when the pattern begins in another way.
    codes: Option<Vec<[u16; 3]>>,
    /// Of each of these lists one word, in lower case, is in every text that fits; empty when nothing can be said.
    words: Vec<Vec<String>>,
    /// The pattern asks for no more than that.
    whole: bool,
}

impl Filter {
    /// Reads a pattern. Total: what is not understood gives a filter that lets everything pass.
    pub(super) fn of(pattern: &str) -> Filter {
        // In `^550\b.*one|two` the code belongs to the first alternative only.
        let single = split(pattern).is_some_and(|alternatives| alternatives.len() == 1);
        let Some((codes, rest)) = head(pattern).filter(|_| single) else {
            return Filter { codes: None, words: all_required(pattern), whole: false };
        };
        match plain(rest) {
            Some(words) => Filter { codes: Some(codes), words, whole: true },
            None => Filter { codes: Some(codes), words: all_required(rest), whole: false },
        }
    }

    /// Whether the pattern is worth running. `line` is code and text in lower case; the code is three digits.
    pub(super) fn lets_pass(&self, line: &str) -> bool {
        let fits = |masks: &[u16; 3]| {
            masks.iter().zip(line.bytes()).all(|(mask, digit)| digit.is_ascii_digit() && mask & bit(digit) != 0)
        };
        // What stands behind the code in a pattern is not searched in the code.
        let text = if self.codes.is_some() { line.get(3..).unwrap_or("") } else { line };
        self.codes.as_ref().is_none_or(|codes| codes.iter().any(fits)) && self.words_are_in(text)
    }

    /// Whether the text has the words, whatever its code.
    pub(super) fn words_are_in(&self, text: &str) -> bool {
        self.words.iter().all(|one_of| one_of.iter().any(|word| text.contains(word.as_str())))
    }

    /// A code that the pattern fits; `None` when it begins in another way.
    pub(super) fn some_code(&self) -> Option<String> {
        let lowest = |mask: &u16| char::from(b'0' + u8::try_from(mask.trailing_zeros()).unwrap_or(0));
        self.codes.as_ref()?.first().map(|masks| masks.iter().map(lowest).collect())
    }

    /// Whether it fits codes with this first digit.
    pub(super) fn fits_class(&self, digit: u16) -> bool {
        let mask = u8::try_from(digit).map_or(0, |digit| 1_u16.checked_shl(u32::from(digit)).unwrap_or(0));
        self.codes.as_ref().is_none_or(|codes| codes.iter().any(|[first, ..]| first & mask != 0))
    }

    /// Whether what passes fits: there is nothing left to run.
    pub(super) fn is_whole_pattern(&self) -> bool {
        self.whole
    }

    /// Whether the pattern names a code, or words, and not only a first digit.
    pub(super) fn is_particular(&self) -> bool {
        let digits = |codes: &Vec<[u16; 3]>| codes.iter().all(|[_, second, third]| (*second, *third) == (ANY, ANY));
        !(self.whole && self.words.is_empty() && self.codes.as_ref().is_some_and(digits))
    }

    /// Whether it asks for words, and not only for a code.
    pub(super) fn has_words(&self) -> bool {
        self.words.iter().any(|one_of| one_of.iter().all(|word| !word.is_empty()))
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

/// The words of a pattern that asks for nothing else: `.*` and letters, or `.*` and a choice of letters. An empty pattern
/// asks for no words at all.
fn plain(rest: &str) -> Option<Vec<Vec<String>>> {
    if rest.is_empty() {
        return Some(Vec::new());
    }
    let rest = rest.strip_prefix(".*")?;
    let choice = match atom(rest)? {
        (length, Atom::Group(inner)) if length == rest.len() => split(inner)?,
        _ => vec![rest],
    };
    let words = choice.into_iter().map(letters).collect::<Option<Vec<_>>>()?;
    // The empty word fits every text, as the pattern does.
    Some(vec![words])
}

/// A pattern that is letters only, in lower case.
fn letters(pattern: &str) -> Option<String> {
    let (mut word, mut at) = (String::new(), 0);
    while at < pattern.len() {
        let (length, Atom::Letter(letter)) = atom(&pattern[at..])? else { return None };
        word.push(letter.to_ascii_lowercase());
        at += length;
    }
    Some(word)
}

/// All that can be said of the words of a pattern.
fn all_required(pattern: &str) -> Vec<Vec<String>> {
    match split(pattern).as_deref() {
        None => Vec::new(),
        Some([only]) => of_sequence(only).unwrap_or_default(),
        Some(_) => required(pattern).into_iter().collect(),
    }
}

/// Words, in lower case, of which every text that fits has at least one. `None` when that cannot be said.
fn required(pattern: &str) -> Option<Vec<String>> {
    let shortest = |words: &Vec<String>| words.iter().map(String::len).min();
    // Of all parts of an alternative the one whose shortest word is longest.
    let best = |alternative| of_sequence(alternative)?.into_iter().max_by_key(shortest);
    Some(split(pattern)?.into_iter().map(best).collect::<Option<Vec<_>>>()?.concat())
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
        '[' => Some((class(pattern)?, Atom::Other)),
        '.' | '^' | '$' | '|' | '?' | '*' | '+' => Some((1, Atom::Other)),
        '{' => Some((pattern.find('}')? + 1, Atom::Other)),
        letter => Some((letter.len_utf8(), Atom::Letter(letter))),
    }
}

/// Where the bracket that the pattern begins with is closed.
fn closing(pattern: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &pattern[at..];
        match rest.chars().next()? {
            '\\' => at += 1 + rest[1..].chars().next()?.len_utf8(),
            '[' => at += class(rest)?,
            ')' if depth == 1 => return Some(at),
            other => {
                depth += usize::from(other == '(');
                depth -= usize::from(other == ')');
                at += other.len_utf8();
            }
        }
    }
}

/// The length of the class that the pattern begins with. `None` when a bracket inside, or as its first character, makes
/// it longer than it looks.
fn class(pattern: &str) -> Option<usize> {
    let end = pattern.find(']')?;
    let plain = !pattern[1..end].contains(['[', '\\']) && !matches!(&pattern[1..end], "" | "^");
    plain.then_some(end + 1)
}

/// How often what stands in front may come: all of `?`, `*`, `+` and `{m,n}` that follow each other. `None` when a brace
/// does not close.
fn repetition(rest: &str) -> Option<&str> {
    let mut at = 0;
    while let Some(next) = rest[at..].chars().next() {
        match next {
            '?' | '*' | '+' => at += 1,
            '{' => at += rest[at..].find('}')? + 1,
            _ => break,
        }
    }
    Some(&rest[..at])
}

/// The words of one alternative: of each list one is in every text that fits. `None` when it is not understood.
fn of_sequence(sequence: &str) -> Option<Vec<Vec<String>>> {
    let (mut all, mut run, mut at) = (Vec::new(), String::new(), 0);
    let close = |all: &mut Vec<Vec<String>>, run: &mut String| {
        if !run.is_empty() {
            all.push(vec![std::mem::take(run)]);
        }
    };
    while at < sequence.len() {
        let (length, atom) = atom(&sequence[at..])?;
        at += length;
        let behind = repetition(&sequence[at..])?;
        at += behind.len();
        // In `a+??` the whole of `a+` may be absent. `a+?` may not, but to say less is never wrong.
        let optional = behind.contains(['?', '*', '{']);
        match atom {
            Atom::Letter(letter) if !optional => run.push(letter.to_ascii_lowercase()),
            Atom::Letter(_) | Atom::Other => close(&mut all, &mut run),
            Atom::Group(inner) => {
                close(&mut all, &mut run);
                all.extend(required(inner).filter(|words| !optional && !words.iter().any(String::is_empty)));
            }
        }
        if !behind.is_empty() {
            close(&mut all, &mut run);
        }
    }
    close(&mut all, &mut run);
    Some(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_found() {
        let words = |pattern: &str| all_required(pattern);
        assert_eq!(words(".*(?:Mailbox not found|no=1000728)"), [vec!["mailbox not found", "no=1000728"]]);
        let from = [vec![" header is missing", "detail/"]];
        assert_eq!(words(r#".*(?:"?From"? header is missing|detail/(?:124|0)/995)"#), from);
        assert_eq!(words(r".*doesn'?t conform with"), [["doesn"], ["t conform with"]]);
        assert_eq!(words(r".*\bip frequency"), [["ip frequency"]]);
        assert_eq!(words(r"TLS 1\.0 and"), [["tls 1.0 and"]]);
        assert_eq!(words("ab+c"), [["ab"], ["c"]]);
        assert_eq!(words("(?:a )?temporary"), [["temporary"]]);
        assert_eq!(words("too many (?:login|user) tries"), [vec!["too many "], vec!["login", "user"], vec![" tries"]]);
        assert_eq!(words("one|two"), [["one", "two"]]);
        // Nothing can be said of these.
        for pattern in [
            "",
            ".*",
            "a?",
            "(?:a|)",
            "(abc)",
            "(?i)abc",
            "[abc]",
            r"\x41bc",
            "(?:abc)?",
            "[]a]b",
            "a|",
            "(?:[])]|)",
            "a+??",
            "a+*",
            "a+{0}",
        ] {
            assert!(words(pattern).is_empty(), "{pattern}");
        }
    }

    #[test]
    fn what_is_only_a_code_and_words_needs_no_engine() {
        for pattern in [r"^550\b", r"^550\b.*frequency limited", r"^55[04]\b.*(?:RP:ORQ|1\.0)"] {
            assert!(Filter::of(pattern).is_whole_pattern(), "{pattern}");
        }
        for pattern in [r"^550\b.*a.*b", r"^550\b.*\bip", r"^550\b x", "550 x", r"^550\b.*x|y", r"^550\b.*(?:a|b?)"] {
            assert!(!Filter::of(pattern).is_whole_pattern(), "{pattern}");
        }
        // What follows the code is searched behind it.
        assert!(!Filter::of(r"^550\b.*50").lets_pass("550 no") && Filter::of(r"^550\b.*50").lets_pass("550 50"));
    }

    #[test]
    fn codes_are_found() {
        let codes = |pattern: &str| {
            let filter = Filter::of(pattern);
            let all = (0..1000).map(|code| format!("{code:03}"));
            all.filter(|code| filter.lets_pass(&format!("{code} 550 "))).collect::<Vec<_>>()
        };
        assert_eq!(codes(r"^550\b"), ["550"]);
        assert_eq!(codes(r"^55[04]\b"), ["550", "554"]);
        assert_eq!(codes(r"^5(?:55|01)\b"), ["501", "555"]);
        assert_eq!(codes(r"^(?:451|535)\b"), ["451", "535"]);
        assert_eq!(codes(r"^5[35]0\b"), ["530", "550"]);
        assert_eq!(codes(r"^[45]\d\d\b").len(), 200);
        for pattern in [r"550\b", "^550 ", r"^5\b", r"^55.\b", r"^[0-9]50\b", r"^451\b|5", ""] {
            assert_eq!(codes(pattern).len(), 1000, "{pattern}");
        }
        assert!(Filter::of(r"^550\b").is_particular() && !Filter::of(r"^5\d\d\b").is_particular());
        assert!(Filter::of(r"^5\d\d\b.*x").is_particular());
    }

    proptest! {
        /// No text that fits is kept from its pattern; and where nothing is left to run, what passes fits.
        #[test]
        fn a_filter_is_never_stricter_than_its_pattern(
            pattern in r"[ab.|?*+()\[\]{}1,^$:\\bd-]{0,12}", text in "[abAB15 ]{0,12}",
        ) {
            let line = format!("550 {text}");
            let wrapped = [
                pattern.clone(),
                format!(r"^5\d0\b{pattern}"),
                format!(r"^5\d0\b.*{pattern}"),
                format!(r"^5\d0\b.*(?:{pattern})"),
                format!(r"^(?:{pattern})\b"),
            ];
            for pattern in wrapped {
                let built = regex_lite::RegexBuilder::new(&pattern).case_insensitive(true).build();
                let Ok(regex) = built else { continue };
                let filter = Filter::of(&pattern);
                let (fits, passes) = (regex.is_match(&line), filter.lets_pass(&line.to_ascii_lowercase()));
                prop_assert!(passes || !fits, "{} {:?} {:?}", pattern, line, filter);
                prop_assert!(fits || !passes || !filter.is_whole_pattern(), "{} {:?} {:?}", pattern, line, filter);
            }
        }
    }
}
