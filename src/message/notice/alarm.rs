//! The alarm: an account cannot send or sends again, or something about the whole relay (`relay_event`). One value for every channel: a mail, a chat room, a program.
//!
//! `account::alarm` decides when and how often, `report::webhook` calls a webhook. An alarm about an account is never sent
//! through that account. Invariant: it holds names, the address and the provider's words; never a secret.

use serde::{Deserialize, Serialize};

use crate::language::{Language, Tongue};

use super::relay_event::RelayEvent;
use super::{Letter, MAX_WORDS, NOTICE, assemble, failure, one_line, words};

/// The limit of a shown account name, address or time, in characters.
const MAX_NAME: usize = 120;

/// The event that an alarm reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The account was stopped until its secret changes or an operator resumes it.
    Paused,
    /// The account cools until a time, then continues by itself.
    Cooling {
        /// The time when it continues, in RFC 3339 form.
        until: String,
    },
    /// The provider cannot be reached; the relay tries every minute.
    Unreachable,
    /// The provider refuses mail with words that the relay does not know.
    Refusing,
    /// The account works again.
    Resumed,
    /// Many mails failed at once.
    Failed {
        /// How many.
        mails: u64,
    },
    /// Something about the whole relay, not about one account.
    Relay(RelayEvent),
}

impl Kind {
    /// The name of the event, as in the log.
    pub const fn event(&self) -> &'static str {
        match self {
            Kind::Paused => "account_paused",
            Kind::Cooling { .. } => "account_cooling",
            Kind::Unreachable => "unreachable",
            Kind::Refusing => "unknown_replies",
            Kind::Resumed => "account_resumed",
            Kind::Failed { .. } => "mails_failed",
            Kind::Relay(event) => event.event(),
        }
    }

    /// Whether mail waits because of it.
    const fn is_trouble(&self) -> bool {
        !matches!(self, Kind::Resumed | Kind::Failed { .. } | Kind::Relay(_))
    }
}

/// A remedy for the operator, in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
}

/// One alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// The event.
    pub kind: Kind,
    /// Whether it was reported before and still lasts.
    pub again: bool,
    /// The account's name in the settings; empty, like provider and address, when it is about the whole relay.
    pub account: String,
    /// Its provider, `qq`.
    pub provider: String,
    /// Its address.
    pub address: String,
    /// Since when it cannot, or could not, send, in RFC 3339 form.
    pub since: String,
    /// The row of the reply catalogue, `QQ-A3`; empty when there is none.
    pub cause: String,
    /// The provider's own words, reply code first; empty when it never answered. Of an unreachable provider the fault.
    pub reply: String,
    /// The remedy, if one is known.
    pub remedy: Option<Remedy>,
    /// The number of mails that wait, or waited; of an alarm about the whole relay, of those that it is about.
    pub waiting: u64,
    /// The name of this host.
    pub hostname: String,
}

impl Alarm {
    /// The account it is about; `None`: the whole relay.
    pub fn account(&self) -> Option<&str> {
        (!self.account.is_empty()).then_some(self.account.as_str())
    }

    /// One line: the relay, the account, the event.
    pub fn title(&self, language: Language) -> String {
        let name = one_line(&self.account, MAX_NAME);
        let still = |tongue: Tongue| if self.again { tongue.pick("still ", "仍") } else { "" };
        let (en, zh) = match &self.kind {
            Kind::Paused => (
                format!("account {name} {}cannot send", still(Tongue::En)),
                format!("账号 {name} {}无法发信", still(Tongue::Zh)),
            ),
            Kind::Cooling { .. } => (
                format!("account {name} {}cannot send for now", still(Tongue::En)),
                format!("账号 {name} {}暂时无法发信", still(Tongue::Zh)),
            ),
            Kind::Unreachable => (
                format!("account {name} {}cannot reach its provider", still(Tongue::En)),
                format!("账号 {name} {}连不上邮件服务商", still(Tongue::Zh)),
            ),
            Kind::Refusing => (
                format!(
                    "the provider of account {name} {}refuses mail in words the relay does not know",
                    still(Tongue::En)
                ),
                format!("账号 {name} 的服务商{}用中继不认识的话拒收邮件", still(Tongue::Zh)),
            ),
            Kind::Resumed => (format!("account {name} sends again"), format!("账号 {name} 已恢复发信")),
            Kind::Failed { mails } => {
                (format!("{} not delivered", super::mails(*mails)), format!("{mails} 封邮件未能送达"))
            }
            Kind::Relay(event) => (event.title(Tongue::En), event.title(Tongue::Zh)),
        };
        // Both names always: some chat rooms take only text with a keyword in it, and either may be the keyword.
        format!("Yizhan 驿站: {}", language.join(&en, &zh))
    }

