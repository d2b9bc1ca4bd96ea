//! What holds for every message: random ones, broken ones, and those that want to cost time.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::mail::{Address, Id, ReversePath};

/// The road of one message through this module, cut into chunks of `step` octets.
fn pass(mail: &[u8], step: usize) -> Result<(Repaired, Vec<u8>), SplitError> {
    pass_for(mail, step, &ClientProfile::default())
}

fn pass_for(mail: &[u8], step: usize, client: &ClientProfile<'_>) -> Result<(Repaired, Vec<u8>), SplitError> {
    let (mut first, mut stored) = (FirstPass::new(&client.demand()), Vec::new());
    for chunk in mail.chunks(step.max(1)) {
        first.push(chunk, &mut stored)?;
    }
    let examined = first.finish(&mut stored)?;
    let (mut rewriter, mut body) = (BodyRewriter::new(&examined.header, &examined.plan), Vec::new());
    stored.chunks(step.max(1)).for_each(|chunk| rewriter.push(chunk, &mut body));
    rewriter.finish(&mut body);
    if !examined.plan.rewrites_body() {
        assert_eq!(body, stored, "the second pass changes nothing that the plan does not name");
    }
    let login = Address::parse("office@qq.com").unwrap();
    let sender = ReversePath::parse("scanner@office.lan").unwrap();
    let facts = Facts {
        date: "Sat, 21 Nov 2026 18:00:00 +0800",
        id: Id::new(Timestamp::from_millis(1), 1),
        domain: "qq.com",
        fallback_from: &login,
        sender: &sender,
        recipients: &[Address::parse("boss@example.com").unwrap()],
        body: &examined.body,
        plan: &examined.plan,
        client,
    };
    Ok((repair(examined.header, &facts), body))
}

fn joined(repaired: &Repaired, body: &[u8]) -> Vec<u8> {
    [&repaired.head[..], b"\r\n", body].concat()
}

fn assert_legal(mail: &[u8]) {
    for line in mail.split_inclusive(|&b| b == b'\n') {
        let text = line.strip_suffix(b"\r\n").unwrap_or_else(|| panic!("no CRLF: {}", line.escape_ascii()));
        assert!(text.len() <= MAX_LINE, "{} octets", text.len());
        assert!(!text.iter().any(|&b| b == b'\r' || b == b'\n' || b == 0), "{}", text.escape_ascii());
    }
}

/// What holds at every level and for every client.
fn assert_sendable(repaired: &Repaired, body: &[u8], client: &ClientProfile<'_>) {
    let head = &repaired.head;
    assert!(head.is_ascii(), "{}", head.escape_ascii());
    assert_legal(head);
    assert_legal(body);
    let header = Header::parse(head);
    for name in ["From", "Date", "Message-ID"] {
        assert_eq!(header.count(name), 1, "{name}: {}", head.escape_ascii());
    }
    let again = pass_for(&joined(repaired, body), 4096, client).unwrap();
    assert_eq!(again.0.repairs, [], "{}\n{}", head.escape_ascii(), again.0.head.escape_ascii());
    assert_eq!((&again.0.head, &again.1[..]), (head, body), "repairing again changes nothing");
}

fn assert_whole(repaired: &Repaired, body: &[u8]) {
    let head = &repaired.head;
    assert!(head.is_ascii(), "{}", head.escape_ascii());
    assert!(head.iter().all(|&b| b >= 0x20 && b != 0x7f || b"\t\r\n".contains(&b)), "{}", head.escape_ascii());
    assert!(!head.windows(4).any(|w| w == b"\r\n\r\n"));
    assert_legal(head);
    assert_legal(body);
    let header = Header::parse(head);
    for name in ["From", "Date", "Message-ID", "To", "MIME-Version"] {
        assert_eq!(header.count(name), 1, "{name}: {}", head.escape_ascii());
    }
    assert_eq!(header.render(), *head, "every line belongs to a field");
    let again = pass(&joined(repaired, body), 4096).unwrap();
    assert_eq!(again.0.repairs, [], "{}\n{}", head.escape_ascii(), again.0.head.escape_ascii());
    assert_eq!((&again.0.head, &again.1[..]), (head, body), "repairing again changes nothing");
}

