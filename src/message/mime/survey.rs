//! The first pass: looks at the parts of a body while it is stored, and gives the [`Plan`].
//!
//! What this is not: a change of any octet. Invariants: the plan does not depend on how the body was cut; memory is
//! bounded by the caps of `walker`, whatever the body.

use encoding_rs::Encoding;

use super::cure::{self, is_illegal};
use super::edit;
use super::part::{Care, Part, Visitor};
use super::plan::{Cure, Demand, Mend, Plan};
use super::stats::Stats;
use super::walker::Walker;
use crate::message::content::Content;
use crate::message::header::Header;
use crate::message::repair::Repair;

/// Signatures stand beside what they sign; how they are wrapped matters to nobody (RFC 1847 section 2.1).
const SIGNATURES: &[&str] =
    &["application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"];

/// Looks at one body.
#[derive(Debug)]
pub struct Survey {
    walker: Walker,
    tally: Tally,
}

impl Survey {
    /// For the body of the message that has this header, as it came.
    pub fn new(header: &Header, demand: &Demand) -> Survey {
        let mut tally = Tally { demand: *demand, ..Tally::default() };
        let walker = Walker::new(header, &mut tally);
        Survey { walker, tally }
    }

    /// Takes the next octets of the normalised body.
    pub fn push(&mut self, body: &[u8]) {
        self.walker.push(body, &mut self.tally);
    }

    /// Ends the body.
    pub fn finish(mut self) -> Plan {
        self.walker.finish(&mut self.tally);
        let lost = self.walker.is_lost();
        self.tally.plan(lost)
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> u64 {
        self.walker.steps
    }
}

#[derive(Debug)]
struct Leaf {
    ordinal: u32,
    content: Content,
    care: Care,
    head: bool,
    /// Whether the header names a file.
    named: bool,
    stats: Stats,
}

#[derive(Debug)]
struct Composite {
    ordinal: u32,
    content: Content,
    care: Care,
    head: bool,
    /// Whether 8-bit octets are left in it.
    eight: bool,
    /// Whether a part of it was found.
    seen: bool,
}

#[derive(Debug, Default)]
struct Tally {
    demand: Demand,
    leaf: Option<Leaf>,
    open: Vec<Composite>,
    /// The message itself, when it is a composite: what is in it is known only at the end.
    root: Option<Composite>,
    glue: Stats,
    mends: Vec<(u32, Mend)>,
    file_names: Vec<(u32, Vec<u8>)>,
    /// Whether anything at all is illegal, signed, or 8-bit: for a body whose parts cannot be told.
    illegal: bool,
    signed: bool,
    eight: bool,
    nuls: bool,
    /// Whether 8-bit octets are left where they may be, and whether some cannot be kept.
    left: bool,
    lossy: bool,
    done: Vec<Repair>,
    declared: Declared,
}

/// The charset that the message declares.
#[derive(Debug, Default)]
struct Declared {
    /// In its own header.
    own: Option<&'static Encoding>,
    /// In the headers of its parts.
    parts: Option<&'static Encoding>,
    /// Parts declare different ones, so none of them is the message's.
    disputed: bool,
}

impl Declared {
    fn note(&mut self, part: &Part) {
        let named = part.content.encoding();
        if part.ordinal == 0 {
            self.own = named;
        } else if part.care != Care::Enclosed && named.is_some() {
            self.disputed |= self.parts.is_some() && self.parts != named;
            self.parts = named;
        }
    }

    fn charset(&self) -> Option<&'static Encoding> {
        self.own.or(self.parts.filter(|_| !self.disputed))
    }
}

impl Visitor for Tally {
    fn begin(&mut self, part: Part) {
        if let Some(parent) = self.open.last_mut() {
            parent.seen = true;
        }
        self.declared.note(&part);
        let head = self.head(&part);
        self.signed |= part.care == Care::Signed;
        let Part { ordinal, header, content, care, .. } = part;
        if part.composite {
            self.open.push(Composite { ordinal, content, care, head, eight: false, seen: false });
        } else {
            let sampling = content.wants_charset();
            let stats = if content.is_uuencoded() { Stats::of_uuencoded(sampling) } else { Stats::new(sampling) };
            let named = edit::names_file(&header);
            self.leaf = Some(Leaf { ordinal, content, care, head, named, stats });
        }
    }

    fn content(&mut self, octets: &[u8]) {
        match &mut self.leaf {
            Some(leaf) => leaf.stats.push(octets),
            None => self.glue.push(octets),
        }
    }

    fn glue(&mut self, octets: &[u8]) {
        self.glue.push(octets);
    }

    fn end(&mut self) {
        let Some(leaf) = self.leaf.take() else { return };
        let mut mend = cure::leaf(&leaf.content, &leaf.stats, leaf.care, &self.demand);
        mend.head = leaf.head;
        self.illegal |= is_illegal(&leaf.stats);
        self.eight |= leaf.stats.eight_bit > 0;
        self.nuls |= leaf.stats.nuls > 0;
        let left = leaf.stats.eight_bit > 0 && matches!(mend.cure, Cure::None | Cure::BreakLines);
        self.eight_left(left && !self.demand.seven_bit);
        self.lossy |= left && self.demand.seven_bit;
        if mend.cure == Cure::BreakLines && leaf.stats.nuls > 0 {
            self.done.push(Repair::NulRemoved);
        }
        if mend.cure == Cure::Uudecode && !leaf.named {
            self.file_names.push((leaf.ordinal, leaf.stats.file_name().to_vec()));
        }
        self.settle(leaf.ordinal, mend, leaf.care, &leaf.content.media);
    }