    /// The whole text, with LF; the provider's words are cut at `most_reply` characters.
    pub fn text(&self, language: Language, most_reply: usize) -> String {
        let tongues = language.tongues().iter();
        tongues.map(|&tongue| self.one_tongue(tongue, most_reply)).collect::<Vec<_>>().join("\n--------\n\n")
    }

    fn one_tongue(&self, tongue: Tongue, most_reply: usize) -> String {
        let mut out = self.happened(tongue);
        if let Kind::Relay(event) = &self.kind {
            out.push_str(&self.relay(event, most_reply, tongue));
        }
        if self.kind.is_trouble() {
            out.push_str(&self.heard(most_reply, tongue));
            out.push_str(&self.meaning(tongue));
            if let Some(remedy) = &self.remedy {
                out.push_str(&failure::remedy(&remedy.en, &remedy.zh, tongue));
            }
        }
        out.push_str(&self.mails(tongue));
        out.push_str(&format!("\n{}{}", tongue.pick("Relay: ", "中继："), one_line(&self.hostname, MAX_NAME)));
        let cause = one_line(&self.cause, MAX_NAME);
        if !cause.is_empty() {
            out.push_str(&format!("{}{cause}", tongue.pick("; cause: ", "；原因代码：")));
        }
        out.push('\n');
        out
    }

    /// Something about the whole relay, why, and what to do.
    fn relay(&self, event: &RelayEvent, most: usize, tongue: Tongue) -> String {
        let mut out = event.text(&readable(&self.since), tongue);
        let reason = one_line(&self.reply, most);
        if !reason.is_empty() {
            out.push_str(&format!("{}{reason}\n", tongue.pick("Reason: ", "原因：")));
        }
        if let Some(remedy) = &self.remedy {
            out.push_str(&failure::remedy(&remedy.en, &remedy.zh, tongue));
        }
        out
    }

    /// The account, and since when.
    fn happened(&self, tongue: Tongue) -> String {
        let [name, provider, address] =
            [&self.account, &self.provider, &self.address].map(|text| one_line(text, MAX_NAME));
        let since = readable(&self.since);
        let (en, zh) = match &self.kind {
            Kind::Paused | Kind::Cooling { .. } | Kind::Unreachable => (
                format!("The account {name} ({provider}, {address}) cannot send since {since}."),
                format!("账号 {name}（{provider}，{address}）自 {since} 起无法发信。"),
            ),
            Kind::Refusing => (
                format!("Mail through the account {name} ({provider}, {address}) is refused since {since}."),
                format!("自 {since} 起，经账号 {name}（{provider}，{address}）发出的邮件被拒。"),
            ),
            Kind::Resumed => (
                format!("The account {name} ({provider}, {address}) sends again. It could not since {since}."),
                format!("账号 {name}（{provider}，{address}）已恢复发信。此前自 {since} 起无法发信。"),
            ),
            Kind::Failed { mails } => (
                format!("Not delivered since {since}: {}. The relay will not try again.", super::mails(*mails)),
                format!("自 {since} 起有 {mails} 封邮件未能送达，不会再重试。"),
            ),
            Kind::Relay(_) => return String::new(),
        };
        format!("{}\n\n", tongue.pick(en, zh))
    }

    /// The provider's words, or what the connection did instead.
    fn heard(&self, most: usize, tongue: Tongue) -> String {
        match self.kind {
            Kind::Unreachable => {
                format!("{}{}\n", tongue.pick("What happens: ", "现象："), one_line(&self.reply, most))
            }
            _ => failure::said(&self.reply, most, tongue),
        }
    }

