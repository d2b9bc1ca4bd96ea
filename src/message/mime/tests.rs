//! Parts of every kind, at every split; trees that readers disagree about; bombs.

use super::*;
use crate::message::charset::Hints;
use crate::message::header::Header;
use crate::message::repair_names::Repair;

/// Plan and outcome for a body under the given Content-Type, cut into chunks of `step` octets.
pub(super) fn pass(head: &str, body: &[u8], step: usize, demand: &Demand) -> (Plan, Vec<u8>) {
    let header = Header::parse(head.as_bytes());
    let mut survey = Survey::new(&header, demand);
    body.chunks(step.max(1)).for_each(|chunk| survey.push(chunk));
    let plan = survey.finish();
    let (mut rewriter, mut out) = (BodyRewriter::new(&header, &plan), Vec::new());
    body.chunks(step.max(1)).for_each(|chunk| rewriter.push(chunk, &mut out));
    rewriter.finish(&mut out);
    (plan, out)
}

fn rewrite(head: &str, body: &[u8]) -> (Plan, Vec<u8>) {
    let demand = Demand::default();
    let (plan, out) = pass(head, body, usize::MAX, &demand);
    for step in [1, 2, 3, 5, 7, 64, 997] {
        assert_eq!(pass(head, body, step, &demand), (plan.clone(), out.clone()), "by {step}");
    }
    if !plan.rewrites_body() {
        assert_eq!(out, body);
    }
    let mut header = Header::parse(head.as_bytes());
    plan.root.apply(&mut header, Hints::default());
    let again = pass(&String::from_utf8(header.render()).unwrap(), &out, 4096, &demand);
    assert!(again.0.is_empty(), "{:?}\n{}", again.0, out.escape_ascii());
    (plan, out)
}

pub(super) const MIXED: &str = "Content-Type: multipart/mixed; boundary=\"b\"\r\n";

fn mixed(parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("--b\r\n{part}\r\n")).collect();
    format!("preamble\r\n{parts}--b--\r\nepilogue\r\n")
}

#[test]
fn only_the_part_that_is_wrong_is_written_anew() {
    let long = "word ".repeat(300);
    let good = "Content-Type: image/png\r\nX-Odd:  y\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=";
    let body = mixed(&[good, &format!("Content-Type: text/html; charset=utf-8\r\nX-Odd:  x\r\n\r\n{long}"), good]);
    let (plan, out) = rewrite(MIXED, body.as_bytes());
    assert_eq!(plan.body_repairs, [Repair::BodyEncoded]);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches(good).count(), 2);
    assert!(text.contains("X-Odd:  x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nword word"), "{text}");
    assert!(text.starts_with("preamble\r\n--b\r\n") && text.ends_with("\r\n--b--\r\nepilogue\r\n"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 76));
}

