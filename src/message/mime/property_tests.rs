//! What holds for every body: random parts as another program decodes them, and random pieces at random cuts.

use mail_parser::{MessageParser, MimeHeaders, PartType};
use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{MIXED, pass};
use super::*;
use crate::message::charset::Hints;
use crate::message::header::Header;

/// The decoded parts as another program reads them: text and attachments, in order.
fn opinion(head: &str, root: &PartChange, body: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut header = Header::parse(head.as_bytes());
    root.apply(&mut header, Hints::default());
    let mail = [&header.render()[..], b"MIME-Version: 1.0\r\n\r\n", body].concat();
    let mail = MessageParser::new().parse(&mail)?;
    let leaves = mail.parts.iter().filter(|part| !matches!(part.body, PartType::Multipart(_) | PartType::Message(_)));
    Some(
        leaves
            .map(|part| {
                let kind = part.content_type().map(|kind| format!("{}/{:?}", kind.c_type, kind.c_subtype));
                let octets = match &part.body {
                    PartType::Text(text) | PartType::Html(text) => text.trim_end().as_bytes().to_vec(),
                    _ => part.contents().trim_ascii_end().to_vec(),
                };
                (kind.unwrap_or_default().replace("text/Some(\"plain\")", ""), octets)
            })
            .collect(),
    )
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[ -~]{0,60}(\r\n[ -~]{0,60}){0,4}".prop_map(String::into_bytes),
        "[a-z é驿站]{0,1500}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..300).prop_map(|octets| octets.into_iter().filter(|b| !b"\r\n".contains(b)).collect()),
    ]
}

/// A part: its type, how it is encoded, how wide base64 stands, what is in it.
fn part() -> impl Strategy<Value = (usize, usize, usize, Vec<u8>)> {
    (0usize..3, 0usize..4, prop_oneof![Just(76usize), Just(4000)], content())
}

fn written((kind, encoding, width, octets): &(usize, usize, usize, Vec<u8>)) -> Vec<u8> {
    use base64::Engine;
    let kinds = ["text/plain; charset=utf-8", "application/octet-stream", "text/html; charset=gb18030"];
    let text = *kind != 1;
    // Text has to be text, or no two programs read it alike; and nobody agrees on the last blanks.
    let octets = if text {
        String::from_utf8_lossy(octets).replace('\u{fffd}', "?").replace('\0', "").into_bytes()
    } else {
        octets.clone()
    };
    let octets =
        if *kind == 2 { encoding_rs::GB18030.encode(&String::from_utf8_lossy(&octets)).0.into_owned() } else { octets };
    let (label, content) = match encoding {
        0 => {
            let data = base64::engine::general_purpose::STANDARD.encode(&octets);
            let lines: Vec<&[u8]> = data.as_bytes().chunks(*width).collect();
            ("Content-Transfer-Encoding: base64\r\n", lines.join(&b"\r\n"[..]))
        }
        1 => ("Content-Transfer-Encoding: 8bit\r\n", octets),
        2 => ("Content-Transfer-Encoding: 7bit\r\n", octets),
        _ => ("", octets),
    };
    [format!("Content-Type: {}\r\n{label}\r\n", kinds[*kind]).as_bytes(), &content].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_decode_to_what_they_decoded_to(parts in vec(part(), 1..5), nest in any::<bool>()) {
        let parts: Vec<Vec<u8>> = parts.iter().map(written).collect();
        prop_assume!(!parts.iter().any(|part| part.windows(3).any(|w| w == b"--b" || w == b"--c")));
        let mut body: Vec<u8> = parts.iter().flat_map(|part| [b"--b\r\n", &part[..], b"\r\n"].concat()).collect();
        if nest {
            let inner: Vec<u8> = parts.iter().flat_map(|part| [b"--c\r\n", &part[..], b"\r\n"].concat()).collect();
            body.extend_from_slice(b"--b\r\nContent-Type: multipart/related; boundary=\"c\"\r\n\r\n");
            body.extend_from_slice(&inner);
            body.extend_from_slice(b"--c--\r\n");
        }
        body.extend_from_slice(b"--b--\r\n");
        let (plan, out) = pass(MIXED, &body, 4096, &Demand::default());
        prop_assert_eq!(opinion(MIXED, &PartChange::default(), &body), opinion(MIXED, &plan.root, &out), "{}", out.escape_ascii());
        let seven = Demand { seven_bit: true, ..Demand::default() };
        let (plan, out) = pass(MIXED, &body, 4096, &seven);
        prop_assert!(out.is_ascii() && !plan.lossy && !plan.eight_bit);
        prop_assert_eq!(opinion(MIXED, &PartChange::default(), &body), opinion(MIXED, &plan.root, &out), "{}", out.escape_ascii());
    }

    #[test]
    fn a_mail_of_one_part_decodes_to_what_it_decoded_to(part in part(), seven_bit in any::<bool>()) {
        let part = written(&part);
        let at = part.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let (head, body) = (String::from_utf8(part[..at + 2].to_vec()).unwrap(), [&part[at + 4..], b"\r\n"].concat());
        let (plan, out) = pass(&head, &body, 777, &Demand { seven_bit, ..Demand::default() });
        prop_assert_eq!(opinion(&head, &PartChange::default(), &body), opinion(&head, &plan.root, &out), "{}", out.escape_ascii());
    }

    #[test]
    fn cuts_do_not_matter(seed in vec(0usize..18, 0..60), step in 1usize..30, dkim in any::<bool>()) {
        let long = "x ".repeat(600);
        let pieces: [&[u8]; 18] = [
            b"\r\n", b"--b", b"--b--", b"--c", b"--c--", b"-", b"Content-Type: ", b"multipart/mixed; boundary=c", b"message/rfc822",
            b"text/plain", b"Content-Transfer-Encoding: base64", b"\r\n\r\n", b"\0", "\u{9a7f}".as_bytes(), b"\xff",
            long.as_bytes(), b"x", b" ",
        ];
        let mut body: Vec<u8> = seed.iter().flat_map(|&i| pieces[i].to_vec()).collect();
        body.extend_from_slice(b"\r\n");
        let head = if dkim { format!("DKIM-Signature: x\r\n{MIXED}") } else { MIXED.to_owned() };
        let whole = pass(&head, &body, usize::MAX, &Demand::default());
        prop_assert_eq!(&pass(&head, &body, step, &Demand::default()), &whole);
        let (plan, out) = whole;
        let legal = out.split(|&b| b == b'\n').all(|line| line.len() <= 999 && !line.contains(&0));
        prop_assert!(legal, "{:?} {}", plan, out.escape_ascii());
        let mut header = Header::parse(head.as_bytes());
        plan.root.apply(&mut header, Hints::default());
        let again = pass(&String::from_utf8(header.render()).unwrap(), &out, step, &Demand::default());
        prop_assert!(again.0.is_empty(), "{:?}\n{:?}\n{}\n{}", plan, again.0, body.escape_ascii(), out.escape_ascii());
        let seven = Demand { seven_bit: true, ..Demand::default() };
        prop_assert!(pass(&head, &body, step, &seven).1.is_ascii());
    }
}
