//! What must the operator know, and how does it reach them?
//!
//! ```text
//!  failure_notice   one message that failed: a mail of its own, or a line of the next digest
//!  digest           when is a digest due?                                                      pure
//!  digest_builder   one mail about many messages that failed
//!  alert            sends an alert: a mail through an account, or the webhook
//!  relay_alarm      when is an alert about the whole relay due?                                pure
//!  reach            do alerts reach the operator with these settings?                          pure
//!  own_mail         what all of these mails have
//!  webhook          one POST to a chat room or a program
//! ```
//!
//! Each part takes what it needs as arguments and returns what is to be sent; `delivery` keeps the times and puts it into the
//! queue. Not here: the words (`message::notice`), and when an alarm is due (`account::alarm`).

pub mod alert;
pub mod digest;
pub mod digest_builder;
pub mod failure_notice;
mod own_mail;
pub mod reach;
pub mod relay_alarm;
pub mod webhook;

pub use own_mail::{NoticeTo, OwnMail, ReportSettings};
