//! What a session tells its driver. Values only.

use bytes::Bytes;

use crate::mail::{Address, ReversePath};
use crate::secret::Secret;
use crate::smtp::command::CommandError;
use crate::smtp::reply::Reply;
use crate::smtp::sasl::Mechanism;

/// What the driver has to do. Those marked *answer* stop the session until [`answer`](super::Session::answer).
#[derive(Debug, PartialEq)]
pub enum SessionEvent {
    /// The input is used up (or an answer is still due): write the output, then read more.
    More,
    /// *Answer*: may this sender open a transaction?
    Mail {
        /// The sender.
        from: ReversePath,
        /// The size it declared, in octets; already known to be within the limit.
        size: Option<u64>,
        /// It declared 8-bit text.
        eight_bit: bool,
    },
    /// *Answer*: may the message go to this recipient?
    Rcpt(Address),
    /// *Answer* 354 to have the message, or a refusal, which also ends the transaction.
    Data,
    /// Octets of the message, dots taken off, line ends as they came. Never empty.
    Chunk(Bytes),
    /// *Answer*: the message is complete. The answer is the verdict on it, and ends the transaction.
    End,
    /// *Answer*: may this client log in?
    Auth {
        /// How.
        mechanism: Mechanism,
        /// As whom; no control characters, may be empty.
        user: String,
        /// With what; may be empty.
        password: Secret,
    },
    /// Write the output, do the handshake, call [`tls_started`](super::Session::tls_started). An open transaction is
    /// gone.
    StartTls,
    /// The open transaction is gone (RSET, EHLO ...).
    Reset,
    /// The message that was coming is not to be kept. The transaction is gone, and the session answers by itself.
    Discarded(Reason),
    /// The session itself has refused a command or a message, and a mail may be lost or shortened by it. For the log;
    /// the dialogue goes on with the next step.
    Refused(Box<MailRefusal>),
    /// Write the output and close. An open transaction is gone.
    Close,
}

/// Why a message was abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It exceeds the limit. The rest is read and thrown away.
    TooLarge,
    /// It has a bare CR or LF, which a strict profile does not take.
    BareNewline,
    /// The connection ended before the message did.
    Eof,
}

/// A refusal of the session that may lose or shorten a mail. Other refusals (an unknown verb, say) are not reported so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRefusal {
    /// Why.
    pub cause: RefusalCause,
    /// What the client was answered.
    pub reply: Reply,
    /// What is wrong in particular.
    pub note: Option<Note>,
    /// The sender that MAIL named, when MAIL is refused. The driver knows that of an open transaction.
    pub sender: Option<ReversePath>,
    /// The recipient that RCPT named: printable ASCII, at most 256 octets.
    pub recipient: Option<String>,
    /// The octets that MAIL declared, or those received of a message.
    pub size: Option<u64>,
}

/// Longest recipient in a [`MailRefusal`], in octets (RFC 5321 section 4.5.3.1.3 has 256 for a path).
pub(super) const SHOWN: usize = 256;

/// Why a session has refused what belongs to a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// The message exceeds the limit: 552 at MAIL or at its end.
    MessageSize,
    /// One recipient more than the limit: the mail goes on without it.
    Recipients,
    /// DATA without an accepted recipient.
    NoRecipients,
    /// A command that is not legal now.
    Sequence,
    /// A malformed argument of MAIL, RCPT or DATA.
    Syntax,
    /// A parameter that is not known, to a strict profile.
    Parameter,
    /// A line that is too long.
    LineTooLong,
    /// A bare CR or LF, to a strict profile.
    BareNewline,
    /// Octets before the greeting or behind DATA, to a strict profile.
    EarlyTalker,
    /// Text of a message behind its end: the message was cut there.
    NotDotStuffed,
    /// A line of a message where a command is due.
    NotSmtp,
    /// BDAT, which is not announced.
    Bdat,
    /// STARTTLS where it cannot be begun.
    StartTls,
    /// AUTH where it is not offered.
    AuthOff,
    /// AUTH outside of TLS.
    AuthNeedsTls,
    /// A mechanism that is not known.
    AuthMechanism,
    /// A response that the mechanism does not allow.
    AuthMalformed,
    /// A log-in that cannot be right.
    Login,
    /// MAIL without the log-in that is required.
    AuthRequired,
    /// Too many errors or idle commands while a transaction was open, or too many log-ins.
    TooManyErrors,
    /// One message more than a connection may bring.
    MessagesPerConnection,
}

