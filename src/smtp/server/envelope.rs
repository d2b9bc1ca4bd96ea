//! The recipients of a transaction between MAIL and DATA (RFC 5321 section 4.1.1.3).

use super::event::RefusalCause;
use super::responder::{Loss, Responder};
use crate::mail::Address;

/// So many recipients beyond the limit are not held against the client (RFC 5321 section 4.5.3.1.10).
const OVERFLOW: usize = 1000;

/// A transaction between MAIL and DATA.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// Recipients that were accepted.
    pub(super) accepted: usize,
    /// Recipients beyond the limit.
    overflow: usize,
}

impl Envelope {
    /// Whether `to`, one more recipient, is within the limit; if not, it is refused.
    pub(super) fn has_room(&mut self, to: &Address, responder: &mut Responder) -> bool {
        if self.accepted < responder.settings.max_recipients {
            return true;
        }
        self.overflow += 1;
        let loss = Loss::of(RefusalCause::Recipients).recipient(to);
        match self.overflow > OVERFLOW {
            true => responder.fail_mail(loss, |replies| &replies.too_many_recipients),
            false => responder.say_mail(loss, |replies| &replies.too_many_recipients),
        }
        false
    }
}
