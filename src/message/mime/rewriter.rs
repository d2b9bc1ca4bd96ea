//! The second pass: writes a stored body anew, with the changes that the [`Plan`] lists and no others.
//!
//! The same scanner reads the same octets, so a part has the same number as in the first pass. Invariants: the output does
//! not depend on how the input was cut, and ends in CRLF unless it is empty; at most one part header and one line of 998
//! octets are held.

use super::part_scanner::{Part, PartScanner, Visitor};
use super::plan::{PartChange, Plan, Recoding};
use super::reencoder::Reencoder;
use crate::message::header::Header;

/// Carries out a plan on the body that it was made from.
#[derive(Debug)]
pub struct BodyRewriter<'p> {
    /// None when the parts are ambiguous and all is one run of octets.
    scanner: Option<PartScanner>,
    writer: Writer<'p>,
}

impl<'p> BodyRewriter<'p> {
    /// `header` must be the one that the survey began with.
    pub fn new(header: &Header, plan: &'p Plan) -> BodyRewriter<'p> {
        let mut writer = Writer { plan, next: 0, running: None, last: b'\n', out: Vec::new() };
        let scanner = (!plan.whole).then(|| PartScanner::new(header, &mut writer));
        BodyRewriter { scanner, writer }
    }

    /// Takes the next octets of the stored body and appends what they become.
    pub fn push(&mut self, body: &[u8], out: &mut Vec<u8>) {
        std::mem::swap(out, &mut self.writer.out);
        match &mut self.scanner {
            Some(scanner) => scanner.push(body, &mut self.writer),
            None => self.writer.outside(body),
        }
        self.writer.note_last();
        std::mem::swap(out, &mut self.writer.out);
    }

    /// Ends the body.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        std::mem::swap(out, &mut self.writer.out);
        if let Some(scanner) = &mut self.scanner {
            scanner.finish(&mut self.writer);
        }
        self.writer.stop();
        self.writer.note_last();
        if self.writer.last != b'\n' {
            self.writer.out.extend_from_slice(b"\r\n");
        }
        std::mem::swap(out, &mut self.writer.out);
    }
}

#[derive(Debug)]
struct Writer<'p> {
    plan: &'p Plan,
    /// The next part of the plan.
    next: usize,
    /// The encoder of the current octets.
    running: Option<Reencoder>,
    /// The last octet that was written.
    last: u8,
    /// The caller's buffer, while it is lent.
    out: Vec<u8>,
}

impl Writer<'_> {
    fn note_last(&mut self) {
        self.last = self.out.last().copied().unwrap_or(self.last);
    }

    fn encoder(&self, recoding: Recoding) -> Reencoder {
        Reencoder::new(recoding, self.plan.demand.seven_bit)
    }

    fn stop(&mut self) {
        if let Some(encoder) = self.running.take() {
            encoder.finish(&mut self.out);
        }
    }

    /// The change to the part that begins. Parts begin in the order in which the plan lists them.
    fn change_of(&mut self, ordinal: u32) -> PartChange {
        match self.plan.parts.get(self.next) {
            _ if ordinal == 0 => self.plan.root,
            Some(&(next, change)) if next == ordinal => {
                self.next += 1;
                change
            }
            _ => PartChange::default(),
        }
    }
}

impl Visitor for Writer<'_> {
    fn begin(&mut self, part: Part) {
        self.stop();
        let change = self.change_of(part.ordinal);
        if part.ordinal > 0 && change.is_empty() {
            self.out.extend_from_slice(&part.raw);
            self.out.extend_from_slice(if part.separated { b"\r\n" } else { b"" });
        } else if part.ordinal > 0 {
            let mut header = part.header;
            self.plan.apply(part.ordinal, &change, &mut header);
            self.out.extend_from_slice(&header.render());
            self.out.extend_from_slice(b"\r\n");
        }
        if !part.composite && change.recoding != Recoding::None {
            self.running = Some(self.encoder(change.recoding));
        }
    }

    fn content(&mut self, octets: &[u8]) {
        match &mut self.running {
            Some(encoder) => encoder.push(octets, &mut self.out),
            None => self.out.extend_from_slice(octets),
        }
    }

    fn outside(&mut self, octets: &[u8]) {
        if self.running.is_none() && (self.plan.outside || self.plan.whole) {
            self.running = Some(self.encoder(Recoding::BreakLines));
        }
        self.content(octets);
    }

    fn end(&mut self) {
        self.stop();
    }

    fn close(&mut self, _ordinal: u32) {}
}
