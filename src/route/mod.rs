//! Which accounts may take a message? Rules by client, sender and recipient, pure: words in, the name of a pool out.
//!
//! A pool is a text, because it is kept with each message: `office,backup` is tried in this order (overflow, failover),
//! `office|backup` is used by turns. The first rule that fits wins; where none fits, the first account takes it.
//!
//! Not here: which account of the pool is used now (`delivery`), and whether a rule makes sense (`config`).
//! Invariant: what [`Router::pool`] says is one of [`Router::pools`], and reads back as the same [`Pool`].

use std::sync::Arc;

use crate::mail::{Address, ReversePath};

mod pattern;
mod pool;

pub use pattern::{Pattern, PatternError};
pub use pool::Pool;

/// One rule. An empty list fits everything; all lists that are given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Names of clients, exactly as in the settings.
    pub clients: Vec<String>,
    /// Envelope senders, as the client gave them.
    pub senders: Vec<Pattern>,
    /// Envelope recipients.
    pub recipients: Vec<Pattern>,
    /// The accounts that take it, the preferred one first. An empty list means what no rule at all means.
    pub accounts: Vec<String>,
    /// Use them by turns instead of in order.
    pub spread: bool,
}

#[derive(Clone, Debug)]
struct Compiled {
    rule: Rule,
    pool: Arc<str>,
}

/// The rules of the settings, ready to be asked.
#[derive(Clone, Debug)]
pub struct Router {
    rules: Vec<Compiled>,
    accounts: Vec<String>,
    /// Where no rule fits.
    otherwise: Arc<str>,
}

impl Router {
    /// A router of these rules, over all accounts in the order of the settings.
    pub fn new(rules: Vec<Rule>, all_accounts: Vec<String>) -> Router {
        let first = all_accounts.first().cloned().into_iter().collect();
        let otherwise: Arc<str> = Pool { accounts: first, spread: false }.text();
        let compiled = |rule: Rule| {
            let pool = Pool { accounts: rule.accounts.clone(), spread: rule.spread };
            let pool = if rule.accounts.is_empty() { otherwise.clone() } else { pool.text() };
            Compiled { rule, pool }
        };
        Router { rules: rules.into_iter().map(compiled).collect(), accounts: all_accounts, otherwise }
    }

    /// The pool for one recipient of a message.
    pub fn pool(&self, client: &str, sender: &ReversePath, recipient: &Address) -> Arc<str> {
        let sender = Key::of(sender.address());
        self.first(self.rules.iter().filter(|one| one.fits_origin(client, &sender)), recipient)
    }

    /// The places of the recipients by pool, in the order in which the pools appear. One group, nearly always.
    pub fn split(&self, client: &str, sender: &ReversePath, recipients: &[Address]) -> Vec<(Arc<str>, Vec<usize>)> {
        let sender = Key::of(sender.address());
        let mut fitting: Vec<&Compiled> = Vec::new();
        for one in self.rules.iter().filter(|one| one.fits_origin(client, &sender)) {
            fitting.push(one);
            if one.rule.recipients.is_empty() {
                break;
            }
        }
        let mut groups: Vec<(Arc<str>, Vec<usize>)> = Vec::with_capacity(1);
        for (place, recipient) in recipients.iter().enumerate() {
            let pool = self.first(fitting.iter().copied(), recipient);
            match groups.iter_mut().find(|(text, _)| *text == pool) {
                Some((_, places)) => places.push(place),
                None => groups.push((pool, vec![place])),
            }
        }
        groups
    }

    /// All pools that can come out: of the rules, where none fits, each single account, and what
    /// [`Router::without`] says. No text twice.
    pub fn pools(&self) -> Vec<Arc<str>> {
        let single = |name: &String| Pool { accounts: vec![name.clone()], spread: false }.text();
        let mut pools: Vec<Arc<str>> = Vec::new();
        let rules = self.rules.iter().map(|one| one.pool.clone());
        let others = self.accounts.iter().filter_map(|name| self.without(name));
        let none = (!self.accounts.is_empty()).then(|| self.otherwise.clone());
        for pool in rules.chain(none).chain(self.accounts.iter().map(single)).chain(others) {
            if !pools.contains(&pool) {
                pools.push(pool);
            }
        }
        pools
    }

    /// The pool of all other accounts, in order: the way for an alarm about this one. `None` when there is no other.
    pub fn without(&self, account: &str) -> Option<Arc<str>> {
        let accounts: Vec<String> = self.accounts.iter().filter(|name| *name != account).cloned().collect();
        (!accounts.is_empty()).then(|| Pool { accounts, spread: false }.text())
    }

    fn first<'a>(&self, rules: impl Iterator<Item = &'a Compiled>, recipient: &Address) -> Arc<str> {
        let key = Key::of(Some(recipient));
        let mut rules = rules;
        rules.find(|one| key.fits(&one.rule.recipients)).map_or_else(|| self.otherwise.clone(), |one| one.pool.clone())
    }
}

impl Compiled {
    fn fits_origin(&self, client: &str, sender: &Key<'_>) -> bool {
        (self.rule.clients.is_empty() || self.rule.clients.iter().any(|name| name == client))
            && sender.fits(&self.rule.senders)
    }
}

/// An address, and the form of it that is compared, which is made when it is first needed.
struct Key<'a> {
    address: Option<&'a Address>,
    text: std::cell::OnceCell<String>,
}

impl Key<'_> {
    fn of(address: Option<&Address>) -> Key<'_> {
        Key { address, text: std::cell::OnceCell::new() }
    }

    fn fits(&self, patterns: &[Pattern]) -> bool {
        let text = || self.address.map(|address| self.text.get_or_init(|| address.key()).as_str());
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.fits_key(text()))
    }
}

#[cfg(test)]
mod tests;