#[test]
fn each_part_gets_what_it_needs() {
    let (x, y) = ("A".repeat(2000), "=E9".repeat(400));
    for (part, expected, repairs) in [
        ("\r\nplain", "\r\nplain", vec![]),
        ("plain, no header at all", "plain, no header at all", vec![]),
        (
            "Content-Type: text/plain\r\n\r\n驿站",
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n驿站",
            vec![Repair::CharsetDeclared, Repair::TransferEncodingSet],
        ),
        (
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\na long enough text: é",
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na long enough \
             text: =C3=A9",
            vec![Repair::BodyEncoded, Repair::TransferEncodingSet],
        ),
        (
            "Content-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\u{1}\u{2}",
            "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC",
            vec![Repair::BodyEncoded, Repair::TransferEncodingSet],
        ),
        (
            "Content-Disposition: attachment; filename=\"报告.pdf\"\r\n\r\nx",
            "Content-Disposition: attachment;\r\n filename*=UTF-8''%E6%8A%A5%E5%91%8A.pdf\r\n\r\nx",
            vec![Repair::HeaderEncoded],
        ),
        (
            "Content-Transfer-Encoding: 8-bit\r\n\r\nx",
            "Content-Transfer-Encoding: 8bit\r\n\r\nx",
            vec![Repair::TransferEncodingSet],
        ),
        (
            &format!("Content-Transfer-Encoding: x-uuencode\r\n\r\n{x}"),
            &format!("Content-Transfer-Encoding: x-uuencode\r\n\r\n{}\r\n{}\r\n{}", &x[..996], &x[..996], &x[..8]),
            vec![Repair::LineBroken],
        ),
        (
            &format!("Content-Transfer-Encoding: quoted-printable\r\n\r\n{y}"),
            &format!(
                "Content-Transfer-Encoding: quoted-printable\r\n\r\n{}{}",
                format!("{}=\r\n", &y[..75]).repeat(15),
                &y[1125..]
            ),
            vec![Repair::LineRewrapped],
        ),
    ] {
        let (plan, out) = rewrite(MIXED, mixed(&["\r\nfirst", part]).as_bytes());
        let done: Vec<Repair> = plan.body_repairs.iter().chain(&plan.part_repairs).copied().collect();
        assert_eq!(String::from_utf8(out).unwrap(), mixed(&["\r\nfirst", expected]));
        assert_eq!(done, repairs, "{part}");
    }
}

#[test]
fn base64_is_wrapped_without_a_new_line_end() {
    let data = "QUJD".repeat(400);
    let part = format!("Content-Transfer-Encoding: base64\r\n\r\n{data}");
    let (plan, out) = rewrite(MIXED, mixed(&[&part]).as_bytes());
    assert_eq!(plan.body_repairs, [Repair::LineRewrapped]);
    let text = String::from_utf8(out).unwrap();
    let content = text.split("\r\n\r\n").nth(1).unwrap().split("\r\n--b--").next().unwrap();
    assert_eq!(content.replace("\r\n", ""), data);
    assert!(content.lines().take(21).all(|line| line.len() == 76), "{content}");
}

#[test]
fn signed_text_is_left_alone_while_it_may_be_sent() {
    let head = "Content-Type: multipart/signed; boundary=b; protocol=\"application/pkcs7-signature\"\r\n";
    let signature = "Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB";
    // 8-bit without a charset, a wrong label: legal lines all the same.
    let body = mixed(&["Content-Transfer-Encoding: 7bit\r\n\r\n驿站 \t", signature]);
    let (plan, out) = rewrite(head, body.as_bytes());
    assert!(plan.is_empty() && out == body.as_bytes());
    let long = mixed(&[&format!("\r\n{}", "x ".repeat(600)), signature]);
    assert_eq!(rewrite(head, long.as_bytes()).0.body_repairs, [Repair::SignatureBroken, Repair::BodyEncoded]);
    // Wrapping the signature itself breaks nothing.
    let wide = mixed(&["\r\nx", &format!("{signature}{}", "A".repeat(2000))]);
    assert_eq!(rewrite(head, wide.as_bytes()).0.body_repairs, [Repair::LineRewrapped]);
    let dkim = format!("DKIM-Signature: v=1\r\n{MIXED}");
    let body = mixed(&["\r\n驿站"]);
    assert!(rewrite(&dkim, body.as_bytes()).0.is_empty());
    assert_eq!(rewrite(&dkim, long.as_bytes()).0.body_repairs[0], Repair::SignatureBroken);
}

#[test]
fn an_enclosed_message_is_a_document() {
    let legal = "Content-Type: message/rfc822\r\n\r\nSubject: 报告\r\nContent-Transfer-Encoding: 7bit\r\n\r\n驿站\r\n";
    assert!(!rewrite(MIXED, mixed(&[legal]).as_bytes()).0.rewrites_body());
    let inner =
        mixed(&["\r\nlegal", &format!("Content-Type: text/plain\r\n\r\n{}", "x ".repeat(700))]).replace("--b", "--c");
    let part = format!(
        "Content-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{inner}"
    );
    let (plan, out) = rewrite(MIXED, mixed(&[&part, "\r\nlast"]).as_bytes());
    assert_eq!(plan.body_repairs, [Repair::BodyEncoded]);
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("Subject: x\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\npreamble\r\n--c\r\n\r\nlegal")
    );
    assert!(text.contains("\r\n--b\r\n\r\nlast\r\n--b--\r\n"), "{text}");
}

