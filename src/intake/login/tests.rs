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
    Patience {
        most,
        forgive: Duration::from_secs(3600),
        delay: Duration::ZERO,
        longest: Duration::ZERO,
        most_of_user: most,
    }
}

async fn ask(users: &Arc<Users>, login: &str, password: &str) -> Verdict {
    users.verify([192, 0, 2, 1].into(), login, Secret::new(password)).await
}

#[tokio::test]
async fn the_right_password_of_the_right_user_and_nothing_else() {
    let hashed = crate::secret::password::hash(&Secret::new("second"), &[1; 16]);
    let users =
        Arc::new(Users::new([user("printer", "first"), user("scanner", &hashed)], patience(100), Arc::default()));
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
            Verdict::LockedOut | Verdict::Later | Verdict::Unavailable => panic!("{login}"),
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
        let users = Arc::new(Users::new([lost.clone()], patience(100), Arc::default()));
        for typed in ["", "x", "$argon2id$broken"] {
            assert!(matches!(ask(&users, "printer@lan.local", typed).await, Verdict::Wrong { .. }), "{typed}");
        }
    }
}

#[tokio::test]
async fn a_059_fifty_guesses_at_once_are_not_fifty_guesses() {
    let users = Arc::new(Users::new([user("printer", "right")], patience(5), Arc::default()));
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

#[test]
fn a_059_every_wrong_log_in_costs_the_same_work() {
    const CHEAP: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG";
    const COSTLY: &str = "$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG";
    let mut lost = user("lost", "");
    lost.password = SecretSource::File("/no/such/file".into());
    let all = [user("text", "first"), user("cheap", CHEAP), user("costly", COSTLY), lost];
    let users = Users::new(all, patience(1000), Arc::default());
    let work = |login: &str, password: &str| {
        let (mut workspace, address) = (Workspace::default(), [192, 0, 2, 1].into());
        let verdict = users.judge(address, login, &Secret::new(password), Turn::Now, &mut workspace).unwrap();
        workspace.computed.sort_unstable();
        (matches!(verdict, Verdict::Welcome(_)), workspace.computed)
    };
    let everything = vec![64, 1024, 19 * 1024];
    for login in ["text", "cheap", "costly", "lost", "nobody", ""] {
        assert_eq!(work(&format!("{login}@lan.local"), "wrong"), (false, everything.clone()), "{login}");
    }
    assert_eq!(work("text@lan.local", "first"), (true, vec![19 * 1024]));
}

#[tokio::test]
async fn guesses_from_many_addresses_do_not_delay_an_address_that_has_logged_in() {
    let users = Arc::new(Users::new(
        [user("printer", "right")],
        Patience { most_of_user: 10, ..patience(1000) },
        Arc::default(),
    ));
    let login = "printer@lan.local";
    let known = IpAddr::from([198, 51, 100, 1]);
    let from = async |address: IpAddr, password: &str| users.verify(address, login, Secret::new(password)).await;
    assert!(matches!(from(known, "right").await, Verdict::Welcome(_)));
    // The spare time of the pace is over when the last guess counts: what follows from there is seen without a wait.
    for n in 0..40 {
        users.pace.wrong(login, Turn::Now, Instant::now());
        if n < 5 {
            assert!(matches!(from([203, 0, 113, n].into(), "guess").await, Verdict::Wrong { .. }));
        }
    }
    assert!(matches!(from([203, 0, 113, 99].into(), "right").await, Verdict::Later));
    assert!(matches!(from(known, "right").await, Verdict::Welcome(_)));
    // Another user is not concerned.
    let other = users.verify([203, 0, 113, 98].into(), "scanner@lan.local", Secret::new("x")).await;
    assert!(matches!(other, Verdict::Wrong { .. }));
}

#[tokio::test]
async fn a_right_log_in_does_not_wait_behind_the_guesses_of_another_address() {
    let users = Arc::new(Users::new([user("printer", "right")], patience(1000), Arc::default()));
    let guesser = IpAddr::from([203, 0, 113, 1]);
    let mut guesses = tokio::task::JoinSet::new();
    for n in 0..40 {
        let users = users.clone();
        guesses.spawn(async move { users.verify(guesser, &format!("user {n}"), Secret::new("guess")).await });
    }
    // On one thread each of them has run to its wait by now.
    tokio::task::yield_now().await;
    assert!(matches!(ask(&users, "printer@lan.local", "right").await, Verdict::Welcome(_)));
    let done = users.lockout.wrong(guesser, Instant::now());
    assert!(done < 20, "{done} of 40 guesses were compared first");
    assert_eq!(guesses.join_all().await.len(), 40);
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
