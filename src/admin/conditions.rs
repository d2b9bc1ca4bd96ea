//! The conditions of a list or of a change of many messages, as an operator writes them, and their check.
//!
//! Invariant: what passes the check restricts the messages as it says. A condition that would match everything, such as
//! a subject without a letter, is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::{TIME_EXAMPLES, Timestamp};
use crate::language::words;
use crate::mail::Id;
use crate::queue::{MessageSearch, MessageState, SearchCursor, SearchOrder};

use super::accounts::Accounts;
use super::command::Order;
use super::error::{AdminError, ErrorCode};

/// The most messages of a page.
pub const LARGEST_PAGE: usize = 1000;
/// The longest text of a condition, in octets.
const LONGEST: usize = 1000;

/// The conditions that a message must meet, all of them. The names are those of the options and of the HTTP query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessageConditions {
    /// Names of states: the message is in one of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<String>,
    /// The name of the client, or its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The envelope sender: an address, a domain, or the part before the `@`; `<>` for the null sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A recipient, as `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Words of the subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The account that tried last, or that may take the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Received at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Received before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl MessageConditions {
    /// Returns whether there is no condition.
    pub fn is_empty(&self) -> bool {
        *self == MessageConditions::default()
    }

    /// Replaces times such as `1h` by dates, so that a second command means the same.
    ///
    /// # Errors
    /// [`ErrorCode::BadTime`].
    pub fn fix_times(&mut self, now: Timestamp) -> Result<(), AdminError> {
        for text in [&mut self.since, &mut self.until].into_iter().flatten() {
            *text = time(text, now)?.rfc3339();
        }
        Ok(())
    }

    /// The search that they describe.
    ///
    /// # Errors
    /// What cannot be read or means nothing.
    pub(super) fn search(&self, accounts: &dyn Accounts, now: Timestamp) -> Result<MessageSearch, AdminError> {
        let states = self.state.iter().map(|name| state(name)).collect::<Result<_, _>>()?;
        let (since, until) = times(self.since.as_deref(), self.until.as_deref(), now)?;
        for (name, text) in self.texts() {
            check_text(name, text)?;
        }
        Ok(MessageSearch {
            states,
            client: self.client.clone(),
            sender: self.from.clone(),
            recipient: self.to.clone(),
            subject: self.subject.clone(),
            account: self.account.clone(),
            account_pools: self.account.as_deref().map(|account| accounts.pools_with(account)).unwrap_or_default(),
            since,
            until,
            ..MessageSearch::default()
        })
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("client", &self.client),
            ("from", &self.from),
            ("to", &self.to),
            ("subject", &self.subject),
            ("account", &self.account),
        ];
        all.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)))
    }
}

/// `client=scanner to=a@b.c`, for the audit log and for a person.
impl fmt::Display for MessageConditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.state.iter().map(|name| ("state", name.as_str()));
        let times = [("since", &self.since), ("until", &self.until)];
        let times = times.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
        for (place, (name, text)) in states.chain(self.texts()).chain(times).enumerate() {
            let blank = if place == 0 { "" } else { " " };
            match text.contains([' ', '"']) || text.is_empty() {
                true => write!(f, "{blank}{name}={text:?}")?,
                false => write!(f, "{blank}{name}={text}")?,
            }
        }
        Ok(())
    }
}

/// A condition must restrict something: a search without a term finds everything.
fn check_text(name: &'static str, text: &str) -> Result<(), AdminError> {
    let means_something = match name {
        "subject" => text.chars().any(char::is_alphanumeric),
        "from" => !text.trim().is_empty(),
        // Only a sender may be the null one.
        _ => !text.trim().trim_matches(['<', '>', '@']).is_empty(),
    };
    if means_something && text.len() <= LONGEST {
        return Ok(());
    }
    let (message, remedy) = match means_something {
        false => (
            words(format!("the condition `{name}` says nothing"), format!("条件 `{name}` 没有内容")),
            words("give it a value with a letter or a digit, or leave it out", "请写入字母、数字或汉字，或去掉该条件"),
        ),
        true => (
            words(
                format!("the condition `{name}` is longer than {LONGEST} octets"),
                format!("条件 `{name}` 超过 {LONGEST} 个字节"),
            ),
            words("write a shorter one", "请写得短一些"),
        ),
    };
    Err(AdminError::new(ErrorCode::BadFilter, message, remedy))
}

/// The state of this name.
///
/// # Errors
/// [`ErrorCode::BadState`].
pub(super) fn state(name: &str) -> Result<MessageState, AdminError> {
    MessageState::parse(name).ok_or_else(|| {
        let names: Vec<&str> = MessageState::ALL.iter().map(|state| state.name()).collect();
        let (name, names) = (shown(name), names.join(", "));
        AdminError::new(
            ErrorCode::BadState,
            words(format!("there is no state `{name}`"), format!("没有状态 `{name}`")),
            words(format!("the states are {names}"), format!("状态有：{names}")),
        )
    })
}

/// The message of this id.
///
/// # Errors
/// [`ErrorCode::BadId`].
pub(super) fn id(text: &str) -> Result<Id, AdminError> {
    Id::parse(text).ok_or_else(|| {
        AdminError::new(
            ErrorCode::BadId,
            words("an id is 16 characters of 0-9 and a-z", "邮件编号是 16 个字符（0-9、a-z）"),
            words(
                "`yizhan queue list` and `yizhan history` show them",
                "`yizhan queue list` 和 `yizhan history` 会显示编号",
            ),
        )
    })
}

