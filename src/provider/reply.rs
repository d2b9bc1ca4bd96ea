//! From the octets of a reply to one line of text that can be searched and shown.
//!
//! Replies are ASCII by RFC 5321 section 4.2, and are not: QQ and Exmail send some of them as GBK octets. Not here:
//! codes and line ends, which the SMTP codec has taken off, and the meaning of the text (that is `verdict`).
//!
//! Invariant: the result is one line without control characters and without doubled blanks.

use encoding_rs::GB18030;

/// Joins the lines of one reply, given without code and line end, into one line of text.
///
/// The octets are read as UTF-8, else as GB18030 (which holds GBK and GB 2312), else as UTF-8 with replacement
/// characters. From the second line on, an enhanced status code (RFC 2034 section 4) that repeats the first line's is
/// left out.
pub fn reply_text<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> String {
    let mut joined = Vec::new();
    let mut enhanced = None;
    for (i, line) in lines.into_iter().enumerate() {
        let line = line.as_ref();
        let code = enhanced_code(line);
        if i == 0 {
            enhanced = code.map(<[u8]>::to_vec);
            joined.extend_from_slice(line);
        } else {
            joined.push(b' ');
            // The same code on every line is noise between the halves of a sentence.
            let repeated = code.filter(|c| enhanced.as_deref() == Some(*c)).map_or(0, <[u8]>::len);
            joined.extend_from_slice(&line[repeated..]);
        }
    }
    let decoded = decode(&joined);
    let words = decoded.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// All lines together, because one line of a GBK reply may well be valid UTF-8 by itself.
fn decode(octets: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(octets) {
        return text.to_owned();
    }
    match GB18030.decode_without_bom_handling_and_without_replacement(octets) {
        Some(text) => text.into_owned(),
        None => String::from_utf8_lossy(octets).into_owned(),
    }
}

/// The `5.7.8` in front of the text, if there is one: class, subject, detail (RFC 3463 section 2).
fn enhanced_code(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
    let parts: Vec<&[u8]> = line[..end].split(|&b| b == b'.').collect();
    let number = |part: &&[u8]| (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
    (parts.len() == 3 && parts.iter().all(number)).then_some(&line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gbk_octets_become_chinese() {
        // "Error: 请使用授权码登录。" as QQ sends it.
        let (gbk, _, _) = GB18030.encode("Error: 请使用授权码登录。详情请看: http://service.mail.qq.com/");
        assert!(std::str::from_utf8(&gbk).is_err());
        assert_eq!(reply_text([gbk.as_ref()]), "Error: 请使用授权码登录。详情请看: http://service.mail.qq.com/");
        assert_eq!(reply_text(["系统已强制要求"]), "系统已强制要求");
    }

    #[test]
    fn the_charset_is_judged_over_all_lines() {
        // The second line alone is also valid UTF-8 (0xc2 0xb7 is a middle dot), the reply as a whole is not.
        let lines: [&[u8]; 2] = [b"\xc7\xeb", b"\xc2\xb7"];
        assert_eq!(reply_text(lines), "请 路");
    }

    #[test]
    fn what_is_neither_is_kept_lossily() {
        assert_eq!(reply_text([b"queued \xff as".as_slice()]), "queued \u{fffd} as");
    }

    #[test]
    fn lines_join_and_blanks_collapse() {
        assert_eq!(reply_text(["5.7.8 Username  and\tPassword", "5.7.8 not accepted.\r"]), {
            "5.7.8 Username and Password not accepted."
        });
        assert_eq!(reply_text(["5.7.1 one", "4.2.2 two"]), "5.7.1 one 4.2.2 two");
        assert_eq!(reply_text(["1.2.3.4 is listed", "1.2.3.4 twice"]), "1.2.3.4 is listed 1.2.3.4 twice");
        assert_eq!(reply_text(["one", ""]), "one");
        assert_eq!(reply_text(Vec::<&str>::new()), "");
    }

    #[test]
    fn control_characters_are_gone() {
        assert_eq!(reply_text([b"\0\0\0\x1a Bye\x1b[2J".as_slice()]), "Bye [2J");
    }
}
