//! Why a command of an operator is refused: a stable code, a sentence, and the remedy, in both languages.
//!
//! Scripts and the page rely on the codes. Invariant: no text of a client or of a file is in an error unescaped.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::language::{Words, words};
use crate::queue::{HoldReason, MessageState, QueueError};

/// The kind of a refusal. The names are part of the surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// There is no such command in this version.
    UnknownCommand,
    /// The command is longer than the socket takes, has no JSON form, or lacks a field.
    BadCommand,
    /// Not an id.
    BadId,
    /// Not the name of a state.
    BadState,
    /// A time that cannot be read, or an end before its beginning.
    BadTime,
    /// A condition that means nothing, or no condition where one is needed.
    BadFilter,
    /// Not a cursor.
    BadCursor,
    /// A page with more messages than a page may have.
    BadLimit,
    /// A text that is too long.
    BadText,
    /// Not an absolute path.
    BadPath,
    /// There is no such message.
    NotFound,
    /// There is no such account.
    NoAccount,
    /// The message is in a state in which the command does nothing.
    WrongState,
    /// An operator or a content rule holds the message.
    Held,
    /// The content of the message was deleted.
    NoContent,
    /// The message is being sent.
    Busy,
    /// The filter matches more messages than one command may change.
    TooMany,
    /// The filter matches another number of messages than was expected.
    CountDiffers,
    /// A filter was given without the number of messages that it is expected to match.
    CountNeeded,
    /// The file exists.
    FileExists,
    /// A file or a folder may not be used by this user.
    NotPermitted,
    /// The disk is full.
    NoSpace,
    /// The change is made, but it could not be written.
    NotWritten,
    /// The relay is stopping.
    Stopping,
    /// Another process has the queue.
    InUse,
    /// There is no page that a browser can reach.
    NoPage,
    /// The queue cannot be used, or the relay failed.
    #[serde(other)]
    Internal,
}

impl ErrorCode {
    /// Whether the command itself was not understood, or names something that does not exist.
    pub const fn is_about_the_command(self) -> bool {
        match self {
            ErrorCode::UnknownCommand
            | ErrorCode::BadCommand
            | ErrorCode::BadId
            | ErrorCode::BadState
            | ErrorCode::BadTime
            | ErrorCode::BadFilter
            | ErrorCode::BadCursor
            | ErrorCode::BadLimit
            | ErrorCode::BadText
            | ErrorCode::BadPath
            | ErrorCode::NotFound
            | ErrorCode::NoContent
            | ErrorCode::CountNeeded => true,
            ErrorCode::NoAccount
            | ErrorCode::WrongState
            | ErrorCode::Held
            | ErrorCode::Busy
            | ErrorCode::TooMany
            | ErrorCode::CountDiffers
            | ErrorCode::FileExists
            | ErrorCode::NotPermitted
            | ErrorCode::NoSpace
            | ErrorCode::NotWritten
            | ErrorCode::Stopping
            | ErrorCode::InUse
            | ErrorCode::NoPage
            | ErrorCode::Internal => false,
        }
    }

    /// The name in JSON.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminError {
    /// The kind.
    pub code: ErrorCode,
    /// One sentence without its full stop.
    pub message: Words,
    /// What the operator can do, as `message`.
    pub remedy: Words,
}

impl AdminError {
    /// The settings of a stopped relay cannot be used.
    pub(crate) fn bad_settings(reason: &str) -> AdminError {
        let remedy = words("`yizhan check` shows every mistake in the settings", "`yizhan check` 列出配置中的所有错误");
        AdminError::new(ErrorCode::Internal, words(reason, reason), remedy)
    }

    pub(crate) fn new(code: ErrorCode, message: Words, remedy: Words) -> AdminError {
        AdminError { code, message, remedy }
    }

    /// Message and remedy in one line.
    pub fn sentence(&self) -> Words {
        let AdminError { message, remedy, .. } = self;
        words(format!("{}; {}", message.en, remedy.en), format!("{}；{}", message.zh, remedy.zh))
    }
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence().en)
    }
}

impl std::error::Error for AdminError {}

/// The Chinese word for a state.
pub const fn state_zh(state: MessageState) -> &'static str {
    match state {
        MessageState::Queued => "排队",
        MessageState::Sending => "发送中",
        MessageState::Waiting => "等待",
        MessageState::Deferred => "推迟",
        MessageState::Held => "扣留",
        MessageState::Delivered => "已送达",
        MessageState::Failed => "失败",
    }
}