/// Pieces that matter to the parsers here, so that random mail finds the corners.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\r\n",
        b"\r\n\r\n",
        b"\n\n",
        b" ",
        b"\t",
        b"\0",
        b"From: ",
        b"from:",
        b"To: ",
        b"Cc:",
        b"Subject: ",
        b"Date: ",
        b"Message-ID: ",
        b"Content-Type: ",
        b"Content-Transfer-Encoding: ",
        b"MIME-Version: 1.0",
        b"text/plain; charset=",
        b"multipart/mixed; boundary=x",
        b"base64",
        b"quoted-printable",
        b"7bit",
        b"binary",
        b"Bcc: x@y.z",
        b"Reply-To: ",
        b"Sender: ",
        b"From nobody Mon\n",
        b"a@b.cn",
        b"<",
        b">",
        b"(",
        b")",
        b"\"",
        b"\\",
        b",",
        b";",
        b":",
        b"=",
        b"=?utf-8?q?a=0d=0a?=",
        b"=?gb2312?B?sai45g==?=",
        b"=?",
        b"?=",
        b"\xb1\xa8\xb8\xe6",
        b"\xff",
        "报告".as_bytes(),
        b"printer",
        b"X-Long: ",
        b"Sat, 21 Nov 2026 18:00:00 +0800",
        b"<a@b>",
        b".",
        b"name=\"",
    ];
    let words: Vec<Vec<u8>> = words.into_iter().map(<[u8]>::to_vec).collect();
    prop_oneof![
        8 => proptest::sample::select(words),
        2 => vec(any::<u8>(), 0..12),
        1 => (any::<u8>(), 900usize..2100).prop_map(|(b, n)| vec![b; n]),
    ]
}

/// The golden mails: what real clients send.
fn corpus() -> Vec<Vec<u8>> {
    use std::{env, fs};
    let root = env::var("CARGO_MANIFEST_DIR").unwrap() + "/tests/golden/repair";
    fs::read_dir(root).unwrap().map(|entry| fs::read(entry.unwrap().path().join("in.eml")).unwrap()).collect()
}

