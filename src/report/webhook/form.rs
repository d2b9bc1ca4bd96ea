//! An alarm as the other side wants it: plain JSON for programs, text for the chat rooms of four vendors.
//!
//! Each form is the one its vendor documents for a room's incoming webhook: WeCom (企业微信群机器人), DingTalk
//! (钉钉自定义机器人), Feishu (飞书自定义机器人), Slack. The last three let the operator demand a keyword: every
//! text begins with `Yizhan 驿站`, so either word will do. Not here: how signatures are made (`sign`).
//!
//! Invariants: no text is longer than the vendor takes, cut between characters; the words of others cannot
//! notify (`@all`) a room.

use serde_json::{Map, Value, json};

use crate::language::Language;
use crate::message::notice::alarm::{Alarm, Kind};
use crate::message::notice::relay_event::RelayEvent;

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

    /// Whether this vendor's robots may ask for a signature.
    pub const fn is_signed(self) -> bool {
        match self {
            Format::Dingtalk | Format::Feishu => true,
            Format::Json | Format::Wecom | Format::Slack => false,
        }
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

/// The body of the request, as JSON in UTF-8. `signature`: timestamp and signature, where Feishu asks for them.
pub fn body(format: Format, language: Language, alarm: &Alarm, signature: Option<(String, String)>) -> Vec<u8> {
    let text = text(format, language, alarm);
    let mut value = match format {
        Format::Json => object(language, alarm, &text),
        Format::Wecom | Format::Dingtalk => json!({ "msgtype": "text", "text": { "content": text } }),
        Format::Feishu => json!({ "msg_type": "text", "content": { "text": text } }),
        Format::Slack => json!({ "text": text }),
    };
    if let Some((timestamp, sign)) = signature {
        value["timestamp"] = timestamp.into();
        value["sign"] = sign.into();
    }
    value.to_string().into_bytes()
}

/// Everything, for programs.
fn object(language: Language, alarm: &Alarm, text: &str) -> Value {
    let (until, failed) = match &alarm.kind {
        Kind::Cooling { until } => (Some(until), None),
        Kind::Failed { mails } => (None, Some(mails)),
        Kind::Paused | Kind::Unreachable | Kind::Refusing | Kind::Resumed | Kind::Relay(_) => (None, None),
    };
    // An alarm about the whole relay has no account.
    let of_account = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut value = json!({
        "event": alarm.kind.event(),
        "again": alarm.again,
        "account": of_account(&alarm.account),
        "provider": of_account(&alarm.provider),
        "address": of_account(&alarm.address),
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
    });
    if let Some(object) = value.as_object_mut() {
        object.extend(relay_fields(&alarm.kind));
    }
    value
}

/// The fields of alarms about the whole relay; each is null where it has no meaning.
fn relay_fields(kind: &Kind) -> Map<String, Value> {
    let names = ["message", "client", "more", "free", "limit", "panics", "task", "place"];
    let mut fields: Map<String, Value> = names.map(|name| (name.to_owned(), Value::Null)).into_iter().collect();
    let Kind::Relay(event) = kind else { return fields };
    if let Some(stuck) = event.stuck() {
        fields["message"] = stuck.id.as_str().into();
        fields["client"] = stuck.client.as_str().into();
        fields["more"] = stuck.more.into();
    }
    match event {
        RelayEvent::Oldest { limit, .. } => fields["limit"] = (*limit).into(),
        RelayEvent::DiskLow { free, limit } => {
            fields["free"] = (*free).into();
            fields["limit"] = (*limit).into();
        }
        RelayEvent::Panicked { times, task, place } => {
            fields["panics"] = (*times).into();
            fields["task"] = task.as_str().into();
            fields["place"] = place.as_str().into();
        }
        RelayEvent::Held { .. } | RelayEvent::Over { .. } | RelayEvent::Test => {}
    }
    fields
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