/// The time that this text means.
///
/// # Errors
/// [`ErrorCode::BadTime`].
pub(super) fn time(text: &str, now: Timestamp) -> Result<Timestamp, AdminError> {
    Timestamp::parse(text, now).ok_or_else(|| {
        let text = shown(text);
        AdminError::new(
            ErrorCode::BadTime,
            words(format!("`{text}` is not a time"), format!("`{text}` 不是时间")),
            words(format!("write it as one of: {TIME_EXAMPLES}"), format!("可以这样写：{TIME_EXAMPLES}")),
        )
    })
}

/// The two ends of a time span.
///
/// # Errors
/// [`ErrorCode::BadTime`]: one cannot be read, or the span has no length.
pub(super) fn times(
    since: Option<&str>,
    until: Option<&str>,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Option<Timestamp>), AdminError> {
    let read = |text: Option<&str>| text.map(|text| time(text, now)).transpose();
    let (since, until) = (read(since)?, read(until)?);
    match (since, until) {
        (Some(first), Some(last)) if first >= last => Err(AdminError::new(
            ErrorCode::BadTime,
            words(
                format!("`since` ({}) is not before `until` ({})", first.rfc3339(), last.rfc3339()),
                format!("`since`（{}）不早于 `until`（{}）", first.rfc3339(), last.rfc3339()),
            ),
            words("exchange the two, or leave one out", "请交换两者，或去掉一个"),
        )),
        (Some(_) | None, Some(_) | None) => Ok((since, until)),
    }
}

/// Where a page begins.
///
/// # Errors
/// [`ErrorCode::BadCursor`].
pub(super) fn cursor(text: Option<&str>) -> Result<Option<SearchCursor>, AdminError> {
    let bad = || {
        AdminError::new(
            ErrorCode::BadCursor,
            words("this is not a cursor", "这不是游标"),
            words(
                "use `next` of the page before, or leave the cursor out for the first page",
                "请使用上一页的 `next`；省略游标则从第一页开始",
            ),
        )
    };
    text.map(|text| SearchCursor::parse(text).ok_or_else(bad)).transpose()
}

/// The size of a page.
///
/// # Errors
/// [`ErrorCode::BadLimit`].
pub(super) fn limit(limit: usize) -> Result<usize, AdminError> {
    match limit {
        0 => Ok(100),
        1..=LARGEST_PAGE => Ok(limit),
        _ => Err(AdminError::new(
            ErrorCode::BadLimit,
            words(format!("a page has at most {LARGEST_PAGE}"), format!("一页最多 {LARGEST_PAGE} 条")),
            words("ask for the rest with the cursor", "其余部分请用游标读取"),
        )),
    }
}

/// The order of a search.
pub(super) fn order(order: Order) -> SearchOrder {
    match order {
        Order::Newest => SearchOrder::NewestFirst,
        Order::Oldest => SearchOrder::OldestFirst,
    }
}

/// A text of the operator in a sentence: short, and harmless for a terminal.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_796_083_200_000);

    #[test]
    fn odd_ids_states_times_cursors_and_limits_are_refused_with_a_remedy() {
        for odd in ["../../etc/passwd", "%2e%2e", "", &"a".repeat(10_000), "0123456789ABCDEF"] {
            assert!(id(odd).unwrap_err().to_string().contains("queue list"), "{odd}");
        }
        assert!(state("lost").unwrap_err().to_string().contains("deferred"));
        assert!(time("\u{1b}[2J", NOW).unwrap_err().to_string().starts_with("`\\u{1b}[2J` is not a time; write"));
        assert_eq!(cursor(Some("-1")).unwrap_err().code, ErrorCode::BadCursor);
        assert_eq!((limit(0).unwrap(), limit(1000).unwrap()), (100, 1000));
        assert_eq!(limit(1001).unwrap_err().code, ErrorCode::BadLimit);
        assert_eq!(times(Some("1h"), Some("2h"), NOW).unwrap_err().code, ErrorCode::BadTime);
        assert!(times(Some("2h"), Some("1h"), NOW).is_ok());
        assert!(shown(&"x".repeat(10_000)).len() < 50);
    }

    #[test]
    fn a_condition_without_meaning_is_refused() {
        for (name, text) in [
            ("subject", "!?"),
            ("subject", ""),
            ("client", " "),
            ("to", "<>"),
            ("to", "@"),
            ("from", ""),
            ("account", ""),
        ] {
            assert_eq!(check_text(name, text).unwrap_err().code, ErrorCode::BadFilter, "{name} {text:?}");
        }
        for (name, text) in [("subject", "扫描"), ("from", "<>"), ("to", "@example.com"), ("client", "scanner")] {
            assert!(check_text(name, text).is_ok(), "{name} {text:?}");
        }
        assert!(check_text("client", &"x".repeat(1001)).is_err());
    }

    #[test]
    fn conditions_are_shown_as_they_are_written_and_keep_their_times() {
        let mut some = MessageConditions {
            state: vec!["held".into(), "failed".into()],
            subject: Some("two words".into()),
            since: Some("1h".into()),
            ..MessageConditions::default()
        };
        assert_eq!(some.to_string(), "state=held state=failed subject=\"two words\" since=1h");
        assert!(!some.is_empty() && MessageConditions::default().is_empty());
        some.fix_times(NOW).unwrap();
        let since =
            some.since.as_deref().and_then(|text| Timestamp::parse(text, NOW + std::time::Duration::from_secs(9)));
        assert_eq!(since, Some(NOW - std::time::Duration::from_secs(3600)));
        some.until = Some("soon".into());
        assert_eq!(some.fix_times(NOW).unwrap_err().code, ErrorCode::BadTime);
    }
}
