//! The receiving side of SMTP as a pure machine: client bytes in, [`SessionEvent`]s and reply bytes out (RFC 5321, with 1870,
//! 2920, 3207, 4954 and 6152).
//!
//! ```text
//!                    EHLO HELO RSET: from every state but Login, Body and Asked*, to Idle
//!
//!          MAIL                  2yz                 RCPT
//!   Idle --------> AskedMail ---------> Envelope <----------> AskedRcpt
//!    ^ ^               |                   | DATA, with a recipient
//!    | +---------------+                   v
//!    |        else                     AskedData ---- else ----> Idle, guarded
//!    |                                     | 3yz
//!    |   answer              CRLF.CRLF     v
//!    +----------- AskedEnd <------------ Body
//!    |
//!    |  AUTH          response              answer
//!    +--------> Login ---------> AskedLogin --------> Idle
//!    |  STARTTLS      tls_started                                  QUIT, 421, end of input:
//!    +--------> Handshake ---------> Idle, all forgotten            from everywhere to Closing
//! ```
//!
//! What it is not: it knows no socket, clock, queue or policy. It asks the driver about each sender, recipient, message
//! and log-in; what is wrong by the protocol it refuses by itself, in the words of its [`Replies`].
//!
//! Invariants:
//! * While an answer is due, no input is consumed; replies leave in the order of the commands, each in one piece.
//! * A message ends at CRLF.CRLF only ([`super::data`] has the one exception). What follows a refused DATA, or an end
//!   that the client did not mean, is never run once it looks like text.
//! * What came in plaintext behind STARTTLS is gone before the handshake (RFC 3207 section 4.2).
//! * Memory is bounded: 64 KiB of a line, 16 notes, and the output of one step.

mod auth;
mod body;
mod commands;
mod envelope;
mod event;
mod replies;
mod responder;
mod session;
mod settings;
mod state;

pub use event::{MailRefusal, Note, Reason, RefusalCause, SessionEvent, SessionPhase, Unfinished};
pub use replies::Replies;
pub use session::Session;
pub use settings::{AuthMode, Profile, SessionSettings};

#[cfg(test)]
mod tests;