fn about_files(error: &QueueError, source: &std::io::Error, what: &str) -> (ErrorCode, Words, Words) {
    let text = error.to_string();
    let zh = format!("{what}：{source}");
    match source.kind() {
        std::io::ErrorKind::AlreadyExists => (
            ErrorCode::FileExists,
            words(text, zh),
            words("name a new file: an existing one is never overwritten", "请换一个新文件名：已有的文件不会被覆盖"),
        ),
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => (
            ErrorCode::NotPermitted,
            words(text, zh),
            words(
                "the relay uses the file as its own user: choose a folder that this user may write to",
                "文件由中继以它自己的用户读写：请选择该用户可写的目录",
            ),
        ),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            (ErrorCode::NoSpace, words(text, zh), space_remedy())
        }
        _ => (
            ErrorCode::Internal,
            words(text, zh),
            words("check the path, the disk and the log of the relay", "请检查路径、磁盘和中继的日志"),
        ),
    }
}

fn space_remedy() -> Words {
    words("free some space on that disk and try again", "请在该磁盘上腾出空间后重试")
}

fn held(id: &crate::mail::Id, reason: HoldReason, text: String) -> (ErrorCode, Words, Words) {
    let zh = match reason {
        HoldReason::Damaged => format!("邮件 {id} 已损坏，被中继扣留"),
        HoldReason::Operator => format!("邮件 {id} 被操作员扣留"),
        HoldReason::Policy => format!("邮件 {id} 被内容规则扣留"),
    };
    let remedy =
        words(format!("`yizhan queue release {id}` lets it go"), format!("用 `yizhan queue release {id}` 放行"));
    (ErrorCode::Held, words(text, zh), remedy)
}

impl From<QueueError> for AdminError {
    fn from(error: QueueError) -> AdminError {
        let text = error.to_string();
        let see_log = || words("the log of the relay says more", "详情见中继的日志");
        let (code, message, remedy) = match &error {
            QueueError::Full(place) => (ErrorCode::NoSpace, words(text, format!("{place} 已没有空间")), space_remedy()),
            QueueError::InUse(sentence) => (
                ErrorCode::InUse,
                words(text, format!("队列被另一个进程占用（{sentence}）")),
                words("end that process, or use its data folder", "请结束该进程，或使用它的数据目录"),
            ),
            QueueError::Unusable { place, reason } => {
                (ErrorCode::Internal, words(text, format!("{place} 中的队列无法使用：{reason}")), see_log())
            }
            QueueError::Io { what, source } => about_files(&error, source, what),
            QueueError::Database(reason) => {
                (ErrorCode::Internal, words(text, format!("队列的数据库出错：{reason}")), see_log())
            }
            QueueError::NotFound(id) => (
                ErrorCode::NotFound,
                words(text, format!("没有邮件 {id}")),
                words("`yizhan history` lists finished messages too", "`yizhan history` 会列出包括已完成在内的邮件"),
            ),
            QueueError::Busy(id) => (
                ErrorCode::Busy,
                words(format!("message {id} is being sent right now"), format!("邮件 {id} 正在发送")),
                words("try again in a moment", "请稍后再试"),
            ),
            QueueError::WrongState(id, state) => (
                ErrorCode::WrongState,
                words(text, format!("邮件 {id} 的状态是“{}”", state_zh(*state))),
                words(
                    format!("the command does nothing in this state; `yizhan queue show {id}` shows the message"),
                    format!("该命令对此状态无效；`yizhan queue show {id}` 查看这封邮件"),
                ),
            ),
            QueueError::Held(id, reason) => held(id, *reason, text),
            QueueError::NoContent(id) => no_content(&id.to_string()),
            QueueError::NotLeased(id) => {
                (ErrorCode::Busy, words(text, format!("邮件 {id} 已不在发送中")), words("try again", "请重试"))
            }
            QueueError::TooLong { what, limit } => (
                ErrorCode::BadText,
                words(text, format!("{what} 超过 {limit} 个字节")),
                words("write a shorter one", "请写得短一些"),
            ),
            QueueError::Closed => (
                ErrorCode::Stopping,
                words("the relay is stopping", "中继正在停止"),
                words("repeat the command when it has stopped or started again", "请在它停止或重新启动后再执行"),
            ),
        };
        AdminError::new(code, message, remedy)
    }
}