impl RefusalCause {
    /// Its name in the log, and in the label `reason` of the counter.
    pub const fn name(self) -> &'static str {
        match self {
            RefusalCause::MessageSize => "message_size",
            RefusalCause::Recipients => "recipients",
            RefusalCause::NoRecipients => "no_recipients",
            RefusalCause::Sequence => "sequence",
            RefusalCause::Syntax => "syntax",
            RefusalCause::Parameter => "parameter",
            RefusalCause::LineTooLong => "line_too_long",
            RefusalCause::BareNewline => "bare_newline",
            RefusalCause::EarlyTalker => "early_talker",
            RefusalCause::NotDotStuffed => "not_dot_stuffed",
            RefusalCause::NotSmtp => "not_smtp",
            RefusalCause::Bdat => "bdat",
            RefusalCause::StartTls => "starttls",
            RefusalCause::AuthOff => "auth_off",
            RefusalCause::AuthNeedsTls => "auth_needs_tls",
            RefusalCause::AuthMechanism => "auth_mechanism",
            RefusalCause::AuthMalformed => "auth_malformed",
            RefusalCause::Login => "login",
            RefusalCause::AuthRequired => "auth_required",
            RefusalCause::TooManyErrors => "too_many_errors",
            RefusalCause::MessagesPerConnection => "messages_per_connection",
        }
    }
}

/// A message whose end has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its octets so far.
    pub size: u64,
    /// It exceeds the limit.
    pub too_large: bool,
}

/// Where a session is, for the driver's deadlines (RFC 5321 section 4.5.3.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionPhase {
    /// Between commands.
    Command,
    /// In a log-in dialogue.
    Auth,
    /// In a message.
    Data,
}

/// A fact that is worth a line in the log. Holds no control characters, and nothing that was said in a log-in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// A command could not be understood.
    #[error("bad command: {0}")]
    Syntax(CommandError),
    /// A verb that we do not know.
    #[error("unknown command {0}")]
    UnknownVerb(String),
    /// A parameter that we do not know was ignored.
    #[error("an unknown parameter was ignored")]
    UnknownParameter,
    /// Text of a message came behind its end.
    #[error("client does not dot-stuff: text came behind the end of the message, closing")]
    NotDotStuffed,
    /// Text of a message came although DATA was refused.
    #[error("the client sends a message although DATA was refused, closing")]
    BodyAfterRefusal,
    /// A line of a message where a command should be.
    #[error("a header line came instead of a command, closing")]
    HeaderLine,
    /// A browser, or a request forged through one.
    #[error("HTTP request on the SMTP port, closing")]
    HttpRequest,
    /// The client did not wait for the greeting, which a strict profile does not take.
    #[error(
        "the client speaks before it is greeted, closing: if it cannot wait, give its network the tolerant profile"
    )]
    EarlyTalker,
    /// The client speaks TLS without having asked.
    #[error("TLS on a plaintext port, closing: let the client use STARTTLS or no encryption, or give it a TLS port")]
    TlsHello,
    /// The first line of the message ended in a bare LF.
    #[error(
        "the message has bare LF line ends; if the client never sends CR LF . CR LF, give its network the legacy profile"
    )]
    BareLf,
    /// Commands came behind STARTTLS before the handshake, and were dropped.
    #[error("plaintext behind STARTTLS was dropped")]
    PlaintextDropped,
    /// BDAT without having been offered.
    #[error("BDAT was not announced")]
    Bdat,
    /// 421 for too many errors or idle commands.
    #[error("too many errors or idle commands, closing")]
    TooManyErrors,
}
