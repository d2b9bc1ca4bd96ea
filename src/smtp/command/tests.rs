//! Tests of the command grammar: what real clients write, and what it is taken for.

use super::*;

fn to(line: &str) -> Result<String, CommandError> {
    match parse(line.as_bytes(), true)? {
        Command::Rcpt { to, .. } => Ok(to.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_051_the_relay_probes_of_nmap_are_taken_literally_or_refused() {
    // `%` and `!` mean nothing, a route is dropped, two at signs are refused.
    for (path, wanted) in [
        ("<relay%dom@[10.0.0.1]>", Some("relay%dom@[10.0.0.1]")),
        ("<relay%dom@srv>", Some("relay%dom@srv")),
        ("<\"relay@dom\">", Some("\"relay@dom\"")),
        ("<\"relay%dom\">", Some("\"relay%dom\"")),
        ("<relay@dom@[10.0.0.1]>", None),
        ("<\"relay@dom\"@[10.0.0.1]>", Some("\"relay@dom\"@[10.0.0.1]")),
        ("<relay@dom@srv>", None),
        ("<@[10.0.0.1]:relay@dom>", Some("relay@dom")),
        ("<@srv:relay@dom>", Some("relay@dom")),
        ("<dom!relay>", Some("dom!relay")),
        ("<dom!relay@[10.0.0.1]>", Some("dom!relay@[10.0.0.1]")),
        ("<dom!relay@srv>", Some("dom!relay@srv")),
    ] {
        let found = to(&format!("RCPT TO:{path}"));
        match wanted {
            Some(wanted) => assert_eq!(found.as_deref(), Ok(wanted), "{path}"),
            None => assert_eq!(found, Err(CommandError::Recipient(AddressError::Syntax)), "{path}"),
        }
    }
}

#[test]
fn shell_and_template_tricks_are_just_text() {
    //
    assert_eq!(to("RCPT TO:<|/bin/sh@b>").as_deref(), Ok("|/bin/sh@b"));
    assert_eq!(to("RCPT TO:<../../../../tmp/x@b>").as_deref(), Ok("../../../../tmp/x@b"));
    assert_eq!(to("RCPT TO:<${run{/bin/sh}}@x>").as_deref(), Ok("${run{/bin/sh}}@x"));
    assert!(parse(b"MAIL FROM:<;for i in 0 1 2;do read r;done;sh;exit 0;>", true).is_err());
}

#[test]
fn a_071_nesting_costs_no_stack() {
    //
    for deep in ["(".repeat(1900), "<".repeat(1900), "\"".repeat(1901), "@a:".repeat(600)] {
        assert!(to(&format!("RCPT TO:<{deep}>")).is_err());
    }
}

#[test]
fn strangers_are_told_apart() {
    let error = |line: &[u8]| parse(line, true).unwrap_err();
    assert_eq!(error(b"Subject: x"), CommandError::HeaderLine);
    assert_eq!(error(b"X-Very-Long-Header-Name: x"), CommandError::HeaderLine);
    assert_eq!(error(b"From:<a@b>"), CommandError::HeaderLine);
    assert_eq!(error(b"GET / HTTP/1.1"), CommandError::Http);
    assert_eq!(error(b"CONNECT a:25 HTTP/1.0"), CommandError::Http);
    assert_eq!(error(b"."), CommandError::Unknown);
    assert_eq!(error(b"hello: x".split_at(5).0), CommandError::Unknown);
    assert_eq!(error(b"MAILFROM:<a@b>"), CommandError::HeaderLine);
    assert_eq!(error(b"STARTTLSX"), CommandError::Unknown);
    assert_eq!(error(b" \t"), CommandError::Blank);
    assert_eq!(error(b"NOOP\0"), CommandError::Control);
}

#[test]
fn names_are_made_printable_and_short() {
    //
    let name = |line: &[u8]| match parse(line, true).unwrap() {
        Command::Hello { name, .. } => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(b"EHLO x\x1b[2J"), "x\\x1b[2J");
    assert_eq!(name("EHLO MÜLLER-PC".as_bytes()), "M\\xc3\\x9cLLER-PC");
    assert_eq!(name(b"HELO"), "unknown");
    assert_eq!(name(b"EHLO PhpStorm 9.0.3"), "PhpStorm");
    let long = name(&[b"EHLO ", &[0xffu8; 2000][..]].concat());
    assert!(long.len() <= 255 && long.len() > 250 && long.is_ascii());
}

proptest::proptest! {
    #[test]
    fn any_octets_give_an_answer_and_no_address_with_controls(line: Vec<u8>, lenient: bool) {
        let _ = parse(&line, lenient);
        for verb in ["RCPT TO:", "MAIL FROM:"] {
            match parse(&[verb.as_bytes(), &line].concat(), lenient) {
                Ok(Command::Rcpt { to, .. }) => assert!(to.as_str().bytes().all(|b| (0x20..0x7f).contains(&b))),
                Ok(Command::Mail { from, .. }) => assert!(from.to_string().bytes().all(|b| (0x20..0x7f).contains(&b))),
                Ok(other) => panic!("{other:?}"),
                Err(_) => {}
            }
        }
    }
}