/// The parts of the refusal to show a content that is gone.
fn no_content(id: &str) -> (ErrorCode, Words, Words) {
    (
        ErrorCode::NoContent,
        words(
            format!("the content of message {id} is deleted; only its record is kept"),
            format!("邮件 {id} 的内容已删除，只保留记录"),
        ),
        words(
            "content is deleted on delivery, and of a failed message after `queue.keep_failed`; ask the sender or the \
             recipient for a copy",
            "送达后内容即删除，失败的邮件在 `queue.keep_failed` 之后删除；请向发件人或收件人索取副本",
        ),
    )
}

/// The refusal to show a content that is gone.
pub(super) fn content_is_gone(id: &str) -> AdminError {
    let (code, message, remedy) = no_content(id);
    AdminError::new(code, message, remedy)
}

/// The refusal of a name that no account has.
pub fn no_such_account<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> AdminError {
    let known: Vec<String> = known.into_iter().map(|name| name.escape_debug().to_string()).collect();
    let name = name.chars().take(100).collect::<String>();
    let name = name.escape_debug();
    let remedy = match known.is_empty() {
        true => words("the settings have no account", "配置中没有账号"),
        false => {
            let known = known.join(", ");
            words(format!("there is: {known}"), format!("现有账号：{known}"))
        }
    };
    let message = words(format!("there is no account `{name}`"), format!("没有账号 `{name}`"));
    AdminError::new(ErrorCode::NoAccount, message, remedy)
}

/// The report of a change that would not outlive a restart.
pub(super) fn not_written(error: &QueueError) -> AdminError {
    AdminError::new(
        ErrorCode::NotWritten,
        words(
            format!("done, but it could not be written, so it would not outlive a restart: {error}"),
            format!("已执行，但无法写入磁盘，重启后会失效：{error}"),
        ),
        words("look at the disk of the data folder, then repeat the command", "请检查数据目录所在的磁盘，然后重新执行"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Id;

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        assert_eq!(no_such_account("x", ["a", "b"]).to_string(), "there is no account `x`; there is: a, b");
        assert_eq!(
            no_such_account("\u{1b}[2J", []).to_string(),
            "there is no account `\\u{1b}[2J`; the settings have no account"
        );
    }

    #[test]
    fn every_refusal_of_the_queue_has_a_sentence_and_a_remedy_in_both_languages() {
        let id = Id::parse("0mwqqovrlykg0q2v").unwrap();
        let io = |kind: std::io::ErrorKind| QueueError::Io { what: "cannot write /x".into(), source: kind.into() };
        for (error, code) in [
            (QueueError::Full("/x".into()), ErrorCode::NoSpace),
            (QueueError::InUse("process 1 has it".into()), ErrorCode::InUse),
            (QueueError::Unusable { place: "/x".into(), reason: "old".into() }, ErrorCode::Internal),
            (io(std::io::ErrorKind::AlreadyExists), ErrorCode::FileExists),
            (io(std::io::ErrorKind::PermissionDenied), ErrorCode::NotPermitted),
            (io(std::io::ErrorKind::StorageFull), ErrorCode::NoSpace),
            (io(std::io::ErrorKind::Other), ErrorCode::Internal),
            (QueueError::Database("x".into()), ErrorCode::Internal),
            (QueueError::NotFound(id), ErrorCode::NotFound),
            (QueueError::Busy(id), ErrorCode::Busy),
            (QueueError::WrongState(id, MessageState::Failed), ErrorCode::WrongState),
            (QueueError::Held(id, HoldReason::Policy), ErrorCode::Held),
            (QueueError::NoContent(id), ErrorCode::NoContent),
            (QueueError::NotLeased(id), ErrorCode::Busy),
            (QueueError::TooLong { what: "a name", limit: 3 }, ErrorCode::BadText),
            (QueueError::Closed, ErrorCode::Stopping),
        ] {
            let told = AdminError::from(error);
            assert_eq!(told.code, code, "{told:?}");
            for text in [&told.message.en, &told.message.zh, &told.remedy.en, &told.remedy.zh] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{told:?}");
            }
            assert!(!told.message.zh.is_ascii() && !told.remedy.zh.is_ascii(), "{told:?}");
        }
    }

    #[test]
    fn a_code_of_a_later_version_is_internal() {
        assert_eq!(serde_json::from_str::<ErrorCode>("\"from_2030\"").unwrap(), ErrorCode::Internal);
        assert_eq!(ErrorCode::CountDiffers.name(), "count_differs");
    }
}