#[test]
fn trees_that_readers_disagree_about_only_get_legal_lines() {
    let long = "x ".repeat(700);
    for (name, head, body) in [
        ("no boundary parameter", "Content-Type: multipart/mixed\r\n", mixed(&[&long])),
        ("boundary never seen", "Content-Type: multipart/mixed; boundary=z\r\n", mixed(&[&long])),
        ("empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\r\n", mixed(&[&long])),
        (
            "the same boundary twice",
            MIXED,
            mixed(&["Content-Type: multipart/alternative; boundary=b\r\n", &format!("\r\n{long}")]),
        ),
        ("a line that begins like a boundary", MIXED, mixed(&[&format!("\r\n--boo\r\n{long}")])),
        ("an endless part header", MIXED, mixed(&[&format!("X-A: b\r\n{}\r\n{long}", " c\r\n".repeat(20_000))])),
    ] {
        let (plan, out) = rewrite(head, body.as_bytes());
        assert_eq!(plan.body_repairs, [Repair::LineBroken], "{name}");
        let gone = |text: &[u8]| text.iter().copied().filter(|b| !b"\r\n".contains(b)).collect::<Vec<u8>>();
        assert_eq!(gone(&out), gone(body.as_bytes()), "{name}");
        let legal = body.replace(&long, "short");
        assert!(rewrite(head, legal.as_bytes()).0.is_empty(), "{name}: legal");
    }
}

#[test]
fn odd_but_clear_trees_are_scanned() {
    let long = "x ".repeat(700);
    for (name, head, body) in [
        ("no final boundary", MIXED, format!("--b\r\n\r\nok\r\n--b\r\n\r\n{long}\r\n")),
        ("unquoted", "Content-Type: multipart/mixed; boundary=:b:\r\n", format!("--:b:\r\n\r\n{long}\r\n--:b:--\r\n")),
        ("blanks after it", MIXED, format!("--b \t\r\n\r\n{long}\r\n--b-- \r\n")),
        ("empty parts", MIXED, format!("--b\r\n--b\r\n\r\n--b\r\nX: y\r\n--b\r\n\r\n{long}\r\n--b--\r\n")),
        (
            "one boundary begins the other",
            MIXED,
            format!(
                "--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\n{long}\r\n--bb--\r\n--b--\r\n"
            ),
        ),
        (
            "the outer one ends the inner",
            MIXED,
            format!(
                "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n{long}\r\n--b\r\n\r\nz\r\n--b--\r\n"
            ),
        ),
        ("no blank line", MIXED, format!("--b\r\nContent-Type: text/plain\r\nno field {long}\r\n--b--\r\n")),
        (
            "digest",
            "Content-Type: multipart/digest; boundary=b\r\n",
            format!("--b\r\n\r\nSubject: x\r\n\r\n{long}\r\n--b--\r\n"),
        ),
    ] {
        let (plan, out) = rewrite(head, body.as_bytes());
        assert_eq!(plan.body_repairs, [Repair::BodyEncoded], "{name}");
        assert!(out.split(|&b| b == b'\n').all(|line| line.len() <= 78), "{name}: {}", out.escape_ascii());
    }
}

/// A reader that takes `--boundary and more` for a delimiter does so however long the line is.
#[test]
fn a_long_line_that_begins_like_a_boundary_is_as_disputed_as_a_short_one() {
    for part in
        [format!("--b{}驿\r\n", "x ".repeat(600)), format!("--b{}x\r\n{}\r\n", " ".repeat(300), "x".repeat(1200))]
    {
        for place in ["", "\r\n", "Content-Type: text/plain\r\n", "Content-Type: text/plain\r\n\r\n"] {
            let (plan, out) = rewrite(MIXED, format!("--b\r\n{place}{part}").as_bytes());
            assert!(plan.parts.is_empty() && plan.rewrites_body(), "{place:?} {plan:?}");
            let again = rewrite(&format!("{MIXED}Content-Transfer-Encoding: 8bit\r\n"), &out).0;
            assert!(again.is_empty(), "{place:?} {again:?}");
        }
    }
}

