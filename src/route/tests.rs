//! Rules, patterns and pools.

use super::*;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn addresses(texts: &[&str]) -> Vec<Address> {
    texts.iter().map(|text| address(text)).collect()
}

fn from(text: &str) -> ReversePath {
    ReversePath::parse(text).unwrap()
}

fn names(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn rule(clients: &[&str], senders: &[&str], recipients: &[&str], accounts: &[&str]) -> Rule {
    Rule {
        clients: names(clients),
        senders: patterns(senders),
        recipients: patterns(recipients),
        accounts: names(accounts),
        spread: false,
    }
}

fn router(rules: Vec<Rule>) -> Router {
    Router::new(rules, names(&["office", "backup", "alerts"]))
}

#[test]
fn patterns_fit_what_they_say() {
    for (pattern, fit, other) in [
        ("*", vec!["a@b.c", "printer", "\"a b\"@c"], vec![]),
        ("*@b.c", vec!["a@b.c", "A@B.C", "\"x y\"@b.c", "a@b.c."], vec!["a@x.b.c", "a@c", "printer", "\"a@b.c\"@d"]),
        ("*@b.c", vec!["a+x@b.c"], vec!["\"x@y\"@b.c", "x%y@b.c", "y!x@b.c", "\"y!x\"@b.c", "/x@b.c"]),
        ("X%y@b.c", vec!["x%y@b.c", "\"x%y\"@b.c"], vec!["x@b.c"]),
        ("B.C", vec!["a@b.c", "x@B.c"], vec!["a@b.d"]),
        (
            "Bob@Example.com",
            vec!["bob@example.COM", "\"bob\"@example.com"],
            vec!["bobby@example.com", "bob@example.co"],
        ),
        ("\"a b\"@c.d", vec!["\"A b\"@c.d"], vec!["ab@c.d"]),
        ("printer@", vec!["printer", "Printer"], vec!["printer@x", "printer2"]),
        ("*@[10.0.0.1]", vec!["a@[10.0.0.1]"], vec!["a@10.0.0.1"]),
        (" b.c ", vec!["a@b.c"], vec![]),
    ] {
        let read = Pattern::parse(pattern).unwrap();
        assert_eq!(Pattern::parse(&read.to_string()), Ok(read.clone()), "{pattern} reads back");
        assert!(fit.iter().all(|text| read.permits(Some(&address(text)))), "{pattern} fits {fit:?}");
        assert!(!other.iter().any(|text| read.permits(Some(&address(text)))), "{pattern} does not fit {other:?}");
        assert_eq!(read.permits(None), pattern == "*", "{pattern} and the null sender");
    }
}

#[test]
fn bad_patterns_are_named() {
    use crate::mail::AddressError;
    for (text, error) in [
        ("", PatternError::Empty),
        ("  ", PatternError::Empty),
        ("a*@b.c", PatternError::Wildcard),
        ("*@*.b.c", PatternError::Wildcard),
        ("*.b.c", PatternError::Wildcard),
        ("**", PatternError::Wildcard),
        ("*@", PatternError::Address(AddressError::Syntax)),
        ("*@a@b", PatternError::Address(AddressError::Syntax)),
        ("@b.c", PatternError::Address(AddressError::Syntax)),
        ("a@b@c", PatternError::Address(AddressError::Syntax)),
        ("a b@c", PatternError::Address(AddressError::Syntax)),
        ("b..c", PatternError::Address(AddressError::Syntax)),
        ("例子.广告", PatternError::Address(AddressError::NotAscii)),
    ] {
        assert_eq!(Pattern::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn pools_read_back() {
    let pool = |text: &str| Pool::parse(text);
    assert_eq!(pool("office,backup"), Pool { accounts: names(&["office", "backup"]), spread: false });
    assert_eq!(pool("office|backup"), Pool { accounts: names(&["office", "backup"]), spread: true });
    assert_eq!(pool("office"), Pool { accounts: names(&["office"]), spread: false });
    assert_eq!(pool(""), Pool::default());
    for (text, canonical) in
        [(" a , b,,a", "a,b"), ("a|b|a", "a|b"), ("a|a", "a"), ("|", ""), ("a,b|c", "a|b|c"), ("办公室,b", "办公室,b")]
    {
        assert_eq!(pool(text).to_string(), canonical, "{text}");
        assert_eq!(pool(canonical), pool(text), "{text}");
    }
    assert_eq!(&*Pool { accounts: names(&["a", "a"]), spread: true }.text(), "a");
}

#[test]
fn without_rules_the_first_account_takes_everything() {
    let router = router(vec![]);
    assert_eq!(&*router.pool("", &ReversePath::Null, &address("a@b.c")), "office");
    let groups = router.split("scanner", &from("a@b.c"), &addresses(&["x@y", "z@y"]));
    assert_eq!(groups, [(Arc::from("office"), vec![0, 1])]);
    assert_eq!(router.split("scanner", &from(""), &[]), []);
}

#[test]
fn the_first_rule_that_fits_wins() {
    let router = router(vec![
        rule(&["ups"], &[], &["*@pager.example"], &["alerts"]),
        rule(&["ups", "scanner"], &["*@example.com"], &[], &["backup", "office"]),
        rule(&[], &["printer@"], &[], &["backup"]),
        rule(&[], &["*"], &["boss@example.com"], &["alerts", "office"]),
        rule(&["nobody"], &[], &[], &[]),
    ]);
    for (client, sender, recipient, pool) in [
        ("ups", "x@example.com", "a@pager.example", "alerts"),
        ("ups", "x@example.com", "a@b.c", "backup,office"),
        ("scanner", "x@EXAMPLE.com", "a@pager.example", "backup,office"),
        ("Scanner", "x@example.com", "a@b.c", "office"),
        ("cron", "printer", "a@b.c", "backup"),
        ("cron", "", "Boss@Example.COM", "alerts,office"),
        ("cron", "x@example.com", "a@b.c", "office"),
        ("nobody", "x@example.com", "a@b.c", "office"),
        // Whose account it is does not depend on the local part.
        ("ups", "x@else.test", "a%b.c@pager.example", "alerts"),
    ] {
        assert_eq!(&*router.pool(client, &from(sender), &address(recipient)), pool, "{client} {sender} {recipient}");
        let groups = router.split(client, &from(sender), &addresses(&[recipient]));
        assert_eq!(groups, [(Arc::from(pool), vec![0])], "{client} {sender} {recipient}");
    }
}

#[test]
fn a_message_is_split_by_pool_in_order_of_appearance() {
    let router = router(vec![
        rule(&[], &[], &["a.example"], &["alerts"]),
        rule(&[], &[], &["b.example"], &["backup"]),
        // The same pool by another rule is the same group.
        rule(&[], &[], &["c.example"], &["alerts"]),
    ]);
    let to = addresses(&["1@x.example", "2@b.example", "3@c.example", "4@a.example", "5@y.example", "6@b.example"]);
    let groups = router.split("cron", &ReversePath::Null, &to);
    let seen: Vec<(&str, &[usize])> = groups.iter().map(|(pool, places)| (&**pool, &places[..])).collect();
    assert_eq!(seen, [("office", &[0, 4][..]), ("backup", &[1, 5]), ("alerts", &[2, 3])]);
    for (pool, places) in &groups {
        assert!(places.iter().all(|&place| router.pool("cron", &ReversePath::Null, &to[place]) == *pool));
    }
}

#[test]
fn all_pools_that_can_come_out() {
    let spread = Rule { spread: true, ..rule(&["x"], &[], &[], &["office", "alerts"]) };
    let router = router(vec![rule(&["y"], &[], &[], &["backup"]), spread]);
    let pools: Vec<String> = router.pools().iter().map(|pool| pool.to_string()).collect();
    assert_eq!(
        pools,
        ["backup", "office|alerts", "office", "alerts", "backup,alerts", "office,alerts", "office,backup"]
    );
    assert!(pools.iter().all(|pool| Pool::parse(pool).to_string() == *pool));
    assert_eq!(router.without("office").as_deref(), Some("backup,alerts"));
    assert_eq!(router.without("unknown").as_deref(), Some("office,backup,alerts"));
    let one = Router::new(vec![], names(&["main"]));
    assert_eq!((one.pools(), one.without("main")), (vec![Arc::from("main")], None));
    let none = Router::new(vec![], vec![]);
    assert_eq!((none.pools(), &*none.pool("", &ReversePath::Null, &address("a@b"))), (vec![], ""));
}