    /// The relay's reaction, and what ends it.
    fn meaning(&self, tongue: Tongue) -> String {
        let name = one_line(&self.account, MAX_NAME);
        let (en, zh) = match &self.kind {
            Kind::Paused => (
                format!(
                    "the relay has stopped using this account, because more log-ins would make it worse. It goes on when the \
                     secret is changed, or when you say so: yizhan account resume {name}"
                ),
                format!(
                    "为避免情况恶化，驿站已停止使用该账号。更换授权码（密码）后会自动恢复，也可执行：yizhan account resume {name}"
                ),
            ),
            Kind::Cooling { until } => (
                format!("the relay rests this account until {} and then goes on by itself.", readable(until)),
                format!("驿站让该账号休息到 {}，之后自动恢复。", readable(until)),
            ),
            Kind::Unreachable => (
                "nobody refused anything; the provider's server does not answer from here. The relay tries it every minute \
                 and goes on by itself."
                    .to_owned(),
                "账号本身未被拒绝，只是从本机连不上服务商的服务器。驿站每分钟重试一次，连上后自动恢复。".to_owned(),
            ),
            Kind::Refusing => (
                "the relay does not know whether the mail or the account is the cause. It tries each message again, and \
                 gives none up before another one has passed or its time is over. Read the words above: where they name the \
                 account, sign in to the mailbox and look for a notice."
                    .to_owned(),
                "中继不知道原因在邮件还是在账号。每封邮件都会重试，在别的邮件发送成功或超过期限之前不会放弃。\
                 请看上面的原话：如果说的是账号，请登录邮箱查看有没有通知。"
                    .to_owned(),
            ),
            Kind::Resumed | Kind::Failed { .. } | Kind::Relay(_) => return String::new(),
        };
        format!("{}{}\n", tongue.pick("What it means: ", "说明："), tongue.pick(en, zh))
    }

    /// The number of mails that wait; none is lost.
    fn mails(&self, tongue: Tongue) -> String {
        let waiting = self.waiting;
        let count = super::mails(waiting);
        let (en, zh) = match &self.kind {
            Kind::Resumed => (
                format!("Waited meanwhile: {count}. What was not sent yet goes out now. There is nothing to do."),
                format!("期间等待的邮件：{waiting} 封，未发出的现在陆续发出。无需处理。"),
            ),
            Kind::Failed { .. } => (
                "They are kept for a while: yizhan queue list --state failed".to_owned(),
                "邮件仍保留一段时间，查看：yizhan queue list --state failed".to_owned(),
            ),
            Kind::Relay(_) => return String::new(),
            Kind::Paused | Kind::Cooling { .. } | Kind::Unreachable | Kind::Refusing => (
                format!(
                    "Waiting: {count}. Nothing is lost: new mail is taken as before, and goes out as soon as an account may send it."
                ),
                format!("等待发送的邮件：{waiting} 封。邮件不会丢失：新邮件照常接收，账号可用后自动发出。"),
            ),
        };
        format!("{}\n", tongue.pick(en, zh))
    }
}

/// Builds the mail that carries an alarm: the head (fields with CRLF, no blank line) and the body.
///
/// `letter.from` must be the address of *another* account than the one it is about.
pub fn build(letter: &Letter<'_>, alarm: &Alarm) -> (Vec<u8>, Vec<u8>) {
    let own = (NOTICE, alarm.kind.event().to_owned());
    let text = alarm.text(letter.language, MAX_WORDS);
    assemble(letter, &alarm.title(letter.language), own, words(&text))
}

/// `2026-11-21T18:00:00.123+08:00` as people write it: `2026-11-21 18:00:00 +08:00`. Anything else stays.
fn readable(time: &str) -> String {
    let time = one_line(time, MAX_NAME);
    let parts = time.split_once('T').filter(|(day, clock)| day.len() == 10 && clock.len() > 8 && clock.is_ascii());
    match parts {
        Some((day, clock)) => {
            let zone = clock[8..].trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
            format!("{day} {} {zone}", &clock[..8]).trim_end().to_owned()
        }
        None => time,
    }
}