fn mail() -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_becomes_legal_and_stays_as_it_is(mail in mail()) {
        let (repaired, body) = pass(&mail, 4096).unwrap();
        assert_whole(&repaired, &body);
    }

    #[test]
    fn chunks_do_not_matter(mail in mail(), step in 1usize..40) {
        prop_assert_eq!(pass(&mail, step), pass(&mail, usize::MAX));
    }

    #[test]
    fn every_client_gets_a_mail_that_can_be_sent(
        mail in mail(), display in ".{0,30}", prefix in ".{0,30}", minimal in any::<bool>(), charset in 0usize..4,
    ) {
        let reply_to = Address::parse("help@example.com").unwrap();
        let client = ClientProfile {
            display: Some(&display),
            charset: [None, Some(encoding_rs::BIG5), Some(encoding_rs::GBK), Some(encoding_rs::UTF_16LE)][charset],
            reply_to: Some(&reply_to),
            subject_prefix: Some(&prefix),
            drop_cron_env: minimal,
            level: if minimal { Level::Minimal } else { Level::Full },
        };
        let (repaired, body) = pass_for(&mail, 4096, &client).unwrap();
        assert_sendable(&repaired, &body, &client);
    }

    #[test]
    fn broken_copies_of_real_mail_become_legal(
        pick in any::<proptest::sample::Index>(), cuts in vec((any::<proptest::sample::Index>(), 0usize..6, any::<u8>()), 0..12),
    ) {
        let corpus = corpus();
        let mut mail = corpus[pick.index(corpus.len())].clone();
        for (at, kind, octet) in cuts {
            let at = at.index(mail.len() + 1).min(mail.len().saturating_sub(1));
            match kind {
                _ if mail.is_empty() => mail.push(octet),
                0 => mail[at] = octet,
                1 => mail.insert(at, octet),
                2 => { mail.remove(at); }
                3 => { let copy = mail[at..mail.len().min(at + 90)].to_vec(); mail.splice(at..at, copy); }
                4 => mail.truncate(at),
                _ => { mail.splice(at..at, b"\r\n".iter().copied()); }
            }
        }
        let (repaired, body) = pass(&mail, 4096).unwrap();
        assert_whole(&repaired, &body);
        prop_assert_eq!(pass(&mail, 3), pass(&mail, usize::MAX));
    }

    #[test]
    fn every_rewritten_sender_is_accepted(mail in mail(), display in proptest::option::of(".{0,80}"), from in vec(piece(), 0..12)) {
        let login = Address::parse("office@qq.com").unwrap();
        let (repaired, _) = pass(&[b"From: ", &from.concat()[..], b"\r\n", &mail].concat(), 4096).unwrap();
        for head in [&repaired.head[..], &mail, &[&b"From: "[..], &from.concat(), b"\r\n"].concat()] {
            for policy in [FromPolicy::MustEqualLogin, FromPolicy::MayBeAlias, FromPolicy::RewrittenAnyway, FromPolicy::Free] {
                let put = |head: &[u8]| rewrite_sender(head, &SenderRewrite { address: &login, display: display.as_deref(), policy, keep_dkim: false }, &[]);
                let out = put(head);
                prop_assert!(from_rule::qq_accepts(&out), "{}", out.escape_ascii());
                prop_assert_eq!(put(&out), &out[..]);
                if policy == FromPolicy::MustEqualLogin {
                    let header = Header::parse(&out);
                    let from = from_rule::accepted_mailbox(header.get("From").unwrap().value()).unwrap();
                    prop_assert_eq!(from.key(), login.key());
                }
                if head == repaired.head {
                    assert_legal(&out);
                    prop_assert!(out.is_ascii());
                }
            }
        }
    }

    #[test]
    fn a_legal_message_passes_untouched(
        subject in "[ -~]{0,200}",
        body in "([ -~]{0,80}\r\n){0,20}",
        trace in "[ -~]{0,100}",
    ) {
        let subject = subject.replace("=?", "=!");
        let mail = format!(
            "Received: {trace}\r\nX-Odd:{subject}\r\nsubject:  {subject}\r\n\tand more\r\nDate: Sat, 21 Nov 2026 18:00:00 \
             +0800\r\nMessage-id: <a@b>\r\nFROM: \"A\" <a@b.cn>\r\nTo:x@y.cn\r\nMime-Version: 1.0\r\n\r\n{body}"
        );
        let (repaired, out) = pass(mail.as_bytes(), 4096).unwrap();
        prop_assert_eq!(&repaired.repairs[..], &[]);
        prop_assert_eq!(String::from_utf8(joined(&repaired, &out)).unwrap(), mail);
    }
}

#[test]
fn a_068_a_header_has_its_limits() {
    let error = |mail: &[u8]| (1..4).map(|n| pass(mail, n * 4093).unwrap_err()).collect::<Vec<_>>();
    assert_eq!(error("A: b\r\n".repeat(1001).as_bytes()), [SplitError::TooManyFields; 3]);
    assert!(pass(format!("{}\r\n", "A: b\r\n".repeat(1000)).as_bytes(), 99).is_ok());
    let big = format!("A: {}\r\n\r\n", "b".repeat(300_000));
    assert_eq!(error(big.as_bytes()), [SplitError::HeaderTooLarge; 3]);
    let folds = format!("A: b\r\n{}", " d\r\n".repeat(80_000));
    assert_eq!(error(folds.as_bytes()), [SplitError::HeaderTooLarge; 3]);
    // A name of 100 KB is a field, but not one that can be sent (A-068).
    let (repaired, _) = pass(format!("{}: x\r\n\r\n", "n".repeat(100_000)).as_bytes(), 999).unwrap();
    assert!(repaired.repairs.contains(&Repair::FieldDropped) && repaired.head.len() < 1000);
}

