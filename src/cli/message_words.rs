//! What a person reads of a message: its state with a time, why it waits, what is out of the ordinary. Two languages.

use crate::admin::MessageConditions;
use crate::admin::view::MessageStatus;
use crate::clock::Timestamp;
use crate::queue::WaitReason;

use super::screen::{Lang, one_line, size};

/// A message in one line with stable words, for scripts: `ID STATE SIZE key=value ...`.
pub(super) fn stable_line(message: &MessageStatus, now: Timestamp, lang: Lang) -> String {
    let to: Vec<&str> = message.recipients.iter().map(|r| r.to.as_str()).collect();
    let next = match (&message.next, message.state.as_str()) {
        (Some(next), _) => next,
        (None, "waiting") => lang.pick("when-resumed", "待恢复账号"),
        (None, _) => "-",
    };
    let pool = if message.pool.is_empty() { "-" } else { &message.pool };
    let reason = message.reason.as_ref().map_or_else(String::new, |reason| format!(" reason={}", reason.kind()));
    let held = message.held.as_ref().map_or_else(String::new, |held| format!(" held={held}"));
    let line = format!(
        "{} {:<9} {:>9} tries={} next={next}{reason}{held} age={} lane={} pool={pool} client={} from=<{}> to={}",
        message.id,
        message.state,
        size(message.size),
        message.tries,
        age(&message.received, now),
        message.lane,
        message.client,
        message.from,
        to.join(",")
    );
    one_line(&line)
}

/// How long ago that was: `45s`, `3m`, `2h`, `5d`; `?` for a text that is no time.
pub(super) fn age(time: &str, now: Timestamp) -> String {
    let Some(time) = Timestamp::parse(time, now) else { return "?".to_owned() };
    match now.since(time).as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// The shortest form of a time that is clear today: `18:00`, `11-21 18:00`, `2025-11-21 18:00`.
pub(super) fn short_time(time: &str, now: Timestamp) -> String {
    let today = now.rfc3339();
    let (Some(date), Some(clock), Some(year)) = (time.get(..10), time.get(11..16), time.get(..4)) else {
        return time.to_owned();
    };
    if today.starts_with(date) {
        clock.to_owned()
    } else if today.starts_with(year) {
        format!("{} {clock}", &date[5..])
    } else {
        format!("{date} {clock}")
    }
}

/// The state in words, with the time that matters and a short reason: `waits until 14:20 (budget of office)`.
pub(super) fn state_words(message: &MessageStatus, now: Timestamp, lang: Lang) -> String {
    let next = message.next.as_deref().map(|next| short_time(next, now));
    let finished = message.finished.as_deref().map_or_else(String::new, |at| format!(" {}", short_time(at, now)));
    let why = message.reason.as_ref().map(|reason| short_reason(reason, lang));
    let words = match (message.state.as_str(), lang) {
        ("queued", Lang::En) => why.map_or_else(|| "queued".to_owned(), |why| format!("queued ({why})")),
        ("queued", Lang::Zh) => why.map_or_else(|| "排队".to_owned(), |why| format!("排队（{why}）")),
        ("sending", _) => lang.pick("being sent", "发送中").to_owned(),
        ("waiting", Lang::En) => {
            let until = next.map_or_else(|| "for an operator".to_owned(), |next| format!("until {next}"));
            why.map_or_else(|| format!("waits {until}"), |why| format!("waits {until} ({why})"))
        }
        ("waiting", Lang::Zh) => {
            let until = next.map_or_else(|| "等待操作员".to_owned(), |next| format!("等到 {next}"));
            why.map_or_else(|| until.clone(), |why| format!("{until}（{why}）"))
        }
        ("deferred", Lang::En) => format!("deferred until {}", next.unwrap_or_else(|| "-".to_owned())),
        ("deferred", Lang::Zh) => format!("推迟到 {}", next.unwrap_or_else(|| "-".to_owned())),
        ("held", _) => held(message, lang),
        ("delivered", _) => format!("{}{finished}", lang.pick("delivered", "已送达")),
        ("failed", _) => format!("{}{finished}", lang.pick("failed", "失败")),
        // A state that a later relay knows.
        (other, _) => other.to_owned(),
    };
    one_line(&words)
}

fn held(message: &MessageStatus, lang: Lang) -> String {
    let by = match message.held.as_deref() {
        Some("operator") => lang.pick("held by an operator", "被操作员扣留"),
        Some("policy") => lang.pick("held by a rule", "被规则扣留"),
        Some("damaged") => lang.pick("held: damaged", "因损坏扣留"),
        _ => lang.pick("held", "扣留"),
    };
    match message.trouble.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => format!("{by}{}{text}", lang.pick(": ", "：")),
        None => by.to_owned(),
    }
}