    fn close(&mut self, ordinal: u32) {
        let Some(composite) = self.open.pop() else { return };
        debug_assert_eq!(composite.ordinal, ordinal);
        self.eight_left(composite.eight);
        if ordinal == 0 {
            self.root = Some(composite);
        } else {
            self.settle_composite(composite);
        }
    }
}

impl Tally {
    /// Whether the header of a part has to be put right; notes what is in it.
    ///
    /// That of the message itself is no octet of the body.
    fn head(&mut self, part: &Part) -> bool {
        if part.ordinal == 0 {
            return false;
        }
        let (eight, illegal) = (!part.raw.is_ascii(), edit::is_illegal_head(&part.raw));
        self.illegal |= illegal;
        self.eight |= eight;
        let free = part.care == Care::Open && !self.demand.minimal;
        let mend =
            illegal || (eight && self.demand.seven_bit) || (free && part.header.fields.iter().any(edit::is_dirty));
        self.eight_left(eight && !mend);
        self.nuls |= part.raw.contains(&0);
        if mend && part.raw.contains(&0) {
            self.done.push(Repair::NulRemoved);
        }
        mend
    }

    fn eight_left(&mut self, eight: bool) {
        self.left |= eight;
        if let Some(parent) = self.open.last_mut() {
            parent.eight |= eight;
        }
    }

    fn settle(&mut self, ordinal: u32, mend: Mend, care: Care, media: &str) {
        if mend.is_empty() {
            return;
        }
        let touched = mend.cure != Cure::None || mend.head;
        if care == Care::Signed && touched && !SIGNATURES.contains(&media) {
            self.done.push(Repair::SignatureBroken);
        }
        self.mends.push((ordinal, mend));
    }

    fn settle_composite(&mut self, composite: Composite) -> Mend {
        let Composite { ordinal, content, care, head, eight, seen } = composite;
        let transfer = cure::composite(&content, eight, seen, care, ordinal == 0, &self.demand);
        let mend = Mend { transfer, head, ..Mend::default() };
        self.settle(ordinal, mend, care, &content.media);
        mend
    }

    fn plan(mut self, lost: bool) -> Plan {
        let glue_eight = self.glue.eight_bit > 0;
        self.eight |= glue_eight;
        self.illegal |= is_illegal(&self.glue);
        if let Some(mut root) = self.root.take() {
            root.eight = if lost { self.eight } else { root.eight || glue_eight };
            if lost {
                self.mends.clear();
                self.done.clear();
                self.file_names.clear();
            }
            self.settle_composite(root);
        }
        self.mends.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        let root = match self.mends.first() {
            Some(&(0, mend)) => {
                self.mends.remove(0);
                mend
            }
            _ => Mend::default(),
        };
        let needs = |illegal: bool, eight: bool| illegal || (self.demand.seven_bit && eight);
        let whole = lost && needs(self.illegal, self.eight);
        let glue = !lost && needs(is_illegal(&self.glue), glue_eight);
        let eight_bit = if lost { self.eight } else { self.left || glue_eight };
        let mut plan = Plan {
            root,
            parts: std::mem::take(&mut self.mends),
            file_names: std::mem::take(&mut self.file_names),
            glue,
            whole,
            eight_bit: eight_bit && !self.demand.seven_bit,
            lossy: self.lossy || (whole && self.demand.seven_bit && self.eight),
            declared: self.declared.charset(),
            demand: self.demand,
            ..Plan::default()
        };
        if whole && self.signed {
            self.done.push(Repair::SignatureBroken);
        }
        if (glue && self.glue.nuls > 0) || (whole && (self.nuls || self.glue.nuls > 0)) {
            self.done.push(Repair::NulRemoved);
        }
        repairs(&mut plan, &self.done);
        plan
    }
}

/// Names what the plan does, each kind once and in one order, whatever the order of the parts.
fn repairs(plan: &mut Plan, done: &[Repair]) {
    let mends = || plan.parts.iter().map(|(_, mend)| mend);
    let cured = |cures: &[Cure]| mends().chain([&plan.root]).any(|mend| cures.contains(&mend.cure));
    let encoded = cured(&[Cure::QuotedPrintable, Cure::Base64, Cure::Uudecode]);
    let rewrapped = cured(&[Cure::RewrapQuotedPrintable, Cure::RewrapBase64]);
    let broken = cured(&[Cure::BreakLines]) || plan.glue || plan.whole;
    let body = [
        (done.contains(&Repair::SignatureBroken), Repair::SignatureBroken),
        (done.contains(&Repair::NulRemoved), Repair::NulRemoved),
        (encoded, Repair::BodyEncoded),
        (rewrapped, Repair::LineRewrapped),
        (broken, Repair::LineBroken),
    ];
    let part = [
        (mends().any(|mend| mend.charset.is_some()), Repair::CharsetDeclared),
        (mends().any(|mend| mend.transfer.is_some()), Repair::TransferEncodingSet),
        (mends().any(|mend| mend.head), Repair::HeaderEncoded),
    ];
    let names = |list: &[(bool, Repair)]| list.iter().filter(|(seen, _)| *seen).map(|(_, repair)| *repair).collect();
    (plan.body_repairs, plan.part_repairs) = (names(&body), names(&part));
}
