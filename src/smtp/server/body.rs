//! The data phase: a message up to CRLF.CRLF (RFC 5321 section 4.1.1.4).

use bytes::BytesMut;

use super::event::{Note, Reason, RefusalCause, SessionEvent};
use super::responder::{Loss, Responder};
use super::settings::Profile;
use crate::smtp::data::{Piece, Unstuff};

/// A message over the limit is read on, to say 552 where the client listens, but not for ever: up to twice the limit and
/// this many octets.
const PATIENCE: u64 = 1 << 20;

/// A message that is coming.
#[derive(Debug)]
pub(super) struct MessageBody {
    unstuff: Unstuff,
    /// Octets so far.
    pub(super) size: u64,
    /// It exceeds the limit: the driver was told to forget it.
    pub(super) discarded: bool,
    /// A bare CR or LF was seen. Only looked for in a strict profile.
    bare: bool,
    /// The octet before was a CR. Only kept in a strict profile.
    cr: bool,
}

/// What the next octets led to.
pub(super) enum BodyStep {
    /// The driver has something to do.
    Event(SessionEvent),
    /// A part of a message over the limit was thrown away.
    Skipped,
    /// The message has ended.
    End,
}

impl MessageBody {
    /// `bare_lf`: the DATA command ended in a bare LF.
    pub(super) fn new(profile: Profile, bare_lf: bool) -> MessageBody {
        let lf_end = profile == Profile::Legacy;
        let unstuff = if bare_lf { Unstuff::after_bare_lf(lf_end) } else { Unstuff::new(lf_end) };
        MessageBody { unstuff, size: 0, discarded: false, bare: false, cr: false }
    }

    /// Takes the next octets.
    pub(super) fn next(&mut self, input: &mut BytesMut, responder: &mut Responder) -> BodyStep {
        let had_lf_lines = self.unstuff.has_lf_lines();
        let chunk = match self.unstuff.next(input) {
            Piece::More => return BodyStep::Event(SessionEvent::More),
            Piece::End => return BodyStep::End,
            Piece::Text(chunk) => chunk,
        };
        self.size += chunk.len() as u64;
        if responder.is_strict() {
            self.look_for_bare(&chunk);
        }
        if !had_lf_lines && self.unstuff.has_lf_lines() && responder.settings.profile != Profile::Legacy {
            responder.note(Note::BareLf);
        }
        let limit = responder.settings.max_message;
        if self.discarded {
            if self.size > limit.saturating_mul(2).saturating_add(PATIENCE) {
                responder.close_mail(Loss::of(RefusalCause::MessageSize).size(self.size), |replies| &replies.too_large);
            }
            return BodyStep::Skipped;
        }
        self.discarded = self.size > limit;
        BodyStep::Event(if self.discarded {
            SessionEvent::Discarded(Reason::TooLarge)
        } else {
            SessionEvent::Chunk(chunk)
        })
    }

    /// Whether a strict profile refuses its line ends.
    pub(super) fn has_bare_newline(&self) -> bool {
        self.bare || self.cr
    }

    /// Whether it ended at LF.LF.
    pub(super) fn ended_bare(&self) -> bool {
        self.unstuff.ended_bare()
    }

    /// Looks for a CR or LF that is not part of a CRLF.
    fn look_for_bare(&mut self, chunk: &[u8]) {
        for &octet in chunk {
            self.bare |= (octet == b'\n') != self.cr;
            self.cr = octet == b'\r';
        }
    }
}
