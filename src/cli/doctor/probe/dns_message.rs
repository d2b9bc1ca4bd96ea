//! A DNS question for TXT records, and the answer (RFC 1035 sections 4.1 and 3.3.14).
//!
//! No cache and no recursion: the machine's resolver does the work. Not here: sockets. Invariants: an answer is believed
//! only with our id and our question in it (RFC 5452 section 9.1); what cannot be read is no answer.

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Record, Rtype};
use domain::rdata::Txt;

/// A question as it is sent.
pub(super) type Question = Message<Vec<u8>>;

/// What a name server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// These texts; none when the name has no TXT record, or does not exist at all.
    Texts(Vec<String>),
    /// Too long for a datagram: ask again over TCP.
    Truncated,
    /// The server could not or would not say (its RCODE: 2 is a failure of its own, 5 a refusal).
    Failed(u8),
}

/// The message that asks for the TXT records of `name`; none when that is no name.
pub(super) fn ask(id: u16, name: &str) -> Option<Question> {
    let name: Name<Vec<u8>> = name.parse().ok()?;
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message.push((name, Rtype::TXT)).ok()?;
    Some(message.into_message())
}

/// Reads what came back for `question`; none when it is not the answer to it.
pub(super) fn read(question: &Question, octets: &[u8]) -> Option<Answer> {
    let message = Message::from_octets(octets).ok().filter(|message| message.is_answer(question))?;
    if message.header().tc() {
        return Some(Answer::Truncated);
    }
    match message.header().rcode() {
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN => return Some(Answer::Texts(Vec::new())),
        code => return Some(Answer::Failed(code.to_int())),
    }
    // A CNAME on the way is followed by the resolver; its target's records stand in the same section. The strings of a
    // record are joined without a blank (RFC 7208 section 3.3).
    let text = |record: Record<_, Txt<_>>| String::from_utf8_lossy(&record.data().text::<Vec<u8>>()).into_owned();
    let records = message.answer().ok()?.limit_to();
    Some(Answer::Texts(records.map(|record| record.map(text)).collect::<Result<_, _>>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TXT: u16 = 16;
    const INTERNET: u16 = 1;
    const RESPONSE: u16 = 0x8000;
    const TRUNCATED: u16 = 0x0200;

    fn response(question: &Question, flags: u16, answers: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question.as_slice().to_vec();
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
        assert_eq!(&question.as_slice()[12..], b"\x07example\x03com\x00\x00\x10\x00\x01");
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
        assert_eq!(read(&question, question.as_slice()), None, "a question is no answer");
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
