//! What an operator looks for among the messages, finished or not: conditions, terms, and a page of what fits. Pure.
//!
//! A message has *terms*: its client, its addresses, its account, the words of its subject. Each condition of a search is a
//! list of terms of which the message must have one. A backend keeps the terms of finished messages in an index of its own,
//! and reads the terms of the others from their rows; both give the same answer because [`TermTexts`] makes them.
//!
//! | of | terms |
//! | --- | --- |
//! | the client | its name, its address |
//! | the sender, each recipient | the address, `local@`, `@domain`; `<>` for the null sender |
//! | the account of the last attempt | its name |
//! | the subject | words, in lower case; of text without spaces (Chinese, Japanese, Korean) each pair of characters |

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::mail::Address;

use super::entry::QueueEntry;
use super::state::MessageState;

/// The longest subject that a record keeps, in characters.
pub const LONGEST_SUBJECT: usize = 200;
/// The longest term, in octets; a longer one is cut between characters.
const LONGEST_TERM: usize = 100;
/// From so many characters on a word of a search finds words that begin with it.
const PREFIX: usize = 3;

/// Which messages [`Inspection::search`](super::Inspection::search) returns: those that meet every condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageSearch {
    /// Only messages that are shown in one of these states; empty: in any.
    pub states: Vec<MessageState>,
    /// The name of the client, or its address.
    pub client: Option<String>,
    /// The envelope sender: an address, a domain, or the part before the `@`.
    pub sender: Option<String>,
    /// A recipient, as `sender`.
    pub recipient: Option<String>,
    /// Words of the subject: the subject has all of them. A word of three characters or more finds longer words that begin
    /// with it.
    pub subject: Option<String>,
    /// The account of the last attempt; of an unfinished message also one of `account_pools`.
    pub account: Option<String>,
    /// The pools that have `account`.
    pub account_pools: Vec<String>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
    /// The order of the answer.
    pub order: SearchOrder,
    /// Only what comes after the page that ended with this place.
    pub after: Option<SearchCursor>,
    /// At most this many; 0 means 100.
    pub limit: usize,
}

/// The order of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SearchOrder {
    /// The message that arrived last comes first.
    #[default]
    NewestFirst,
    /// The message that arrived first comes first.
    OldestFirst,
}

/// The place where a page ended. Its text is for the next call only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchCursor(pub(super) i64);

impl std::fmt::Display for SearchCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl SearchCursor {
    /// The place that has this text.
    pub fn parse(text: &str) -> Option<SearchCursor> {
        i64::from_str_radix(text, 16).ok().filter(|place| *place >= 0 && !text.starts_with('+')).map(SearchCursor)
    }
}

/// A page of what fits.
#[derive(Clone, Debug, Default)]
pub struct SearchPage {
    /// The messages.
    pub entries: Vec<QueueEntry>,
    /// How many fit in all, on this page and on others.
    pub total: u64,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<SearchCursor>,
}

/// One condition: the message has one of these terms.
pub(super) type Condition = Vec<SearchTerm>;

/// A term that is looked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SearchTerm {
    /// This one.
    Exact(String),
    /// Any that begins with this.
    Prefix(String),
}

impl SearchTerm {
    /// Whether one of `terms` is meant.
    fn is_in(&self, terms: &BTreeSet<String>) -> bool {
        match self {
            SearchTerm::Exact(term) => terms.contains(term),
            SearchTerm::Prefix(prefix) => {
                terms.range(prefix.clone()..).next().is_some_and(|term| term.starts_with(prefix))
            }
        }
    }
}

