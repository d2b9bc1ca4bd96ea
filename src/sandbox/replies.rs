//! The words of QQ Mail, as it says them to clients, and the session settings that make `smtp::server` use them.
//!
//! The texts were collected from public transcripts; where none is known the words are plain and ours, and say so. They
//! are public, so that a test can name a refusal without spelling it. What is not here: when which of them is said.

use std::net::IpAddr;

use crate::smtp::Reply;
use crate::smtp::server::{AuthMode, Profile, Replies, SessionSettings};

use super::limits::SandboxLimits;

/// A reply: its code, and its text in ASCII.
pub type Words = (u16, &'static str);

/// The machine that greets.
pub const NODE: &str = "newxmesmtplogicsvrszc16-0.qq.com";
/// The greeting.
pub const GREETING: Words = (220, "newxmesmtplogicsvrszc16-0.qq.com XMail Esmtp QQ Mail Server.");
/// After a log-in that succeeded.
pub const LOGGED_IN: Words = (235, "Authentication successful");
/// After one that did not, whatever the cause is: a wrong code, too many log-ins, or trouble of the provider.
pub const LOGIN_FAILED: Words = (
    535,
    "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, \
     or system is busy. More information at https://help.mail.qq.com/detail/108/1023",
);
/// A log-in without TLS. It is said after the secret was sent in the clear.
pub const NOT_SECURE: Words = (
    530,
    "Login fail. A secure connection is requiered(such as ssl). More information at https://help.mail.qq.com/detail/0/1010",
);
/// MAIL without a log-in.
pub const LOGIN_FIRST: Words = (503, "Error: need EHLO and AUTH first !");
/// MAIL with another sender than the one who logged in.
pub const WRONG_SENDER: Words = (501, "Mail from address must be same as authorization user.");
/// An address that is none.
pub const BAD_ADDRESS: Words = (501, "Bad address syntax");
/// Too many messages or recipients within a minute or an hour. Temporary, despite its code.
pub const SENDER_LIMITED: Words = (550, "Sender frequency limited.");
/// Too many connections. Temporary, despite its code.
pub const CONNECTION_LIMITED: Words = (550, "Connection frequency limited");
/// MAIL and RCPT that are all right.
pub const OK: Words = (250, "OK");
/// A recipient that does not exist.
pub const NO_MAILBOX: Words =
    (550, "Mailbox not found. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000728");
/// A recipient that does not exist today. The words are ours: no transcript is known.
pub const BUSY_MAILBOX: Words = (451, "Mailbox is busy, try again later");
/// More recipients than allowed. The words are ours.
pub const TOO_MANY_RECIPIENTS: Words = (452, "Too many recipients");
/// DATA that is welcome.
pub const GO_AHEAD: Words = (354, "End data with <CR><LF>.<CR><LF>.");
/// The message was taken. There is no queue id.
pub const QUEUED: Words = (250, "OK: queued as.");
/// The From field is not as QQ wants it.
pub const BAD_FROM: Words = (
    550,
    "The \"From\" header is missing or invalid. Please follow RFC5322, RFC2047, RFC822 standard protocol. \
     https://service.mail.qq.com/detail/124/995.",
);
/// A NUL, a bare CR or LF, or a line over 998 octets (RFC 5321 section 4.5.3.1.6). The words are ours.
pub const BAD_LINE: Words = (550, "Error: a line of the message is not legal");
/// A message over the limit.
pub const TOO_LARGE: Words = (552, "Message too large");
/// The last word.
pub const BYE: Words = (221, "Bye.");

/// What stands before the replies to QUIT and RSET, where no octets should be: the head of an inner frame, it seems.
pub const JUNK: [u8; 16] = [0, 0, 0, 0x1a, 0, 0, 0, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0];

/// The other refusal of a log-in, as it goes over the wire: GB18030 and not UTF-8, line end included.
pub fn use_authorization_code() -> Vec<u8> {
    const TEXT: &str = "535 Error: 请使用授权码登录。详情请看: http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=28&&no=1001256\r\n";
    encoding_rs::GB18030.encode(TEXT).0.into_owned()
}

/// More messages or recipients than a day has, as it goes over the wire: in GB18030, line end included. Temporary,
/// despite its code. The words are those of the enterprise service.
pub fn daily_limit() -> Vec<u8> {
    encoding_rs::GB18030.encode("550 域名当日发信量到达上限\r\n").0.into_owned()
}

/// A reply as the session wants it.
pub(super) fn say(words: Words) -> Reply {
    Reply::new(words.0, words.1)
}

/// `502 Invalid input`, for whatever was not understood.
pub(super) fn invalid_input(client: IpAddr) -> Reply {
    Reply::new(502, &format!("Invalid input from {client} to {NODE}."))
}

/// The settings of one connection: the client's address is part of what it is told.
pub(super) fn session(client: IpAddr, number: u64, starttls: bool, limits: &SandboxLimits) -> SessionSettings {
    SessionSettings {
        replies: replies(client, number, starttls, limits),
        profile: Profile::Strict,
        max_message: limits.max_message,
        max_recipients: limits.recipients,
        auth: AuthMode::Verify,
        auth_after_tls: false,
        auth_required: true,
        starttls,
        max_errors: 100,
        max_junk: 1000,
        max_messages: limits.messages_per_connection.unwrap_or(u32::MAX),
    }
}

fn replies(client: IpAddr, number: u64, starttls: bool, limits: &SandboxLimits) -> Replies {
    let size = format!("SIZE {}", limits.max_message);
    let mut keywords = vec!["PIPELINING".to_owned(), size.clone()];
    // The port with implicit TLS never offers it; the other one does until TLS is up.
    if starttls {
        keywords.push("STARTTLS".to_owned());
    }
    let rest = ["AUTH LOGIN PLAIN XOAUTH XOAUTH2", "AUTH=LOGIN", "MAILCOMPRESS", "SMTPUTF8", "8BITMIME"];
    keywords.extend(rest.map(str::to_owned));
    let hostname = format!("{NODE}-{client}-{number}");
    let invalid = invalid_input(client);
    Replies {
        helo: Reply::new(250, &format!("{hostname}\n{size}\nOK")),
        keywords: Some(keywords),
        hostname,
        greeting: say(GREETING),
        mail_ok: say(OK),
        rcpt_ok: say(OK),
        data_go: say(GO_AHEAD),
        reset_ok: say(OK),
        noop: say(OK),
        bye: say(BYE),
        auth_ok: say(LOGGED_IN),
        auth_failed: say(LOGIN_FAILED),
        auth_required: say(LOGIN_FIRST),
        hello_first: say(LOGIN_FIRST),
        starttls_go: Reply::new(220, "Ready to start TLS"),
        syntax: invalid.clone(),
        unknown: invalid.clone(),
        not_implemented: invalid.clone(),
        bad_parameter: invalid.clone(),
        not_ascii: invalid.clone(),
        auth_malformed: invalid.clone(),
        auth_mechanism: invalid,
        bad_sender: say(BAD_ADDRESS),
        bad_recipient: say(BAD_ADDRESS),
        too_many_recipients: say(TOO_MANY_RECIPIENTS),
        too_large: say(TOO_LARGE),
        bare_newline: say(BAD_LINE),
        // What no transcript shows is said as any server would.
        ..Replies::relay(NODE)
    }
}
