//! Suggests the key that was meant by one that does not exist.
//!
//! Not here: whether a key exists (that is `keys`). A suggestion names keys only, never a value.

use super::keys::{Found, KEYS, find};

/// What people write who know other programs.
static ALIASES: &[(&str, &str)] = &[
    ("password", "secret"),
    ("secret", "password"),
    ("pass", "secret"),
    ("code", "secret"),
    ("username", "user"),
    ("server", "host"),
    ("listen", "bind"),
    ("address", "bind"),
    ("from", "sender"),
    ("to", "recipient"),
    ("url", "webhook"),
    ("regex", "pattern"),
];

/// The remedy for a path that means nothing: the nearest key, or what there is.
pub(super) fn suggest(path: &[&str]) -> String {
    // The first segment that is wrong; what follows may be right.
    let wrong = (1..path.len()).find(|end| matches!(find(&path[..*end]), Found::Unknown)).unwrap_or(path.len());
    let ([parent @ .., last], rest) = path.split_at(wrong) else { return String::new() };
    let siblings = children(parent);
    let alias = ALIASES.iter().find(|(alias, key)| alias == last && siblings.contains(key)).map(|(_, key)| *key);
    if let Some(near) = alias.or_else(|| nearest(last, siblings.iter().copied())) {
        let mut whole = [parent, &[near], rest].concat();
        if matches!(find(&whole), Found::Unknown) {
            whole.truncate(wrong);
        }
        return format!("did you mean `{}`?", whole.join("."));
    }
    // The right word in the wrong section.
    if let Some(key) = KEYS.iter().find(|key| key.pattern.rsplit('.').next() == path.last().copied()) {
        return format!("did you mean `{}`?", key.pattern.replace('*', "NAME"));
    }
    let place = if parent.is_empty() { "at the top".to_owned() } else { format!("in [{}]", parent.join(".")) };
    format!("remove it; there is {place}: {}", siblings.join(", "))
}

/// The names that may follow `parent`, without the ones users choose.
fn children(parent: &[&str]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in KEYS {
        let parts: Vec<&str> = key.pattern.split('.').collect();
        let fits = parts.len() > parent.len() && parts.iter().zip(parent).all(|(part, p)| *part == "*" || part == p);
        if fits && parts[parent.len()] != "*" && !names.contains(&parts[parent.len()]) {
            names.push(parts[parent.len()]);
        }
    }
    names
}

/// The candidate that `word` is most likely a slip for, if any is near enough.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let scored = candidates.map(|candidate| (distance(&word, candidate), candidate));
    // A third of the word may be wrong, but never all of a short one.
    let bound = (word.chars().count() / 3).clamp(1, 3);
    scored.filter(|(distance, _)| *distance <= bound).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Optimal string alignment: insertions, deletions, changes and swaps of neighbours each cost 1.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swap = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                change.min(swap).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1)
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        assert_eq!(suggest(&["listener", "local", "bnid"]), "did you mean `listener.local.bind`?");
        assert_eq!(suggest(&["acount"]), "did you mean `account`?");
        assert_eq!(suggest(&["bind"]), "did you mean `listener.NAME.bind`?");
        assert_eq!(suggest(&["limit", "connections"]), "did you mean `limits.connections`?");
        assert_eq!(suggest(&["limit", "nonsense"]), "did you mean `limits`?");
        assert_eq!(suggest(&["account", "main", "password"]), "did you mean `account.main.secret`?");
        assert_eq!(suggest(&[]), "");
        assert_eq!(suggest(&["log", "colour"]), "remove it; there is in [log]: format, level, subject");
        assert_eq!(suggest(&["limits", "messages_per_clients"]), "did you mean `limits.messages_per_client`?");
        assert_eq!(nearest("x", ["tls"].into_iter()), None);
        assert_eq!((distance("bnid", "bind"), distance("", "abc"), distance("名", "名字")), (1, 3, 1));
    }
}
