//! Every recoding at every split, and back again with another program's decoder.

use super::*;

fn run(recoding: Recoding, input: &[u8], step: usize) -> Vec<u8> {
    let (mut encoder, mut out) = (Reencoder::new(recoding, false), Vec::new());
    input.chunks(step).for_each(|chunk| encoder.push(chunk, &mut out));
    encoder.finish(&mut out);
    out
}

fn decoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    let mut mail = format!("Content-Type: image/png\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n").into_bytes();
    mail.extend_from_slice(body);
    let message = mail_parser::MessageParser::new().parse(&mail).unwrap();
    message.parts[0].contents().to_vec()
}

fn longest(body: &[u8]) -> usize {
    body.split(|&b| b == b'\n').map(|l| l.len().saturating_sub(1)).max().unwrap_or(0)
}

#[test]
fn whole_bodies_come_back() {
    let long = "long line with = and trailing blank ".repeat(60);
    let odd = format!("{long}\r\n.\r\nFrom me\t\r\n\r\n驿站 {}\r\n", "x".repeat(200));
    for input in [&b"a\r\n"[..], b"\r\n", odd.as_bytes(), b"\0\xff\r\nab", &[b'a'; 57], &[b'='; 500]] {
        for (recoding, encoding) in [(Recoding::Base64, "base64"), (Recoding::QuotedPrintable, "quoted-printable")] {
            let whole = run(recoding, input, input.len());
            assert!(longest(&whole) <= 76 && whole.is_ascii());
            for step in [1, 2, 3, 7, 57, 58] {
                assert_eq!(run(recoding, input, step), whole, "{step}");
            }
            let back = decoded(encoding, &whole);
            assert_eq!(back, input, "{recoding:?} {}", input.escape_ascii());
        }
    }
}

#[test]
fn base64_is_wrapped_and_says_the_same() {
    let data = STANDARD.encode([7u8; 3000]);
    let out = run(Recoding::RewrapBase64, format!("{data}\r\n").as_bytes(), 9);
    assert_eq!(longest(&out), 76);
    assert_eq!(decoded("base64", &out), [7u8; 3000]);
    assert_eq!(run(Recoding::RewrapBase64, b"YQ==\r\n\0Y\xffg==", 1), b"YQ==\r\nYg==");
}

#[test]
fn quoted_printable_keeps_its_escapes() {
    let input = format!("=E9=A9=BF{}=\r\nsoft \r\n\0=3D\r\n", "=E7=AB=99".repeat(200));
    let out = run(Recoding::RewrapQuotedPrintable, input.as_bytes(), 5);
    assert!(longest(&out) <= 76);
    let text = format!("驿{}soft\r\n\0=", "站".repeat(200));
    assert_eq!(String::from_utf8(decoded("quoted-printable", &out)).unwrap().trim_end(), text);
}

#[test]
fn long_lines_are_broken_at_blanks_or_between_characters() {
    let words = format!("{}\r\nshort\0\r\n", "word ".repeat(500));
    let out = run(Recoding::BreakLines, words.as_bytes(), 13);
    assert_eq!(longest(&out), 995);
    assert_eq!(String::from_utf8(out).unwrap().replace("\r\n", ""), words.replace("\r\n", "").replace('\0', ""));
    let chinese = "站".repeat(2000);
    let out = String::from_utf8(run(Recoding::BreakLines, chinese.as_bytes(), 4)).unwrap();
    assert_eq!(longest(out.as_bytes()), 996);
    assert_eq!(out.lines().count(), 7);
    let base64 = run(Recoding::BreakLines, &[b'A'; 4000], 4000);
    assert_eq!(longest(&base64), 996);
}
