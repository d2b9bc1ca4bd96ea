//! Tests of log-ins without a socket: who gets in, who is told apart, and what a flood of guesses costs.

use super::*;
use crate::mail::Address;

fn user(name: &str, password: &str) -> User {
    User {
        name: name.to_owned(),
        login: format!("{name}@lan.local"),
        password: SecretSource::Plain(Secret::new(password)),
        client: None,
        pool: None,
        senders: Vec::new(),
    }
}

/// Nobody waits, nobody is forgiven.
fn patience(most: u32) -> Patience {
    Patience { most, forgive: Duration::from_secs(3600), delay: Duration::ZERO, longest: Duration::ZERO }
}

async fn ask(users: &Arc<Users>, login: &str, password: &str) -> Verdict {
    users.verify([192, 0, 2, 1].into(), login, Secret::new(password)).await
}

#[tokio::test]
async fn the_right_password_of_the_right_user_and_nothing_else() {
    let hashed = crate::secret::password::hash(&Secret::new("second"), &[1; 16]);
    let users = Arc::new(Users::new([user("printer", "first"), user("scanner", &hashed)], patience(100)));
    for (login, password, name) in [
        ("printer@lan.local", "first", Some("printer")),
        ("Printer@LAN.local", "first", Some("printer")),
        ("scanner@lan.local", "second", Some("scanner")),
        ("printer@lan.local", "second", None),
        ("scanner@lan.local", "first", None),
        ("scanner@lan.local", &hashed, None),
        // The decoy's password is no master key.
        ("nobody", "first", None),
        ("", "first", None),
        ("printer@lan.local", "", None),
    ] {
        let found = match ask(&users, login, password).await {
            Verdict::Welcome(user) => Some(user.name.clone()),
            Verdict::Wrong { .. } => None,
            Verdict::LockedOut => panic!("{login}"),
        };
        assert_eq!(found.as_deref(), name, "{login} {password}");
    }
    assert!(matches!(ask(&Arc::default(), "", "").await, Verdict::Wrong { user: None, count: 1 }));
}

#[tokio::test]
async fn a_password_that_cannot_be_read_lets_nobody_in() {
    let mut lost = user("printer", "x");
    for place in [SecretSource::File("/no/such/file".into()), SecretSource::Plain(Secret::new("$argon2id$broken"))] {
        lost.password = place;
        let users = Arc::new(Users::new([lost.clone()], patience(100)));
        for typed in ["", "x", "$argon2id$broken"] {
            assert!(matches!(ask(&users, "printer@lan.local", typed).await, Verdict::Wrong { .. }), "{typed}");
        }
    }
}

#[tokio::test]
async fn a_059_fifty_guesses_at_once_are_not_fifty_guesses() {
    let users = Arc::new(Users::new([user("printer", "right")], patience(5)));
    let guesses: Vec<_> = (0..50)
        .map(|n| {
            let users = users.clone();
            tokio::spawn(async move { ask(&users, "printer@lan.local", &format!("guess {n}")).await })
        })
        .collect();
    let mut compared = 0;
    for guess in guesses {
        compared += u32::from(matches!(guess.await.unwrap(), Verdict::Wrong { .. }));
    }
    // One more may be under way for each worker but the one that locks.
    assert!((5..5 + WORKERS as u32).contains(&compared), "{compared}");
    // Not even the right one is looked at now; from elsewhere it is.
    assert!(matches!(ask(&users, "printer@lan.local", "right").await, Verdict::LockedOut));
    let elsewhere = users.verify([192, 0, 2, 2].into(), "printer@lan.local", Secret::new("right")).await;
    assert!(matches!(elsewhere, Verdict::Welcome(_)));
}

#[tokio::test]
async fn a_059_a_user_that_does_not_exist_costs_the_same_work() {
    let users = Arc::new(Users::new([user("printer", "right")], patience(1000)));
    let mut spent = [Duration::ZERO; 2];
    // Taken in turns, so that a busy machine is busy for both.
    for _ in 0..12 {
        for (login, spent) in ["printer@lan.local", "nobody@lan.local"].into_iter().zip(&mut spent) {
            let start = Instant::now();
            assert!(matches!(ask(&users, login, "wrong").await, Verdict::Wrong { .. }));
            *spent += start.elapsed();
        }
    }
    // Without the work it would be a thousandth.
    assert!(spent[1] * 3 > spent[0] && spent[0] * 3 > spent[1], "{spent:?}");
}

#[test]
fn a_user_bound_to_addresses_sends_as_no_other() {
    let path = |text: &str| ReversePath::Address(Address::parse(text).unwrap());
    let mut bound = user("printer", "x");
    assert!(bound.may_send_as(&ReversePath::Null) && bound.may_send_as(&path("anybody@example.com")));
    bound.senders = ["printer@example.com", "*@lan.local"].map(|text| Pattern::parse(text).unwrap()).to_vec();
    assert!(bound.may_send_as(&path("Printer@Example.com")) && bound.may_send_as(&path("x@lan.local")));
    assert!(!bound.may_send_as(&path("boss@example.com")) && !bound.may_send_as(&ReversePath::Null));
}