fn short_reason(reason: &WaitReason, lang: Lang) -> String {
    match (reason, lang) {
        (WaitReason::Budget { account, .. }, Lang::En) => format!("budget of {account}"),
        (WaitReason::Budget { account, .. }, Lang::Zh) => format!("{account} 的额度"),
        (WaitReason::Account { account, cause, .. }, Lang::En) => format!("account {account}: {cause}"),
        (WaitReason::Account { account, cause, .. }, Lang::Zh) => format!("账号 {account}：{cause}"),
        (WaitReason::Unreachable { account, .. }, Lang::En) => format!("{account} unreachable"),
        (WaitReason::Unreachable { account, .. }, Lang::Zh) => format!("连不上 {account}"),
        (WaitReason::Share, _) => lang.pick("others go first", "其他邮件先发").to_owned(),
    }
}

/// Why a message does not leave, in one sentence.
fn why(reason: &WaitReason, lang: Lang) -> String {
    let text = match (lang, reason) {
        (Lang::En, reason) => reason.to_string(),
        (Lang::Zh, WaitReason::Budget { account, unit, window, limit, kept }) => {
            let unit = match unit.as_str() {
                "messages" => "封邮件",
                "recipients" => "位收件人",
                _ => "次登录",
            };
            let window = match window.as_str() {
                "minute" => "每分钟",
                "hour" => "每小时",
                _ => "每天",
            };
            let kept = if *kept > 0 { format!("；其中 {kept} 留给更紧急的邮件") } else { String::new() };
            format!("账号 {account} 的额度已用完：{window} {limit} {unit}{kept}")
        }
        (Lang::Zh, WaitReason::Account { account, cause, text }) => {
            let text = if text.is_empty() { String::new() } else { format!("：{text}") };
            format!("账号 {account} 暂停使用（{cause}）{text}")
        }
        (Lang::Zh, WaitReason::Unreachable { account, text }) => format!("连不上账号 {account} 的服务商：{text}"),
        (Lang::Zh, WaitReason::Share) => "轮到其他邮件先发".to_owned(),
    };
    one_line(&text)
}

/// What is out of the ordinary about one message: what it waits for, and what was learnt about it.
pub(super) fn remarks(message: &MessageStatus, lang: Lang) -> Vec<String> {
    let mut all = Vec::new();
    match (message.state.as_str(), &message.next) {
        ("waiting", Some(until)) => all.push(format!("{} {until}", lang.pick("waiting until", "等到"))),
        ("waiting", None) => all.push(
            lang.pick(
                "waiting until an operator resumes the account (`yizhan account list` says why it is stopped)",
                "等到操作员恢复账号（停用原因见 `yizhan account list`）",
            )
            .to_owned(),
        ),
        ("held", _) => {
            let release = lang.pick("`yizhan queue release ID` lets it go", "用 `yizhan queue release 编号` 放行");
            let release = release.replace("ID", &message.id).replace("编号", &message.id);
            all.push(one_line(&format!("{}{}{release}", held(message, lang), lang.pick("; ", "；"))));
        }
        _ => {}
    }
    all.extend(
        message.reason.as_ref().map(|reason| format!("{} {}", lang.pick("reason:", "原因："), why(reason, lang))),
    );
    if let Some(chunk) = message.chunk {
        all.push(format!("{} {chunk}", lang.pick("recipients in one transaction, at most:", "每次最多收件人数：")));
    }
    if message.strict {
        let en = "goes with the account's own address only: the provider refused another one";
        all.push(lang.pick(en, "只用账号自己的地址发出：服务商拒绝了别的地址").to_owned());
    }
    all
}

/// The first recipient, and how many there are beside it.
pub(super) fn recipients(message: &MessageStatus) -> String {
    match &message.recipients[..] {
        [] => "-".to_owned(),
        [only] => only.to.clone(),
        [first, more @ ..] => format!("{}, +{}", first.to, more.len()),
    }
}

/// That no message meets the conditions.
pub(super) fn none_fits(conditions: &MessageConditions, lang: Lang) -> String {
    match (conditions.is_empty(), lang) {
        (true, _) => lang.pick("There is no message.", "没有邮件。").to_owned(),
        (false, Lang::En) => one_line(&format!("No message fits {conditions}.")),
        (false, Lang::Zh) => one_line(&format!("没有符合条件的邮件：{conditions}。")),
    }
}

#[cfg(test)]
pub(super) mod tests;
