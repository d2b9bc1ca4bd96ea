//! The replies that a session gives by itself. The sandbox has others than the relay, to imitate a provider.
//!
//! The driver words the verdict on a message.
//!
//! Invariants of the relay's replies: what old clients compare literally is literal (`250`, `354`, `221`, `235`, and the two
//! LOGIN prompts), and the greeting is one line of at most 100 octets, since some clients cannot read more.

use crate::smtp::reply::Reply;

/// The replies of a session. Each is public so that a provider can be imitated by changing one.
#[derive(Clone, Debug)]
pub struct Replies {
    /// Our name, in the first line of the reply to EHLO.
    pub hostname: String,
    /// The keyword lines of the reply to EHLO, word for word; `None` to compute them from the settings. `STARTTLS` is
    /// left out inside TLS.
    pub keywords: Option<Vec<String>>,
    /// 220, on connection.
    pub greeting: Reply,
    /// To HELO.
    pub helo: Reply,
    /// To MAIL; for the driver.
    pub mail_ok: Reply,
    /// To RCPT; for the driver. Exactly 250, never 251.
    pub rcpt_ok: Reply,
    /// To DATA; for the driver.
    pub data_go: Reply,
    /// To RSET.
    pub reset_ok: Reply,
    /// To NOOP.
    pub noop: Reply,
    /// To QUIT.
    pub bye: Reply,
    /// To HELP.
    pub help: Reply,
    /// To VRFY.
    pub vrfy: Reply,
    /// 334, asks for the user in LOGIN.
    pub auth_user: Reply,
    /// 334, asks for the password in LOGIN.
    pub auth_password: Reply,
    /// 334, asks for the PLAIN response.
    pub auth_plain: Reply,
    /// 235; for the driver.
    pub auth_ok: Reply,
    /// 535; for the driver, and where no comparison is needed to know.
    pub auth_failed: Reply,
    /// To AUTH when TLS must come first (RFC 4954 section 6).
    pub auth_needs_tls: Reply,
    /// To MAIL when a log-in is required first.
    pub auth_required: Reply,
    /// The client gave up with `*`.
    pub auth_cancelled: Reply,
    /// The response was not what the mechanism wants.
    pub auth_malformed: Reply,
    /// AUTH after a successful one.
    pub auth_again: Reply,
    /// A mechanism we do not have.
    pub auth_mechanism: Reply,
    /// 220, to STARTTLS.
    pub starttls_go: Reply,
    /// A command where it may not stand.
    pub sequence: Reply,
    /// MAIL before HELO, to a strict profile, and STARTTLS before EHLO.
    pub hello_first: Reply,
    /// DATA without a recipient.
    pub no_recipients: Reply,
    /// An argument that is missing or malformed.
    pub syntax: Reply,
    /// A sender that is not a mailbox.
    pub bad_sender: Reply,
    /// A recipient that is not a mailbox.
    pub bad_recipient: Reply,
    /// An address that is not ASCII.
    pub not_ascii: Reply,
    /// A parameter that is not known, to a strict profile.
    pub bad_parameter: Reply,
    /// A verb that is not known, or a blank line or a line with a bare LF to a strict profile.
    pub unknown: Reply,
    /// A verb that is known and not available.
    pub not_implemented: Reply,
    /// A line that is too long.
    pub line_too_long: Reply,
    /// More recipients than the limit.
    pub too_many_recipients: Reply,
    /// A message over the limit, at MAIL or at its end.
    pub too_large: Reply,
    /// A message with bare CR or LF, to a strict profile.
    pub bare_newline: Reply,
    /// Octets before the greeting, or behind DATA before it was answered, to a strict profile.
    pub early: Reply,
    /// What follows the end of the data is no command: the client does not double its dots.
    pub not_stuffed: Reply,
    /// 421: too many errors, or too many commands that do nothing.
    pub too_many_errors: Reply,
    /// 421: this is no SMTP client, or it sends a message where a command should be.
    pub stranger: Reply,
    /// 421: enough messages for one connection.
    pub too_many_messages: Reply,
}

impl Replies {
    /// The replies of the relay. `hostname` must be printable; of one that is too long for the greeting, that has the first part.
    pub fn relay(hostname: &str) -> Replies {
        let say = Reply::new;
        Replies {
            hostname: hostname.to_owned(),
            keywords: None,
            greeting: say(220, &format!("{} ESMTP ready", short(hostname))),
            helo: say(250, hostname),
            mail_ok: say(250, "2.1.0 OK"),
            rcpt_ok: say(250, "2.1.5 OK"),
            data_go: say(354, "End data with <CR><LF>.<CR><LF>"),
            reset_ok: say(250, "2.0.0 OK"),
            noop: say(250, "2.0.0 OK"),
            bye: say(221, "2.0.0 Bye"),
            help: say(214, "2.0.0 This is a mail relay; see RFC 5321"),
            vrfy: say(252, "2.0.0 Cannot verify, send some mail"),
            auth_user: say(334, "VXNlcm5hbWU6"),
            auth_password: say(334, "UGFzc3dvcmQ6"),
            auth_plain: say(334, ""),
            auth_ok: say(235, "2.7.0 Authentication successful"),
            auth_failed: say(535, "5.7.8 Authentication failed"),
            auth_needs_tls: say(538, "5.7.11 Encryption required for authentication, use STARTTLS first"),
            auth_required: say(530, "5.7.0 Authentication required"),
            auth_cancelled: say(501, "5.7.0 Authentication cancelled"),
            auth_malformed: say(501, "5.5.2 Malformed authentication response"),
            auth_again: say(503, "5.5.1 Already authenticated"),
            auth_mechanism: say(504, "5.5.4 Unrecognized authentication type"),
            starttls_go: say(220, "2.0.0 Ready to start TLS"),
            sequence: say(503, "5.5.1 Bad sequence of commands"),
            hello_first: say(503, "5.5.1 Send EHLO first"),
            no_recipients: say(554, "5.5.1 No valid recipients"),
            syntax: say(501, "5.5.4 Syntax error in the argument"),
            bad_sender: say(553, "5.1.7 Malformed sender address"),
            bad_recipient: say(553, "5.1.3 Malformed recipient address"),
            not_ascii: say(553, "5.6.7 Only ASCII addresses are supported"),
            bad_parameter: say(555, "5.5.4 Unsupported parameter"),
            unknown: say(500, "5.5.2 Command not recognized"),
            not_implemented: say(502, "5.5.1 Command not implemented"),
            line_too_long: say(500, "5.5.6 Line too long"),
            too_many_recipients: say(452, "4.5.3 Too many recipients"),
            too_large: say(552, "5.3.4 Message too large"),
            bare_newline: say(550, "5.5.2 Bare CR or LF in the message"),
            early: say(554, "5.5.0 Not your turn: wait for the reply"),
            not_stuffed: say(554, "5.5.0 This is not a command; does the client double its dots?"),
            too_many_errors: say(421, "4.7.0 Too many errors, closing"),
            stranger: say(421, "4.7.0 This is not SMTP, closing"),
            too_many_messages: say(421, "4.7.0 Enough messages for one connection, closing"),
        }
    }
}

/// The name as it fits into a greeting of 100 octets: a part of a domain has 63 at most (RFC 1035 section 2.3.4).
fn short(hostname: &str) -> &str {
    const ROOM: usize = 100 - "220  ESMTP ready\r\n".len();
    if hostname.len() <= ROOM { hostname } else { hostname.split('.').next().unwrap_or(hostname) }
}
