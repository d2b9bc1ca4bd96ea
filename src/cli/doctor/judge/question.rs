//! A DNS question for TXT records, and the answer (RFC 1035 sections 4.1 and 3.3.14).
//!
//! Own lines instead of a crate: one type of record, no cache, no recursion; the machine's resolver does the work. Not
//! here: sockets. Invariants: an answer is believed only with our id and our question in it (RFC 5452 section 9.1); a
//! name with pointers cannot make a loop (each must point further back); what cannot be read is no answer.

const TXT: u16 = 16;
const INTERNET: u16 = 1;
/// QR, TC and the RCODE in the flags.
const RESPONSE: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;
const RECURSE: u16 = 0x0100;
const NO_SUCH_NAME: u16 = 3;

/// What a name server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These texts; none when the name has no TXT record, or does not exist at all.
    Texts(Vec<String>),
    /// Too long for a datagram: ask again over TCP.
    Truncated,
    /// The server could not or would not say (its RCODE: 2 is a failure of its own, 5 a refusal).
    Failed(u16),
}

/// The message that asks for the TXT records of `name`; none when that is no name.
pub(crate) fn ask(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(64);
    for field in [id, RECURSE, 1, 0, 0, 0] {
        message.extend_from_slice(&field.to_be_bytes());
    }
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length) && label.is_ascii())?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    for field in [TXT, INTERNET] {
        message.extend_from_slice(&field.to_be_bytes());
    }
    // A name takes 255 octets at most (section 2.3.4).
    (message.len() <= 12 + 255 + 4).then_some(message)
}

/// Reads what came back for `question`; none when it is not the answer to it.
pub(crate) fn read(question: &[u8], message: &[u8]) -> Option<Answer> {
    let field = |at: usize| Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?));
    let flags = field(2)?;
    let asked = question.get(12..)?;
    let same = message.get(12..12 + asked.len()).is_some_and(|echo| echo.eq_ignore_ascii_case(asked));
    if message.get(..2)? != &question[..2] || flags & RESPONSE == 0 || field(4)? != 1 || !same {
        return None;
    }
    if flags & TRUNCATED != 0 {
        return Some(Answer::Truncated);
    }
    match flags & 0x000f {
        0 => {}
        NO_SUCH_NAME => return Some(Answer::Texts(Vec::new())),
        code => return Some(Answer::Failed(code)),
    }
    let (mut at, mut texts) = (12 + asked.len(), Vec::new());
    for _ in 0..field(6)? {
        at = behind_name(message, at)?;
        let (kind, length) = (field(at)?, usize::from(field(at + 8)?));
        let data = message.get(at + 10..at + 10 + length)?;
        // A CNAME on the way is followed by the resolver; its target's records stand in the same section.
        if kind == TXT {
            texts.push(strings(data)?);
        }
        at += 10 + length;
    }
    Some(Answer::Texts(texts))
}

/// The place behind a name: behind its root label, or behind its first pointer.
fn behind_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0..=0xff => return Some(at + 2),
            64..=0xbf => return None,
        }
    }
}

/// The strings of a record, joined without a blank (RFC 7208 section 3.3).
fn strings(mut data: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    while let Some((&length, rest)) = data.split_first() {
        text.extend_from_slice(rest.get(..usize::from(length))?);
        data = &rest[usize::from(length)..];
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(question: &[u8], flags: u16, answers: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2..4].copy_from_slice(&(RESPONSE | flags).to_be_bytes());
        message[6..8].copy_from_slice(&(answers.len() as u16).to_be_bytes());
        for (kind, data) in answers {
            // A pointer to the question's name (section 4.1.4).
            message.extend_from_slice(&[0xc0, 12]);
            for field in [*kind, INTERNET, 0, 300, data.len() as u16] {
                message.extend_from_slice(&field.to_be_bytes());
            }
            message.extend_from_slice(data);
        }
        message
    }

    #[test]
    fn texts_are_joined_and_others_are_passed_over() {
        let question = ask(7, "example.com.").unwrap();
        assert_eq!(&question[12..], b"\x07example\x03com\x00\x00\x10\x00\x01");
        let answer = response(&question, 0, &[(5, b"\x01a\x00"), (TXT, b"\x08v=spf1 i\x05p4:1."), (TXT, b"\x00")]);
        assert_eq!(read(&question, &answer), Some(Answer::Texts(vec!["v=spf1 ip4:1.".into(), String::new()])));
    }

    #[test]
    fn somebody_elses_answer_is_none() {
        let question = ask(7, "example.com").unwrap();
        let good = response(&question, 0, &[]);
        assert_eq!(read(&question, &good), Some(Answer::Texts(Vec::new())));
        let mut other_id = good.clone();
        other_id[1] = 8;
        assert_eq!(read(&question, &other_id), None);
        assert_eq!(read(&question, &response(&ask(7, "example.org").unwrap(), 0, &[])), None);
        assert_eq!(read(&question, &question), None, "a question is no answer");
        assert_eq!(read(&question, b""), None);
    }

    #[test]
    fn refusals_and_truncation_are_told_apart() {
        let question = ask(7, "example.com").unwrap();
        assert_eq!(read(&question, &response(&question, 3, &[])), Some(Answer::Texts(Vec::new())));
        assert_eq!(read(&question, &response(&question, 2, &[])), Some(Answer::Failed(2)));
        assert_eq!(read(&question, &response(&question, TRUNCATED, &[])), Some(Answer::Truncated));
    }

    #[test]
    fn a_cut_answer_is_none_at_every_place() {
        let question = ask(7, "example.com").unwrap();
        let whole = response(&question, 0, &[(TXT, b"\x03abc")]);
        for length in 0..whole.len() {
            assert_eq!(read(&question, &whole[..length]), None, "cut at {length}");
        }
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        assert!(ask(1, "a..b").is_none() && ask(1, "").is_none() && ask(1, "例.cn").is_none());
        assert!(ask(1, &"a".repeat(64)).is_none() && ask(1, &["a"; 200].join(".")).is_none());
    }
}
