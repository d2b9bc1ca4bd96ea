//! The digest: one mail for many that failed, so that a bad hour does not fill the operator's mailbox.
//!
//! A table by cause: the remedy once, then a line for each mail. `report::digest` decides when a digest replaces single
//! notices. Invariant: at most [`MOST_ROWS`] lines, whatever is handed in; the rest is a
//! number.

use crate::language::Tongue;
use crate::mail::{Address, Id};

use super::{Letter, NOTICE, assemble, failure, one_line, subject_of, words};

/// How many failed mails are listed one by one.
pub const MOST_ROWS: usize = 200;
/// The widths of a client's name, a subject and a reply in a line, in characters.
const WIDTHS: (usize, usize, usize) = (32, 40, 160);

/// One failed recipient of one failed mail.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The mail.
    pub id: Id,
    /// The client that sent it.
    pub client: &'a str,
    /// Its Subject as stored (unfolded or not, encoded words and all).
    pub subject: &'a str,
    /// Whom it was for.
    pub recipient: &'a Address,
    /// The provider's own words, reply code first; empty when it never answered.
    pub reply: &'a str,
    /// The row of the reply catalogue, `QQ-F1`: what the table is grouped by.
    pub cause: &'a str,
    /// The remedy, in English and in Chinese.
    pub remedy: Option<(&'a str, &'a str)>,
}

/// The content of a digest.
#[derive(Clone, Copy, Debug)]
pub struct Digest<'a> {
    /// From whom, to whom, in which language.
    pub letter: Letter<'a>,
    /// The first and the last failure in it, as a person reads a time.
    pub between: (&'a str, &'a str),
    /// How many mails have failed; may be more than there are rows.
    pub mails: u64,
    /// The failures, in the order to list them.
    pub rows: &'a [Row<'a>],
    /// How many failures there are that have no row.
    pub unlisted: u64,
}

/// Builds the digest: the head (fields with CRLF, no blank line) and the body.
pub fn build(digest: &Digest<'_>) -> (Vec<u8>, Vec<u8>) {
    let (letter, mails) = (&digest.letter, digest.mails);
    let subject =
        letter.language.join(&format!("{} not delivered", super::mails(mails)), &format!("{mails} 封邮件未能送达"));
    let own = (NOTICE, "digest".to_owned());
    assemble(letter, &subject, own, words(&text(digest)))
}

/// The words: what happened in each language, then the table once.
fn text(digest: &Digest<'_>) -> String {
    let tongues = digest.letter.language.tongues();
    let mut out = String::new();
    for &tongue in tongues {
        out.push_str(&opening(digest, tongue));
    }
    let shown = &digest.rows[..digest.rows.len().min(MOST_ROWS)];
    let mut causes: Vec<&str> = Vec::new();
    for row in shown {
        if !causes.contains(&row.cause) {
            causes.push(row.cause);
        }
    }
    for cause in causes {
        let group: Vec<&Row<'_>> = shown.iter().filter(|row| row.cause == cause).collect();
        let name = one_line(cause, WIDTHS.0);
        out.push_str(&format!("== {} x {} ==\n", group.len(), if name.is_empty() { "?" } else { &name }));
        if let Some((en, zh)) = group.iter().find_map(|row| row.remedy) {
            tongues.iter().for_each(|&tongue| out.push_str(&failure::remedy(en, zh, tongue)));
        }
        out.push('\n');
        group.iter().for_each(|row| out.push_str(&line(row)));
        out.push('\n');
    }
    let more = (digest.rows.len() - shown.len()) as u64 + digest.unlisted;
    if more > 0 {
        let (en, zh) = (format!("and {more} more:"), format!("另有 {more} 条："));
        out.push_str(&format!("{} yizhan queue list --state failed\n", digest.letter.language.join(&en, &zh)));
    }
    out
}

fn opening(digest: &Digest<'_>, tongue: Tongue) -> String {
    let (mails, (first, last)) = (digest.mails, digest.between);
    let (first, last) = (one_line(first, WIDTHS.1), one_line(last, WIDTHS.1));
    match tongue {
        Tongue::En => format!(
            "Yizhan could not deliver {} between {first} and {last}, and will not try them again.\n\
             So many at once are told in one mail. They are kept for a while; when the cause is gone, this sends one again:\n\n    \
             yizhan queue retry NUMBER\n\n",
            super::mails(mails)
        ),
        Tongue::Zh => format!(
            "从 {first} 到 {last}，驿站有 {mails} 封邮件未能送达，不会再重试。\n\
             一次失败的邮件较多，合并为一封通知。邮件仍保留一段时间；原因消除后，用下面的命令逐封重发：\n\n    \
             yizhan queue retry 编号\n\n"
        ),
    }
}

/// One line of the table: number, client, subject, recipient, reason.
fn line(row: &Row<'_>) -> String {
    let (client, subject, reply) = WIDTHS;
    let fields = [
        row.id.to_string(),
        one_line(row.client, client),
        subject_of(row.subject, subject),
        row.recipient.to_string(),
        one_line(row.reply, reply),
    ];
    // The bar separates the fields, so a field may not hold one.
    let fields = fields.map(|field| if field.is_empty() { "-".to_owned() } else { field.replace('|', "/") });
    format!("{}\n", fields.join(" | "))
}