#[test]
fn composites_carry_no_encoding() {
    let body = mixed(&["\r\nx"]);
    for (label, expected) in [
        ("base64", Some("7bit")),
        ("quoted-printable", Some("7bit")),
        ("binary", Some("7bit")),
        ("7bit", None),
        ("8bit", None),
    ] {
        let head = format!("{MIXED}Content-Transfer-Encoding: {label}\r\n");
        assert_eq!(rewrite(&head, body.as_bytes()).0.root.transfer, expected, "{label}");
    }
    let eight = mixed(&["Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n驿"]);
    let (plan, _) = rewrite(MIXED, eight.as_bytes());
    assert!(plan.root.transfer == Some("8bit") && plan.eight_bit && !plan.rewrites_body());
    // Nobody saw a part: it may really be base64.
    let head = format!("{MIXED}Content-Transfer-Encoding: base64\r\n");
    assert!(rewrite(&head, b"LS1iDQoNCg==\r\n").0.is_empty());
}

/// Counted steps, not a clock: bombs cost a fixed number of steps an octet (A-069, A-070).
#[test]
fn a_069_a_070_bombs_cost_linear_time() {
    let nested: String =
        (0..50_000).map(|i| format!("--b{i}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n\r\n", i + 1)).collect();
    let letters = "--b\r\nContent-Type: message/rfc822\r\n\r\n".to_owned()
        + &"Content-Type: message/rfc822\r\n\r\n".repeat(50_000);
    let head = "Content-Type: multipart/mixed; boundary=b0\r\n";
    for (name, head, body, factor) in [
        ("siblings", MIXED, "--b\r\nx:y\r\n\r\n".repeat(500_000), 4),
        ("empty siblings", MIXED, "--b\r\n".repeat(500_000), 4),
        ("nested multiparts", head, nested, 40),
        ("nested messages", MIXED, letters, 4),
        ("dashes", MIXED, "--\r\n".repeat(500_000), 4),
        ("one line of dashes", MIXED, "-".repeat(2_000_000), 4),
        ("long delimiters", MIXED, format!("--b{}\r\n", " ".repeat(300)).repeat(5_000), 4),
        ("folds", MIXED, format!("--b\r\nA: b\r\n{}", " c\r\n".repeat(300_000)), 4),
    ] {
        let mut survey = Survey::new(&Header::parse(head.as_bytes()), &Demand::default());
        body.as_bytes().chunks(8192).for_each(|chunk| survey.push(chunk));
        let (steps, octets) = (survey.steps(), body.len() as u64);
        assert!(steps <= factor * octets, "{name}: {steps} steps for {octets} octets");
        let plan = survey.finish();
        assert!(plan.parts.len() <= MAX_PARTS as usize, "{name}");
    }
}

/// Text that stands after a break, or whose NUL goes, must not become a boundary (RFC 2046 section 5.1.1).
#[test]
fn no_repair_makes_a_boundary_out_of_text() {
    let (pad, qp) = ("x".repeat(996), "x".repeat(75));
    for (name, part) in [
        ("broken at a blank", format!("Content-Transfer-Encoding: x-uue\r\n\r\n{pad} --b\r\n{pad} {pad}")),
        ("broken after a blank", format!("Content-Transfer-Encoding: x-uue\r\n\r\n{pad}   --b--\r\n{pad} {pad}")),
        ("soft line end", format!("\r\n{qp}--b--\r\n{pad} {pad}")),
        ("soft line end, kept", format!("Content-Transfer-Encoding: quoted-printable\r\n\r\n{qp}--b--\r\n{pad} {pad}")),
        ("a NUL in front", "Content-Transfer-Encoding: x-uue\r\n\r\n\0--b--\r\n-\0-b--\r\nx".to_owned()),
    ] {
        let (plan, out) = rewrite(MIXED, mixed(&[&part, "\r\nlast"]).as_bytes());
        assert!(plan.rewrites_body(), "{name}");
        let lines: Vec<&[u8]> = out.split(|&b| b == b'\n').collect();
        let count = |text: &[u8]| lines.iter().filter(|line| **line == text).count();
        assert_eq!((count(b"--b\r"), count(b"--b--\r")), (2, 1), "{name}: {}", out.escape_ascii());
    }
}