impl MessageSearch {
    /// The conditions on terms; all of them must hold. `account` is left out: of unfinished messages it is not a term.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let RowConditions { client, sender, recipient, subject, .. } = self.row_conditions();
        client.into_iter().chain(sender).chain(recipient).chain(subject).collect()
    }

    /// The condition on the account of a finished message.
    pub(super) fn account_condition(&self) -> Option<Condition> {
        self.account.as_ref().map(|account| vec![SearchTerm::Exact(term('a', account))])
    }

    /// The conditions, by the column of a row that each of them is about.
    pub(super) fn row_conditions(&self) -> RowConditions<'_> {
        RowConditions {
            search: self,
            client: self.client.as_ref().map(|client| vec![SearchTerm::Exact(term('c', client))]),
            sender: self.sender.as_ref().map(|sender| address_condition('f', sender)),
            recipient: self.recipient.as_ref().map(|recipient| address_condition('r', recipient)),
            subject: self.subject.iter().flat_map(|subject| subject_conditions(subject)).collect(),
            account: self.account_condition(),
        }
    }

    /// Whether messages that are shown in this state are wanted.
    pub(super) fn wants(&self, state: MessageState) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    /// Whether messages that were received then are wanted.
    pub(super) fn is_in_time(&self, received: Timestamp) -> bool {
        self.since.is_none_or(|since| received >= since) && self.until.is_none_or(|until| received < until)
    }

    /// Whether a message, as it is shown, meets every condition.
    pub fn fits(&self, entry: &QueueEntry) -> bool {
        let of_account = |condition: Condition| {
            let own = entry.account.as_ref().map(|account| term('a', account));
            own.is_some_and(|own| meets(&condition, &own))
                || !entry.state.is_final() && self.account_pools.contains(&entry.pool)
        };
        self.is_in_time(entry.received)
            && self.wants(entry.state)
            && self.account_condition().is_none_or(of_account)
            && {
                let conditions = self.conditions();
                let terms = if conditions.is_empty() { BTreeSet::new() } else { terms(entry) };
                conditions.iter().all(|condition| condition.iter().any(|term| term.is_in(&terms)))
            }
    }
}

/// What a scan reads of a message before anything else.
pub(super) struct ScannedRow<'a> {
    /// The state in which it is shown.
    pub(super) state: MessageState,
    pub(super) received: Timestamp,
    pub(super) client: &'a str,
    /// The client's address, as text.
    pub(super) addr: &'a str,
    /// The envelope sender; empty: the null sender.
    pub(super) sender: &'a str,
    pub(super) account: Option<&'a str>,
    pub(super) pool: &'a str,
    pub(super) subject: Option<&'a str>,
}

/// The conditions of a search as a scan of rows compares them: the same answer as [`MessageSearch::fits`], the cheap columns
/// first.
pub(super) struct RowConditions<'a> {
    search: &'a MessageSearch,
    client: Option<Condition>,
    sender: Option<Condition>,
    recipient: Option<Condition>,
    subject: Vec<Condition>,
    account: Option<Condition>,
}

impl RowConditions<'_> {
    /// Whether the message meets every condition but that on the recipients.
    pub(super) fn fit(&self, row: &ScannedRow<'_>) -> bool {
        let client = |wanted: &Condition| meets(wanted, &term('c', row.client)) || meets(wanted, &term('c', row.addr));
        let account = |wanted: &Condition| {
            row.account.is_some_and(|account| meets(wanted, &term('a', account)))
                || !row.state.is_final() && self.search.account_pools.iter().any(|pool| pool == row.pool)
        };
        self.search.wants(row.state)
            && self.search.is_in_time(row.received)
            && self.client.as_ref().is_none_or(client)
            && self.sender.as_ref().is_none_or(|wanted| is_address(wanted, 'f', row.sender))
            && self.account.as_ref().is_none_or(account)
            && (self.subject.is_empty() || row.subject.is_some_and(|subject| self.subject_fits(subject)))
    }

    fn subject_fits(&self, subject: &str) -> bool {
        let terms = subject_terms(subject);
        self.subject.iter().all(|condition| condition.iter().any(|term| term.is_in(&terms)))
    }

    /// Whether the recipients must be read.
    pub(super) fn needs_recipients(&self) -> bool {
        self.recipient.is_some()
    }

    /// Whether one recipient meets the condition on them.
    pub(super) fn recipient_fits(&self, address: &str) -> bool {
        self.recipient.as_ref().is_none_or(|wanted| is_address(wanted, 'r', address))
    }
}

