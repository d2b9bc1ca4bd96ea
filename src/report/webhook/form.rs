//! An alarm as the other side wants it: plain JSON for programs, text for the chat rooms of four vendors.
//!
//! Each form is the one its vendor documents for a room's incoming webhook: WeCom (企业微信群机器人), DingTalk
//! (钉钉自定义机器人), Feishu (飞书自定义机器人), Slack. The last three let the operator demand a keyword: every
//! text begins with `Yizhan 驿站`, so either word will do. Not here: signatures (DingTalk's and Feishu's `sign`).
//!
//! Invariants: no text is longer than the vendor takes, cut between characters; the words of others cannot
//! notify (`@all`) a room.

use serde_json::{Value, json};

use crate::language::Language;
use crate::message::notice::alarm::{Alarm, Kind};

/// What the other side understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// All there is, as one JSON object.
    #[default]
    Json,
    /// A WeCom room.
    Wecom,
    /// A DingTalk room.
    Dingtalk,
    /// A Feishu or Lark room.
    Feishu,
    /// A Slack channel, or Mattermost and others that took its form.
    Slack,
}

impl Format {
    /// All of them, in the order the manual lists them.
    pub const ALL: [Format; 5] = [Format::Json, Format::Wecom, Format::Dingtalk, Format::Feishu, Format::Slack];

    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Wecom => "wecom",
            Format::Dingtalk => "dingtalk",
            Format::Feishu => "feishu",
            Format::Slack => "slack",
        }
    }

    /// The form that has this name in the settings.
    pub fn parse(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The longest text, in octets of UTF-8. WeCom counts the text (2048); DingTalk and Feishu take bodies of 20 kB,
    /// Slack 40,000 characters: too much to read.
    const fn longest(self) -> usize {
        match self {
            Format::Wecom => 2048,
            Format::Json | Format::Dingtalk | Format::Feishu | Format::Slack => 8 * 1024,
        }
    }
}

/// How much of the provider's words is shown, from best to least, in characters.
const REPLIES: [usize; 3] = [500, 160, 60];

/// The body of the request, as JSON in UTF-8.
pub fn body(format: Format, language: Language, alarm: &Alarm) -> Vec<u8> {
    let text = text(format, language, alarm);
    let value = match format {
        Format::Json => object(language, alarm, &text),
        Format::Wecom | Format::Dingtalk => json!({ "msgtype": "text", "text": { "content": text } }),
        Format::Feishu => json!({ "msg_type": "text", "content": { "text": text } }),
        Format::Slack => json!({ "text": text }),
    };
    value.to_string().into_bytes()
}

/// Everything, for programs.
fn object(language: Language, alarm: &Alarm, text: &str) -> Value {
    let (until, failed) = match &alarm.kind {
        Kind::Cooling { until } => (Some(until), None),
        Kind::Failed { mails } => (None, Some(mails)),
        Kind::Paused | Kind::Unreachable | Kind::Refusing | Kind::Resumed => (None, None),
    };
    json!({
        "event": alarm.kind.event(),
        "again": alarm.again,
        "account": alarm.account,
        "provider": alarm.provider,
        "address": alarm.address,
        "since": alarm.since,
        "until": until,
        "cause": alarm.cause,
        "reply": alarm.reply,
        "remedy": alarm.remedy,
        "waiting": alarm.waiting,
        "failed": failed,
        "hostname": alarm.hostname,
        "title": alarm.title(language),
        "text": text,
    })
}

/// Title and text, made harmless, no longer than allowed: the provider's words are shortened first.
fn text(format: Format, language: Language, alarm: &Alarm) -> String {
    let whole = |most| harmless(format, &format!("{}\n\n{}", alarm.title(language), alarm.text(language, most)));
    let texts = REPLIES.map(whole);
    let fits = texts.iter().find(|text| text.len() <= format.longest());
    fits.map_or_else(|| cut(&texts[REPLIES.len() - 1], format.longest()), |text| text.trim_end().to_owned())
}

/// Text in which nothing is markup: `<!everyone>` of Slack, `<at user_id="all">` of Feishu.
fn harmless(format: Format, text: &str) -> String {
    match format {
        Format::Json => text.to_owned(),
        Format::Slack => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        Format::Wecom | Format::Dingtalk | Format::Feishu => text.replace('<', "＜").replace('>', "＞"),
    }
}

/// At most `most` octets, cut between characters; what was cut shows.
fn cut(text: &str, most: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most.saturating_sub(MARK.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests;
