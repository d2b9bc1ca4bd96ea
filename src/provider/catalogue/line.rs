//! A reply as the catalogue searches it: the text as it came, the text in one plain form, and its bare words.
//!
//! Servers and the people who copy their replies put curly quotes, full-width punctuation and several kinds of blanks
//! into the same words. Rows are searched in the plain form too, the general rules only in the bare words, where
//! addresses and links cannot be mistaken for words of the server.
//!
//! Invariant: upper and lower case (ASCII) of a reply give the same forms, except `as_it_came`.

use std::borrow::Cow;
use std::cell::OnceCell;

/// One reply: code and text.
pub(super) struct Line {
    code: u16,
    /// Code and text, as `reply_text` made it.
    as_it_came: String,
    /// The same in lower case.
    lower: String,
    /// Code and text in the plain form and lower case, where that differs from `lower`.
    plain: Option<String>,
    words: OnceCell<String>,
}

impl Line {
    /// Code and text of a reply; `text` is cut behind its first kilobyte.
    pub(super) fn new(code: u16, text: &str) -> Line {
        let as_it_came = format!("{code:03} {text}");
        let lower = as_it_came.to_ascii_lowercase();
        let plain = Some(plain(&lower)).filter(|plain| *plain != lower);
        Line { code, as_it_came, lower, plain, words: OnceCell::new() }
    }

    /// The three digits.
    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// Each form with its lower case: code and text as they came, then the plain form, if it differs.
    pub(super) fn forms(&self) -> impl Iterator<Item = (&str, &str)> {
        let came = std::iter::once((self.as_it_came.as_str(), self.lower.as_str()));
        came.chain(self.plain.as_deref().map(|plain| (plain, plain)))
    }

    /// The bare words of the text, without the code.
    pub(super) fn words(&self) -> &str {
        let text = self.plain.as_deref().unwrap_or(&self.lower);
        self.words.get_or_init(|| bare(text.get(3..).unwrap_or("").trim_start()))
    }
}

/// Quotes, dashes, blanks, digits and letters in their ASCII form; blanks are not doubled.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let c = match c {
            '\u{2018}'..='\u{201b}' | '\u{b4}' | '\u{2bc}' | '\u{2032}' => '\'',
            '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2033}' => '"',
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            // Soft hyphen, zero-width blanks and joiners, byte order mark.
            '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => continue,
            // The full-width forms of "!" to "~" stand in the order of ASCII.
            '\u{ff01}'..='\u{ff5e}' => {
                char::from_u32(c as u32 - 0xfee0).expect("the range is that of printable ASCII").to_ascii_lowercase()
            }
            _ if c.is_whitespace() => ' ',
            other => other,
        };
        if c != ' ' || !plain.ends_with(' ') {
            plain.push(c);
        }
    }
    plain
}

/// The words alone: an address becomes `@`, an IPv4 address `#`; links, quotes and angle brackets are left out; hyphens,
/// underscores, slashes and equals signs become blanks.
fn bare(plain: &str) -> String {
    let mut bare = String::with_capacity(plain.len());
    for token in plain.replace("e-mail", "email").split(' ').map(without_link) {
        let token = without_addresses(&token);
        let token = if ends_like_ipv4(&token) { without_ipv4(&token) } else { token };
        for c in token.chars().chain(Some(' ')) {
            match c {
                '"' | '*' | '<' | '>' => {}
                '`' => bare.push('\''),
                '-' | '_' | '/' | '=' | ' ' if bare.ends_with(' ') => {}
                '-' | '_' | '/' | '=' => bare.push(' '),
                other => bare.push(other),
            }
        }
    }
    bare
}

/// Operators of block lists, whose links say what a reply is about.
const LISTS: [&str; 8] =
    ["spamhaus", "spamcop", "sorbs", "barracuda", "abuseat", "uceprotect", "abusix", "ipcheck.proofpoint"];

/// A token without the link in it; a link to a block list counts as the word.
fn without_link(token: &str) -> Cow<'_, str> {
    let start = ["http://", "https://", "www."].iter().filter_map(|mark| token.find(mark)).min();
    match start {
        None => Cow::Borrowed(token),
        Some(start) if LISTS.iter().any(|list| token[start..].contains(list)) => {
            Cow::Owned(format!("{} blocklist", &token[..start]))
        }
        Some(start) => Cow::Borrowed(&token[..start]),
    }
}

/// Mail addresses as `@`. What is not ASCII belongs to no address: Chinese words stand beside one without a blank.
fn without_addresses(token: &str) -> String {
    let local = |c: char| c.is_ascii_alphanumeric() || "._%+-!#$&'/?^{|}~".contains(c);
    let domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let (mut text, mut rest) = (String::new(), token);
    while let Some((before, after)) = rest.split_once('@') {
        text.push_str(before.trim_end_matches(local));
        text.push('@');
        let tail = after.trim_start_matches(domain);
        // A full stop behind the address ends the sentence.
        let dot = after[..after.len() - tail.len()].ends_with('.');
        text.push_str(if dot { "." } else { "" });
        rest = tail;
    }
    text + rest
}

fn ends_like_ipv4(token: &str) -> bool {
    token.bytes().filter(|&b| b == b'.').count() >= 3 && token.bytes().any(|b| b.is_ascii_digit())
}

/// IPv4 addresses as `#`.
fn without_ipv4(token: &str) -> String {
    let (mut text, mut rest) = (String::new(), token);
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let tail = rest[start..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &rest[start..rest.len() - tail.len()];
        let parts: Vec<&str> = number.trim_end_matches('.').split('.').collect();
        let ipv4 = parts.len() == 4 && parts.iter().all(|part| part.parse::<u8>().is_ok());
        text.push_str(&rest[..start]);
        text.push_str(if ipv4 { "#" } else { number });
        rest = tail;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_have_one_plain_form() {
        let forms = |text: &str| {
            let line = Line::new(550, text);
            line.forms().last().map(|(_, lower)| lower.to_owned()).unwrap()
        };
        assert_eq!(forms("User Doesn\u{2019}t  exist\u{a0}\u{3000}here"), "550 user doesn't exist here");
        assert_eq!(forms("\u{ff35}ser\u{ff1a}\u{ff08}\u{ff11}\u{ff09} \u{201c}x\u{201d}"), "550 user:(1) \"x\"");
        assert_eq!(forms("rate\u{2011}limited \u{200b}now"), "550 rate-limited now");
        assert_eq!(Line::new(550, "plain already").forms().count(), 1);
    }

    #[test]
    fn addresses_and_links_are_no_words() {
        let words = |text: &str| Line::new(550, text).words().trim_end().to_owned();
        assert_eq!(words("5.7.1 <spam@quota.example>: No such user."), "5.7.1 @: no such user.");
        assert_eq!(words("see https://blocked.example/spam now"), "see now");
        assert_eq!(words("rejected.http://mail.example"), "rejected.");
        assert_eq!(words("see http://www.spamhaus.org/query?ip=203.0.113.9"), "see blocklist");
        assert_eq!(words("发件人spam@example.com不存在"), "发件人@不存在");
        assert_eq!(words("account=a@b.example] over-quota"), "account @] over quota");
        assert_eq!(words("to a@b.example. E-mail"), "to @. email");
        assert_eq!(words("[203.0.113.9] 5.1.1 host[203.0.113.9:25]"), "[#] 5.1.1 host[#:25]");
        assert_eq!(words(""), "");
    }
}