/// Whether a condition wants this term.
fn meets(condition: &Condition, term: &str) -> bool {
    condition.iter().any(|wanted| match wanted {
        SearchTerm::Exact(exact) => exact == term,
        SearchTerm::Prefix(prefix) => term.starts_with(prefix),
    })
}

/// Whether a condition wants one of the terms of an address; empty: the null sender.
fn is_address(condition: &Condition, kind: char, address: &str) -> bool {
    match address {
        "" => meets(condition, &term(kind, "<>")),
        _ => address_terms(kind, address).any(|term| meets(condition, &term)),
    }
}

/// The texts of a message that its terms are made of.
pub(super) struct TermTexts<'a> {
    pub(super) client: &'a str,
    /// The client's address, as text.
    pub(super) addr: &'a str,
    /// The envelope sender; empty: the null sender.
    pub(super) sender: &'a str,
    pub(super) account: Option<&'a str>,
    pub(super) subject: Option<&'a str>,
}

impl TermTexts<'_> {
    /// All terms of a message with these texts and recipients.
    pub(super) fn terms<'b>(&self, recipients: impl Iterator<Item = &'b str>) -> BTreeSet<String> {
        let mut terms = subject_terms(self.subject.unwrap_or_default());
        terms.extend([term('c', self.client), term('c', self.addr)]);
        match self.sender {
            "" => drop(terms.insert(term('f', "<>"))),
            sender => terms.extend(address_terms('f', sender)),
        }
        terms.extend(recipients.flat_map(|address| address_terms('r', address)));
        terms.extend(self.account.map(|account| term('a', account)));
        terms
    }
}

/// All terms of a message.
pub(super) fn terms(entry: &QueueEntry) -> BTreeSet<String> {
    let texts = TermTexts {
        client: &entry.origin.client,
        addr: &entry.origin.addr.to_string(),
        sender: entry.sender.address().map_or("", Address::as_str),
        account: entry.account.as_deref(),
        subject: entry.subject.as_deref(),
    };
    texts.terms(entry.recipients.iter().map(|recipient| recipient.address.as_str()))
}

fn subject_terms(subject: &str) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    for word in words(subject) {
        match word {
            Word::Letters(word) => drop(terms.insert(term('w', &word))),
            Word::Characters(run) => {
                terms.extend(run.windows(2).map(|pair| term('w', &String::from_iter(pair))));
                // The last character begins no pair.
                terms.extend(run.last().map(|last| term('w', &last.to_string())));
            }
        }
    }
    terms
}

/// The term of this kind for a text.
pub(super) fn term(kind: char, text: &str) -> String {
    let mut term = String::from(kind);
    for c in text.trim().chars().flat_map(char::to_lowercase).filter(|c| !c.is_control()) {
        if term.len() + c.len_utf8() > LONGEST_TERM {
            break;
        }
        term.push(c);
    }
    term
}

fn address_terms(kind: char, text: &str) -> impl Iterator<Item = String> {
    let at = text.rfind('@').unwrap_or(text.len());
    let (local, domain) = text.split_at(at);
    [term(kind, text), term(kind, &format!("{local}@")), term(kind, domain)].into_iter()
}

/// An operator writes an address, a domain with or without `@`, or the part before the `@`.
fn address_condition(kind: char, text: &str) -> Condition {
    let text = text.trim().trim_start_matches('<').trim_end_matches('>');
    let exact = |text: &str| SearchTerm::Exact(term(kind, text));
    match text {
        "" => vec![exact("<>")],
        _ if text.contains('@') => vec![exact(text)],
        _ => vec![exact(&format!("@{text}")), exact(&format!("{text}@"))],
    }
}

