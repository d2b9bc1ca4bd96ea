//! The options that say which messages are meant, for every command that finds messages.

use clap::Args;

use crate::admin::{AdminError, MessageConditions};
use crate::clock::Clock;

/// Conditions on messages; a message meets all of them.
#[derive(Args, Default)]
#[command(next_help_heading = "Conditions 条件")]
pub(super) struct FilterArguments {
    /// In this state: queued, sending, waiting, deferred, held, delivered, failed (may be repeated) 状态
    #[arg(long, value_name = "STATE")]
    state: Vec<String>,
    /// From this client: its name in the settings, or its address 来源设备
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// With this sender: an address, a domain, or the part before the @ 发件人
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// With this recipient: an address, a domain, or the part before the @ 收件人
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// With these words in the subject; beginnings of words and parts of Chinese text are found 主题
    #[arg(long, value_name = "WORDS")]
    subject: Option<String>,
    /// That this account has tried, or may take 账号
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Received at this time or later: 30m, 1h, 2d, 2026-11-30, "2026-11-30 14:00" 起始时间
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Received before this time, written as --since 截止时间
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl FilterArguments {
    /// The conditions, with times that mean the same in every command that follows.
    ///
    /// # Errors
    /// A time that cannot be read.
    pub(super) fn conditions(self) -> Result<MessageConditions, AdminError> {
        let FilterArguments { state, client, from, to, subject, account, since, until } = self;
        let mut conditions = MessageConditions { state, client, from, to, subject, account, since, until };
        conditions.fix_times(Clock::system().now())?;
        Ok(conditions)
    }
}
