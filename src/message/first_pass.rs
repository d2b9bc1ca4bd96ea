//! The first pass over a message as it arrives: splits off the header, normalises line ends, surveys the parts of the body.
//!
//! The caller stores the body, which comes back chunk by chunk. Invariants: those of the three stages; memory does not grow
//! with the body.

use crate::message::header::Header;
use crate::message::line_ends::{BodyStats, Normaliser};
use crate::message::mime::{Demand, Plan, Survey};
use crate::message::splitter::{SplitError, Splitter};

/// The result of the first pass.
#[derive(Debug)]
pub struct Examined {
    /// The header as it came. [`crate::message::BodyRewriter`] needs it before `repair` takes it.
    pub header: Header,
    /// The changes to the line ends of the body.
    pub body: BodyStats,
    /// The changes that are still to be made.
    pub plan: Plan,
}

/// Takes DATA content (dots already unstuffed) chunk by chunk.
#[derive(Debug)]
pub struct FirstPass {
    splitter: Splitter,
    lines: Normaliser,
    /// Begins with the body, because it needs the header.
    survey: Option<Survey>,
    demand: Demand,
}

impl FirstPass {
    /// At the start of a message.
    pub fn new(demand: &Demand) -> FirstPass {
        FirstPass { splitter: Splitter::new(), lines: Normaliser::new(), survey: None, demand: *demand }
    }

    /// Takes the next octets and appends to `body` what is to be stored as body.
    ///
    /// # Errors
    /// [`SplitError`]; the message is then beyond rescue and every later call fails alike.
    pub fn push(&mut self, chunk: &[u8], body: &mut Vec<u8>) -> Result<(), SplitError> {
        let part = self.splitter.push(chunk)?;
        if self.splitter.in_body() {
            let from = body.len();
            self.lines.push(&part.held, body);
            self.lines.push(part.rest, body);
            let header = self.splitter.header();
            self.survey.get_or_insert_with(|| Survey::new(header, &self.demand)).push(&body[from..]);
        }
        Ok(())
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As [`FirstPass::push`].
    pub fn finish(mut self, body: &mut Vec<u8>) -> Result<Examined, SplitError> {
        let (header, held) = self.splitter.finish()?;
        let from = body.len();
        self.lines.push(&held, body);
        let stats = self.lines.finish(body);
        let mut survey = self.survey.unwrap_or_else(|| Survey::new(&header, &self.demand));
        survey.push(&body[from..]);
        Ok(Examined { header, body: stats, plan: survey.finish() })
    }
}