/// Counted steps, not a clock (A-068, A-072).
#[test]
fn a_068_a_072_headers_cost_linear_time() {
    for bomb in [
        "\r\n".repeat(100_000),
        "A: b\r\n".repeat(100_000),
        format!("A: {}\r\n", "b".repeat(5_000_000)),
        format!("A: b\r\n{}", " c\r\n".repeat(50_000)),
        format!("{}: b\r\n", "n".repeat(100_000)),
        "\n\r".repeat(100_000),
        "From \n".repeat(100_000),
    ] {
        let mut splitter = Splitter::new();
        for chunk in bomb.as_bytes().chunks(1000) {
            if splitter.push(chunk).is_err() {
                break;
            }
        }
        assert!(
            splitter.steps.count <= 2 * bomb.len() as u64,
            "{} steps for {} octets",
            splitter.steps.count,
            bomb.len()
        );
    }
}

/// Encoded words without end, charsets that switch, junk in base64 (A-079).
#[test]
fn a_079_words_of_any_kind_are_bounded() {
    for value in [
        format!("=?utf-8?B?{}?=", "QUJD".repeat(10_000)),
        format!("=?iso-2022-jp?B?{}?=", "GyRCGyhC".repeat(5_000)),
        "=?utf-7?q?+ACc-?=".to_owned(),
        format!("=?gb18030?q?{}?=", "=FF=84".repeat(5_000)),
        format!("=?utf-8?B?{}?=", "QU!JD*".repeat(5_000)),
    ] {
        for name in ["Subject", "From", "To", "Content-Type"] {
            let (repaired, body) = pass(format!("{name}: {value}\r\n\r\nx\r\n").as_bytes(), 4096).unwrap();
            assert_whole(&repaired, &body);
            assert!(repaired.head.len() < 4 * value.len() + 1000);
        }
    }
}

#[test]
fn an_endless_line_without_a_header_is_a_body() {
    let mail = vec![b'x'; 700_000];
    let (repaired, body) = pass(&mail, 1000).unwrap();
    assert!(repaired.repairs.contains(&Repair::HeaderCreated));
    assert_eq!(body.iter().filter(|&&b| b == b'x').count(), mail.len());
}

#[test]
fn a_072_blank_lines_in_front_are_skipped_one_by_one() {
    let mail = format!("{}Subject: x\r\n\r\nbody\r\n", "\r\n".repeat(300_000));
    let (repaired, body) = pass(mail.as_bytes(), 1001).unwrap();
    assert!(repaired.head.starts_with(b"Subject: x\r\n") && body == b"body\r\n");
}

/// Found by broken copies of real mail: what some parsers take for a blank may still not stand in a header.
#[test]
fn a_control_character_is_no_blank() {
    for blank in ['\x0b', '\x0c', '\x1f', '\u{a0}', '\u{2003}'] {
        for field in [
            "Date: _Fri, 20 Nov 2026 09:30:00 +0800",
            "Message-ID: _<1@office.lan>",
            "Content-Transfer-Encoding: _8bit",
            "Content-Type: _text/plain; charset=utf-8",
            "MIME-Version: _1.0",
            "From: _a@b.cn",
            "To: _a@b.cn",
            "Subject: _",
        ] {
            for text in [field.replace('_', &blank.to_string()), field.replace('_', "") + &blank.to_string()] {
                let mail = format!("{text}\r\n\r\n\u{9a7f}\r\n");
                let (repaired, body) = pass(mail.as_bytes(), 99).unwrap();
                assert_whole(&repaired, &body);
            }
        }
    }
}

#[test]
fn a_client_may_have_kept_originals_of_its_own() {
    let mail = "X-Original-To: a\r\nX-Original-To: b\r\nTo: \u{9a7f} <a@b.cn>, \u{7ad9}\r\nReply-To:\r\n\r\n";
    let (repaired, body) = pass(mail.as_bytes(), 99).unwrap();
    assert_whole(&repaired, &body);
    assert_eq!(Header::parse(&repaired.head).count("X-Original-To"), 3);
    assert!(repaired.repairs.contains(&Repair::EmptyListDropped));
}

#[test]
fn every_repair_has_its_own_name_and_words() {
    let mut names: Vec<&str> = Repair::ALL.iter().map(|r| r.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Repair::ALL.len());
    for repair in Repair::ALL {
        assert!(repair.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
        assert!(repair.why().ends_with('.') && repair.why_zh().ends_with('。'), "{repair:?}");
    }
}