fn subject_conditions(text: &str) -> Vec<Condition> {
    let mut all = Vec::new();
    for word in words(text) {
        match word {
            Word::Letters(word) if word.chars().count() >= PREFIX => all.push(SearchTerm::Prefix(term('w', &word))),
            Word::Letters(word) => all.push(SearchTerm::Exact(term('w', &word))),
            Word::Characters(run) if run.len() == 1 => {
                all.push(SearchTerm::Prefix(term('w', &String::from_iter(&run))));
            }
            Word::Characters(run) => {
                all.extend(run.windows(2).map(|pair| SearchTerm::Exact(term('w', &String::from_iter(pair)))));
            }
        }
    }
    all.into_iter().map(|term| vec![term]).collect()
}

/// A part of a subject.
enum Word {
    /// Letters and digits, in lower case.
    Letters(String),
    /// Characters of a script that writes no spaces between words.
    Characters(Vec<char>),
}

/// The parts of a subject, in their order.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut within = false;
    for c in text.chars().map(narrow).flat_map(char::to_lowercase) {
        match words.last_mut() {
            Some(Word::Characters(run)) if within && is_unspaced(c) => run.push(c),
            _ if is_unspaced(c) => words.push(Word::Characters(vec![c])),
            Some(Word::Letters(word)) if within && c.is_alphanumeric() => word.push(c),
            _ if c.is_alphanumeric() => words.push(Word::Letters(c.into())),
            Some(_) | None => {}
        }
        within = c.is_alphanumeric();
    }
    words
}

/// Full-width letters, digits and signs (U+FF01 to U+FF5E) as those of ASCII.
fn narrow(c: char) -> char {
    match u32::from(c) {
        code @ 0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Whether the character belongs to a script without spaces between words: Han, kana, hangul.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x3005 | 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| format!("w{word}")).collect()
    }

    #[test]
    fn subjects_are_cut_into_words_and_pairs() {
        assert_eq!(subject_terms("Re: Invoice_2026-11 ＡＢＣ"), set(&["re", "invoice", "2026", "11", "abc"]));
        assert_eq!(subject_terms("2楼扫描件 scan.pdf"), set(&["2", "楼扫", "扫描", "描件", "件", "scan", "pdf"]));
        assert_eq!(subject_terms("  --  "), set(&[]));
    }

    #[test]
    fn a_search_finds_beginnings_of_words_and_parts_of_chinese_text() {
        let finds = |search: &str, subject: &str| {
            let terms = subject_terms(subject);
            subject_conditions(search).iter().all(|condition| condition.iter().any(|term| term.is_in(&terms)))
        };
        assert!(finds("inv", "Invoice 7") && finds("INVOICE", "an invoice") && !finds("voice", "Invoice"));
        assert!(finds("扫描", "2楼扫描件") && finds("描件", "2楼扫描件") && finds("件", "2楼扫描件"));
        assert!(!finds("扫件", "2楼扫描件") && !finds("in", "Invoice") && finds("7", "Invoice 7"));
    }

    #[test]
    fn addresses_are_found_whole_by_domain_and_by_mailbox() {
        let address = Address::parse("Boss@Example.com").unwrap();
        let terms: BTreeSet<String> = address_terms('r', address.as_str()).collect();
        for text in ["boss@example.com", "<boss@example.com>", "@example.com", "example.com", "boss", "boss@"] {
            assert!(address_condition('r', text).iter().any(|term| term.is_in(&terms)), "{text}");
        }
        for text in ["os", "example", "boss@example.co", "", "ss@example.com"] {
            assert!(!address_condition('r', text).iter().any(|term| term.is_in(&terms)), "{text}");
        }
    }

    #[test]
    fn a_cursor_keeps_its_place_and_odd_ones_are_none() {
        let place = SearchCursor(0x1234);
        assert_eq!(SearchCursor::parse(&place.to_string()), Some(place));
        for odd in ["", "-1", "+1", "x", "fffffffffffffffff"] {
            assert_eq!(SearchCursor::parse(odd), None, "{odd}");
        }
    }
}
