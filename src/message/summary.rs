//! What a record keeps of a header block: the decoded subject and the Message-ID. Pure.

use super::encoded_word;
use super::header::Header;
use super::mailbox::visible_line;

/// The longest Message-ID that is kept, in octets (RFC 5322 section 2.1.1: a line has at most 998).
const LONGEST_ID: usize = 998;

/// What is kept of a header block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The subject as a person reads it, on one line; `None` without one.
    pub subject: Option<String>,
    /// The Message-ID without its angle brackets; `None` without one.
    pub message_id: Option<String>,
}

impl Summary {
    /// Reads a header block; `longest` is the most characters that are kept of the subject.
    pub fn of(head: &[u8], longest: usize) -> Summary {
        let header = Header::parse(head);
        let subject = header.text("Subject").map(|text| {
            let line = visible_line(&encoded_word::decode(&text), longest);
            line.chars().take(longest).collect::<String>().trim().to_owned()
        });
        let id = header.text("Message-ID").map(|text| text.trim().trim_matches(['<', '>']).to_owned());
        Summary {
            subject: subject.filter(|text| !text.is_empty()),
            message_id: id.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID && !id.contains(char::is_control)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_and_id_are_read_as_a_person_reads_them() {
        let head = b"From: a@b.c\r\nSubject: =?gb2312?B?yajD6Lz+?=\r\n 2\r\nMessage-ID: <x.1@host>\r\n";
        let summary = Summary::of(head, 200);
        assert_eq!(summary.subject.as_deref(), Some("\u{626b}\u{63cf}\u{4ef6} 2"));
        assert_eq!(summary.message_id.as_deref(), Some("x.1@host"));
        assert_eq!(Summary::of(head, 3).subject.as_deref(), Some("\u{626b}\u{63cf}\u{4ef6}"));
        assert_eq!(Summary::of(b"Subject:  \r\n", 200), Summary::default());
        let hostile = Summary::of(b"Subject: a\x1b[2Jb\xe2\x80\xaec\r\n", 200).subject.unwrap();
        assert!(!hostile.contains(['\u{1b}', '\u{202e}']), "{hostile:?}");
    }
}
