//! The words of a verdict: where a reply came, whom it condemns, what follows, and what the owner should do.
//!
//! Plain values with the words that the tables, the settings and the screen use for them. Not here: how a reply comes to
//! its verdict (`catalogue`), and what a verdict does to a message or an account (`delivery`).
//!
//! Invariant: a [`Verdict`] is `Copy` and owns nothing, so that it can be kept in a state, a log line and a notice alike.

use super::worded_enum::worded_enum;

worded_enum! {
    /// Where in the dialogue the reply came.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Phase {
        /// The greeting (RFC 5321 section 3.1).
        Connect = "connect",
        /// EHLO or HELO.
        Ehlo = "ehlo",
        /// STARTTLS (RFC 3207).
        StartTls = "starttls",
        /// Any step of the log-in (RFC 4954).
        Auth = "auth",
        /// MAIL FROM.
        Mail = "mail",
        /// RCPT TO.
        Rcpt = "rcpt",
        /// The DATA command and the final dot.
        Data = "data",
        /// RSET and NOOP: nothing that is said here changes what became of a message.
        Rset = "rset",
        /// QUIT: as RSET.
        Quit = "quit",
    }
}

impl Phase {
    /// The phase of this word, in upper or lower case.
    pub fn named(word: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.word().eq_ignore_ascii_case(word))
    }

    /// Whether a reply that came here can change anything: not after the message has its outcome.
    pub const fn matters(self) -> bool {
        !matches!(self, Phase::Rset | Phase::Quit)
    }
}

/// Whom a reply condemns, from the most forgivable to the most particular.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// This connection only.
    Session,
    /// The account: every message that would leave through it.
    Account,
    /// The public address of this relay, as the provider sees it: every account that goes there.
    Host,
    /// The domain of the account: every account of it.
    Domain,
    /// A setting of the account: nothing goes before somebody has changed it.
    Config,
    /// This message for all its recipients.
    Message,
    /// This recipient of this message.
    Recipient,
}

impl Scope {
    /// The words of the tables. Some say more than the relay makes a difference of.
    pub(super) const WORDS: [(&'static str, Scope); 9] = [
        ("session", Scope::Session),
        ("account", Scope::Account),
        ("host", Scope::Host),
        ("domain", Scope::Domain),
        ("config", Scope::Config),
        ("message", Scope::Message),
        ("recipient", Scope::Recipient),
        ("connection", Scope::Session),
        ("account+host", Scope::Account),
    ];

    /// The word in the tables, such as `account`.
    pub const fn word(self) -> &'static str {
        match self {
            Scope::Session => "session",
            Scope::Account => "account",
            Scope::Host => "host",
            Scope::Domain => "domain",
            Scope::Config => "config",
            Scope::Message => "message",
            Scope::Recipient => "recipient",
        }
    }

    /// Whether it holds back every message of the account.
    pub const fn holds_account(self) -> bool {
        match self {
            Scope::Account | Scope::Host | Scope::Domain | Scope::Config => true,
            Scope::Session | Scope::Message | Scope::Recipient => false,
        }
    }
}

worded_enum! {
    /// What follows from a reply.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Action {
        /// Treat it as success.
        Ok = "ok",
        /// A new connection in some minutes, backing off.
        RetrySoon = "retry_soon",
        /// No connection and no log-in of this account for 15 minutes or more, then go on.
        Cool15 = "cool15",
        /// As `Cool15`; when the next log-ins are refused the same way, pause the account.
        Cool15ThenPause = "cool15>pause",
        /// The account, or what the scope names, rests for an hour; longer on repeat.
        RetryHour = "retry_hour",
        /// As `RetryHour`; when it comes again, pause the account.
        RetryHourThenPause = "retry_hour>pause",
        /// It rests until the next day.
        RetryDay = "retry_day",
        /// Stop the account, keep every message, tell the owner.
        Pause = "pause",
        /// The message has failed.
        Bounce = "bounce",
        /// This recipient has failed, the others have not.
        BounceRecipient = "bounce_rcpt",
        /// Repair it (sender, header, mechanism) and send it once more; if it was repaired already, it has failed.
        Rewrite = "rewrite",
        /// Halve the list of recipients and send both; with one recipient it has failed.
        Split = "split",
        /// Try again later. It has failed only when it is refused again after the account was proved to work.
        RetryThenBounce = "retry>bounce",
    }
}

/// What the owner should do, or that nothing needs doing; one sentence or two in each language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Remedy {
    /// In English.
    pub en: &'static str,
    /// In Chinese.
    pub zh: &'static str,
}

impl Remedy {
    /// Both texts with the account's own name in commands and keys: `yizhan login NAME`, `[account.NAME.oauth]`.
    pub fn named(self, account: &str) -> (String, String) {
        let named = |text: &str| {
            let text = text.replace("yizhan login NAME", &format!("yizhan login {account}"));
            text.replace("[account.NAME.", &format!("[account.{account}."))
        };
        (named(self.en), named(self.zh))
    }
}

worded_enum! {
    /// How a verdict was reached.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Basis {
        /// A row of the catalogue or of the owner, also a row that was written for another code or phase.
        Row = "row",
        /// A general rule on the words of the reply.
        Words = "words",
        /// Only the code.
        Digit = "digit",
    }
}

/// What a reply means for the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The row of the catalogue, such as `QQ-A3`, or the general rule, such as `W-RATE`; goes into logs and notices.
    pub cause: &'static str,
    /// Whom it condemns.
    pub scope: Scope,
    /// What follows.
    pub action: Action,
    /// Whether the owner must look even though the relay goes on by itself.
    pub alert: bool,
    /// How it was reached.
    pub basis: Basis,
    /// What the owner should do.
    pub remedy: Remedy,
}

impl Verdict {
    /// Whether more than the code was understood.
    pub fn is_known(&self) -> bool {
        self.basis != Basis::Digit
    }

    /// The same for a refused log-in. Whatever it says, it speaks of the account, no mail is lost by it, and it is not tried
    /// again at once: each try feeds the limiter of the provider.
    pub fn for_log_in(self) -> Verdict {
        match self.action {
            Action::RetrySoon
            | Action::Cool15
            | Action::Cool15ThenPause
            | Action::RetryHour
            | Action::RetryHourThenPause
            | Action::RetryDay
            | Action::Pause => self,
            // Another mechanism is not tried by itself, and there is no message that could be at fault.
            Action::Ok
            | Action::Bounce
            | Action::BounceRecipient
            | Action::Rewrite
            | Action::Split
            | Action::RetryThenBounce => Verdict { action: Action::Cool15ThenPause, scope: Scope::Account, ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_back() {
        for phase in Phase::ALL {
            assert_eq!(Phase::named(&phase.word().to_uppercase()), Some(phase));
        }
        assert_eq!(Action::ALL.map(Action::word).iter().collect::<std::collections::BTreeSet<_>>().len(), 13);
        for (word, scope) in Scope::WORDS {
            assert!(scope.word() == word || ["connection", "account+host"].contains(&word), "{word}");
        }
        assert_eq!(Phase::named("body"), None);
    }
}
