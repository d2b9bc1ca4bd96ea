//! Which settings there are, and which one a path names. The table is in `keys::table`.

use super::key::Key;

mod table;

pub(super) use table::KEYS;

/// Settings that the manual promises and this version does not have. A key below one of them is meant, too.
static LATER: &[&str] = &["policy"];

/// What a dotted path is.
#[derive(Debug)]
pub(super) enum Found {
    /// A setting.
    Key(&'static Key),
    /// A table on the way to settings.
    Section,
    /// Promised, not here yet.
    Later,
    /// Nothing.
    Unknown,
}

/// Looks a path up, segment by segment.
pub(super) fn find(path: &[&str]) -> Found {
    let starts = |pattern: &str| {
        let parts: Vec<&str> = pattern.split('.').collect();
        let fits = parts.iter().zip(path).all(|(part, segment)| *part == "*" || part == segment);
        fits.then_some(parts.len())
    };
    if let Some(key) = KEYS.iter().find(|key| starts(key.pattern) == Some(path.len())) {
        return Found::Key(key);
    }
    if LATER.iter().any(|pattern| starts(pattern).is_some_and(|length| length <= path.len())) {
        return Found::Later;
    }
    if KEYS.iter().any(|key| starts(key.pattern).is_some_and(|length| length > path.len())) {
        return Found::Section;
    }
    Found::Unknown
}

/// The key of a path that is known to be one.
pub(super) fn key(path: &str) -> Option<&'static Key> {
    match find(&path.split('.').collect::<Vec<_>>()) {
        Found::Key(key) => Some(key),
        Found::Section | Found::Later | Found::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found() {
        assert!(matches!(find(&["listener", "x", "bind"]), Found::Key(_)));
        assert!(matches!(find(&["listener", "x"]), Found::Section));
        assert!(matches!(find(&["account", "x", "budget"]), Found::Section));
        assert!(matches!(find(&["client", "x"]), Found::Section));
        assert!(matches!(find(&["policy", "action"]), Found::Later));
        assert!(matches!(find(&["route"]), Found::Section));
        assert!(matches!(find(&["route", "0", "account"]), Found::Key(_)));
        assert!(matches!(find(&["listener", "x", "bind", "y"]), Found::Unknown));
        assert!(matches!(find(&[""]), Found::Unknown));
    }
}
