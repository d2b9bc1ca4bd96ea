//! Tests of replies: built, parsed, and bounded.

use super::*;

fn read(octets: &[u8], piece: usize) -> Result<Vec<Reply>, ReplyError> {
    let (mut parser, mut input, mut found) = (ReplyParser::new(), BytesMut::new(), Vec::new());
    for piece in octets.chunks(piece) {
        input.extend_from_slice(piece);
        while let Some(reply) = parser.next(&mut input)? {
            found.push(reply);
        }
    }
    Ok(found)
}

fn one(octets: &[u8]) -> Reply {
    let whole = read(octets, usize::MAX).unwrap();
    assert_eq!(whole, read(octets, 1).unwrap());
    assert_eq!(whole.len(), 1);
    whole[0].clone()
}

#[test]
fn what_is_written_is_read() {
    for text in ["", "OK", "one\ntwo\n", "\n\n", "2.1.0 OK"] {
        let reply = Reply::new(250, text);
        let mut wire = BytesMut::new();
        reply.write(&mut wire);
        assert_eq!(one(&wire), reply, "{text:?}");
    }
}

#[test]
fn long_and_strange_text_is_made_fit_to_send() {
    let mut wire = BytesMut::new();
    Reply::new(999, &format!("好\u{1b}\r{}", "x".repeat(2000))).write(&mut wire);
    let text = std::str::from_utf8(&wire).unwrap();
    assert!(text.split_inclusive("\r\n").all(|line| line.len() <= 512 && line.starts_with("451")), "{text}");
    assert!(text.starts_with("451-???x") && text.ends_with("\r\n"), "{text}");
    assert_eq!(text.matches('x').count(), 2000);
}

#[test]
fn odd_replies_are_taken() {
    assert_eq!(one(b"250\r\n"), Reply::new(250, ""));
    assert_eq!(one(b"250-a\n250 b\n"), Reply::new(250, "a\nb"), "A-104: LF only");
    assert_eq!(one(b"250-a\r\n250-\r\n250\r\r\n").lines().count(), 3);
    let gbk = one(b"550 \xd3\xca\xbc\xfe\r\n");
    assert_eq!(gbk.text(), b"\xd3\xca\xbc\xfe");
    assert_eq!(gbk.to_string(), "550 \\xd3\\xca\\xbc\\xfe");
}

#[test]
fn what_is_no_reply_is_named() {
    for bad in [
        "\r\n",
        "hello\r\n",
        "99 x\r\n",
        "2 50\r\n",
        "999 x\r\n",
        "600 x\r\n",
        "199 x\r\n",
        "250x\r\n",
        "2500 x\r\n",
        "\x00\x00\x00250 x\r\n",
    ] {
        assert_eq!(read(bad.as_bytes(), 1), Err(ReplyError::NoCode), "A-104 {bad:?}");
    }
    assert_eq!(read(b"250-one\r\n550 two\r\n", usize::MAX), Err(ReplyError::MixedCodes), "A-105");
    assert_eq!(read(format!("250 {}\r\n", "x".repeat(READ_LINE)).as_bytes(), usize::MAX), Err(ReplyError::LineTooLong));
    assert_eq!(read(&[b'2'; READ_LINE + 1], 100), Err(ReplyError::LineTooLong));
    assert_eq!(read("250-x\r\n".repeat(20_000).as_bytes(), 1000), Err(ReplyError::TooLong), "A-104");
}

#[test]
fn an_enhanced_code_that_contradicts_the_code_is_none() {
    let enhanced = |octets: &[u8]| one(octets).enhanced();
    assert_eq!(enhanced(b"550-5.7.26 x\r\n550 5.1.1 y\r\n"), Some((5, 7, 26)));
    assert_eq!(enhanced(b"250 2.0.0\r\n"), Some((2, 0, 0)));
    for none in [
        &b"550 4.7.1 x\r\n"[..],
        b"250 5.1.1 x\r\n",
        b"550 5.1 x\r\n",
        b"550 5.1.1.1 x\r\n",
        b"550 5.1000.1\r\n",
        b"550 +5.1.1\r\n",
    ] {
        assert_eq!(enhanced(none), None, "{none:?}");
    }
}