/// A boundary in two pieces of one number is two boundaries to readers, so the parts stay hidden, whatever the label says.
#[test]
fn a_label_of_base64_on_hidden_parts_changes_nothing_but_lines() {
    let long = format!("caf\u{e9} {}", "QUJD".repeat(400));
    let gone = |text: &[u8]| text.iter().copied().filter(|b| !b"\r\n".contains(b)).collect::<Vec<u8>>();
    for boundary in ["boundary*0*=''b; boundary*0*=''b", "boundary*0*=''b; boundary*0*=''c; boundary*1=d", "x=y"] {
        for label in ["base64", "quoted-printable", "x-other"] {
            let head = format!("Content-Type: multipart/mixed; {boundary}\r\nContent-Transfer-Encoding: {label}\r\n");
            let body = mixed(&[&format!("\r\n{long}"), "\r\nb, and c"]);
            let (plan, out) = rewrite(&head, body.as_bytes());
            assert_eq!(plan.body_repairs, [Repair::LineBroken], "{head}");
            assert_eq!(gone(&out), gone(body.as_bytes()), "{head}");
            assert!(rewrite(&head, mixed(&["\r\ncaf\u{e9}"]).as_bytes()).0.is_empty(), "{head}");
        }
    }
}

/// A NUL that begins a line goes, as the reader of part headers reads it: the line after it goes on with its field.
#[test]
fn a_nul_before_a_blank_leaves_the_header_whole() {
    let same = "Content-Transfer-Encoding: x-other\r\n\0 more\r\n\0Content-Type: multipart/mixed;\r\n\0\0\tboundary=b";
    let body = mixed(&[&format!("{same}\r\n\r\n--b\r\n\r\nan \u{e9}"), "\0\0\r\n\r\n\0-\0"]);
    let (plan, out) = rewrite(MIXED, body.as_bytes());
    assert_eq!(plan.body_repairs, [Repair::NulRemoved, Repair::LineBroken]);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(&format!("{}\r\n\r\n--b", same.replace('\0', ""))), "{text}");
    assert!(text.contains("--b\r\n?\r\n\r\n?-\r\n"), "no line becomes blank, none a boundary: {text}");
}

#[test]
fn parts_declare_the_charset_of_the_mail_where_they_agree() {
    let part = |charset: &str| format!("Content-Type: text/plain; charset={charset}\r\n\r\nx");
    let enclosed = "Content-Type: message/rfc822\r\n\r\nContent-Type: text/plain; charset=big5\r\n\r\nx";
    for (head, parts, declared) in [
        (MIXED, vec![part("koi8-r"), part("us-ascii"), part("KOI8-R")], Some("KOI8-R")),
        (MIXED, vec![part("koi8-r"), part("gb2312"), part("koi8-r")], None),
        (MIXED, vec![part("koi8-r"), enclosed.to_owned()], Some("KOI8-R")),
        (MIXED, vec![enclosed.to_owned()], None),
        ("Content-Type: multipart/mixed; boundary=b; charset=big5\r\n", vec![part("koi8-r")], Some("Big5")),
    ] {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (plan, _) = rewrite(head, mixed(&parts).as_bytes());
        assert_eq!(plan.declared.map(encoding_rs::Encoding::name), declared, "{parts:?}");
    }
}
