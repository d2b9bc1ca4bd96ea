//! The second pass: writes a stored body anew, the parts that the [`Plan`] names and no others.
//!
//! What it is not: a judge. It walks the same octets with the same walker, so a part has the same number as in the first
//! pass. Invariants: the output does not depend on how the input was cut, and ends in CRLF unless it is empty; at most
//! one part header and one line of 998 octets are held.

use super::edit;
use super::part::{Part, Visitor};
use super::plan::{Cure, Mend, Plan};
use super::walker::Walker;
use crate::message::header::Header;
use crate::message::reencode::Reencoder;

/// Carries out a plan on the body that it was made from.
#[derive(Debug)]
pub struct Mender<'p> {
    /// None when the parts cannot be told and all is one run of octets.
    walker: Option<Walker>,
    writer: Writer<'p>,
}

impl<'p> Mender<'p> {
    /// `header` must be the one that the survey began with.
    pub fn new(header: &Header, plan: &'p Plan) -> Mender<'p> {
        let mut writer = Writer { plan, next: 0, running: None, last: b'\n', out: Vec::new() };
        let walker = (!plan.whole).then(|| Walker::new(header, &mut writer));
        Mender { walker, writer }
    }

    /// Takes the next octets of the stored body and appends what they become.
    pub fn push(&mut self, body: &[u8], out: &mut Vec<u8>) {
        std::mem::swap(out, &mut self.writer.out);
        match &mut self.walker {
            Some(walker) => walker.push(body, &mut self.writer),
            None => self.writer.glue(body),
        }
        self.writer.note_last();
        std::mem::swap(out, &mut self.writer.out);
    }

    /// Ends the body.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        std::mem::swap(out, &mut self.writer.out);
        if let Some(walker) = &mut self.walker {
            walker.finish(&mut self.writer);
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
    /// What the octets go through at the moment.
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

    fn run(&mut self, cure: Cure, octets: &[u8]) {
        if cure == Cure::None {
            self.out.extend_from_slice(octets);
            return;
        }
        let seven_bit = self.plan.demand.seven_bit;
        self.running.get_or_insert_with(|| Reencoder::new(cure, seven_bit)).push(octets, &mut self.out);
    }

    fn stop(&mut self) {
        if let Some(encoder) = self.running.take() {
            encoder.finish(&mut self.out);
        }
    }

    /// What the plan says of the part that begins. Parts begin in the order in which the plan lists them.
    fn mend_of(&mut self, ordinal: u32) -> Mend {
        match self.plan.parts.get(self.next) {
            _ if ordinal == 0 => self.plan.root,
            Some(&(next, mend)) if next == ordinal => {
                self.next += 1;
                mend
            }
            _ => Mend::default(),
        }
    }
}

impl Visitor for Writer<'_> {
    fn begin(&mut self, part: Part) {
        self.stop();
        let mend = self.mend_of(part.ordinal);
        if part.ordinal > 0 {
            if mend.is_empty() {
                self.out.extend_from_slice(&part.raw);
                self.out.extend_from_slice(if part.separated { b"\r\n" } else { b"" });
            } else {
                let mut header = part.header;
                edit::apply(&mut header, &mend, self.plan.hints());
                if let Some(name) = self.plan.file_name(part.ordinal) {
                    edit::name_file(&mut header, name, self.plan.hints());
                }
                self.out.extend_from_slice(&header.render());
                self.out.extend_from_slice(b"\r\n");
            }
        }
        if !part.composite && mend.cure != Cure::None {
            self.running = Some(Reencoder::new(mend.cure, self.plan.demand.seven_bit));
        }
    }

    fn content(&mut self, octets: &[u8]) {
        match &mut self.running {
            Some(encoder) => encoder.push(octets, &mut self.out),
            None => self.out.extend_from_slice(octets),
        }
    }

    fn glue(&mut self, octets: &[u8]) {
        let cure = if self.plan.glue || self.plan.whole { Cure::BreakLines } else { Cure::None };
        self.run(cure, octets);
    }

    fn end(&mut self) {
        self.stop();
    }

    fn close(&mut self, _ordinal: u32) {}
}
