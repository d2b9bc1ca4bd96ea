//! The first pass: scans the parts of a body while it is stored, and returns the [`Plan`].
//!
//! No octet changes here. Invariants: the plan does not depend on how the body was cut; the limits of `part_scanner` bound
//! the memory for any body.

use encoding_rs::Encoding;

use super::content::{self, Content};
use super::decide;
use super::part_scanner::{Care, Part, PartScanner, Visitor};
use super::part_stats::PartStats;
use super::plan::{Demand, PartChange, Plan, Recoding};
use crate::message::field_encoding::is_dirty;
use crate::message::header::{Header, longest_line};
use crate::message::line_ends::MAX_LINE;
use crate::message::repair_names::Repair;

/// Detached signatures; rewrapping them breaks nothing (RFC 1847 section 2.1).
const SIGNATURES: &[&str] =
    &["application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"];

/// The first pass over one body.
#[derive(Debug)]
pub struct Survey {
    scanner: PartScanner,
    tally: Tally,
}

impl Survey {
    /// For the body of the message that has this header, as it came.
    pub fn new(header: &Header, demand: &Demand) -> Survey {
        let mut tally = Tally { demand: *demand, ..Tally::default() };
        let scanner = PartScanner::new(header, &mut tally);
        Survey { scanner, tally }
    }

    /// Takes the next octets of the normalised body.
    pub fn push(&mut self, body: &[u8]) {
        self.scanner.push(body, &mut self.tally);
    }

    /// Ends the body.
    pub fn finish(mut self) -> Plan {
        self.scanner.finish(&mut self.tally);
        let ambiguous = self.scanner.is_ambiguous();
        self.tally.plan(ambiguous)
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> u64 {
        self.scanner.steps.count
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
    stats: PartStats,
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
    /// The message itself, when it is a composite: its content is known only at the end.
    root: Option<Composite>,
    outside: PartStats,
    changes: Vec<(u32, PartChange)>,
    file_names: Vec<(u32, Vec<u8>)>,
    /// Whether anything at all is illegal, signed, or 8-bit: for a body with ambiguous parts.
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
        let head = self.head_changes(&part);
        self.signed |= part.care == Care::Signed;
        let Part { ordinal, header, content, care, .. } = part;
        if part.composite {
            self.open.push(Composite { ordinal, content, care, head, eight: false, seen: false });
        } else {
            let sampling = content.wants_charset();
            let stats = PartStats::new(sampling, content.is_uuencoded());
            let named = content::names_file(&header);
            self.leaf = Some(Leaf { ordinal, content, care, head, named, stats });
        }
    }

    fn content(&mut self, octets: &[u8]) {
        match &mut self.leaf {
            Some(leaf) => leaf.stats.push(octets),
            None => self.outside.push(octets),
        }
    }

    fn outside(&mut self, octets: &[u8]) {
        self.outside.push(octets);
    }

    fn end(&mut self) {
        let Some(leaf) = self.leaf.take() else { return };
        let mut change = decide::leaf_change(&leaf.content, &leaf.stats, leaf.care, &self.demand);
        change.head = leaf.head;
        self.illegal |= leaf.stats.is_illegal();
        self.eight |= leaf.stats.eight_bit > 0;
        self.nuls |= leaf.stats.nuls > 0;
        let left = leaf.stats.eight_bit > 0 && matches!(change.recoding, Recoding::None | Recoding::BreakLines);
        self.eight_left(left && !self.demand.seven_bit);
        self.lossy |= left && self.demand.seven_bit;
        if change.recoding == Recoding::BreakLines && leaf.stats.nuls > 0 {
            self.done.push(Repair::NulRemoved);
        }
        if change.recoding == Recoding::Uudecode && !leaf.named {
            self.file_names.push((leaf.ordinal, leaf.stats.file_name().to_vec()));
        }
        self.settle(leaf.ordinal, change, leaf.care, &leaf.content.media);
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
    /// Whether the header of a part has to change; counts its octets.
    ///
    /// The header of the message itself is not part of the body.
    fn head_changes(&mut self, part: &Part) -> bool {
        if part.ordinal == 0 {
            return false;
        }
        let (eight, illegal) = (!part.raw.is_ascii(), part.raw.contains(&0) || longest_line(&part.raw) > MAX_LINE);
        self.illegal |= illegal;
        self.eight |= eight;
        let free = part.care == Care::Open && !self.demand.minimal;
        let change = illegal || (eight && self.demand.seven_bit) || (free && part.header.fields.iter().any(is_dirty));
        self.eight_left(eight && !change);
        self.nuls |= part.raw.contains(&0);
        if change && part.raw.contains(&0) {
            self.done.push(Repair::NulRemoved);
        }
        change
    }

    fn eight_left(&mut self, eight: bool) {
        self.left |= eight;
        if let Some(parent) = self.open.last_mut() {
            parent.eight |= eight;
        }
    }

    fn settle(&mut self, ordinal: u32, change: PartChange, care: Care, media: &str) {
        if change.is_empty() {
            return;
        }
        let touched = change.recoding != Recoding::None || change.head;
        if care == Care::Signed && touched && !SIGNATURES.contains(&media) {
            self.done.push(Repair::SignatureBroken);
        }
        self.changes.push((ordinal, change));
    }

    fn settle_composite(&mut self, composite: Composite) {
        let Composite { ordinal, content, care, head, eight, seen } = composite;
        let transfer = decide::composite_label(&content, eight, seen, care, ordinal == 0, &self.demand);
        self.settle(ordinal, PartChange { transfer, head, ..PartChange::default() }, care, &content.media);
    }

    fn plan(mut self, ambiguous: bool) -> Plan {
        let outside_eight = self.outside.eight_bit > 0;
        self.eight |= outside_eight;
        self.illegal |= self.outside.is_illegal();
        if let Some(mut root) = self.root.take() {
            root.eight = if ambiguous { self.eight } else { root.eight || outside_eight };
            if ambiguous {
                self.changes.clear();
                self.done.clear();
                self.file_names.clear();
            }
            self.settle_composite(root);
        }
        self.changes.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        let root = match self.changes.first() {
            Some(&(0, change)) => {
                self.changes.remove(0);
                change
            }
            _ => PartChange::default(),
        };
        let needs = |illegal: bool, eight: bool| illegal || (self.demand.seven_bit && eight);
        let whole = ambiguous && needs(self.illegal, self.eight);
        let outside = !ambiguous && needs(self.outside.is_illegal(), outside_eight);
        let eight_bit = if ambiguous { self.eight } else { self.left || outside_eight };
        let mut plan = Plan {
            root,
            parts: std::mem::take(&mut self.changes),
            file_names: std::mem::take(&mut self.file_names),
            outside,
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
        if (outside && self.outside.nuls > 0) || (whole && (self.nuls || self.outside.nuls > 0)) {
            self.done.push(Repair::NulRemoved);
        }
        repairs(&mut plan, &self.done);
        plan
    }
}

/// Lists the repairs of the plan, each kind once and in one order, whatever the order of the parts.
fn repairs(plan: &mut Plan, done: &[Repair]) {
    let changes = || plan.parts.iter().map(|(_, change)| change);
    let recoded =
        |recodings: &[Recoding]| changes().chain([&plan.root]).any(|change| recodings.contains(&change.recoding));
    let encoded = recoded(&[Recoding::QuotedPrintable, Recoding::Base64, Recoding::Uudecode]);
    let rewrapped = recoded(&[Recoding::RewrapQuotedPrintable, Recoding::RewrapBase64]);
    let broken = recoded(&[Recoding::BreakLines]) || plan.outside || plan.whole;
    let body = [
        (done.contains(&Repair::SignatureBroken), Repair::SignatureBroken),
        (done.contains(&Repair::NulRemoved), Repair::NulRemoved),
        (encoded, Repair::BodyEncoded),
        (rewrapped, Repair::LineRewrapped),
        (broken, Repair::LineBroken),
    ];
    let part = [
        (changes().any(|change| change.charset.is_some()), Repair::CharsetDeclared),
        (changes().any(|change| change.transfer.is_some()), Repair::TransferEncodingSet),
        (changes().any(|change| change.head), Repair::HeaderEncoded),
    ];
    let names = |list: &[(bool, Repair)]| list.iter().filter(|(seen, _)| *seen).map(|(_, repair)| *repair).collect();
    (plan.body_repairs, plan.part_repairs) = (names(&body), names(&part));
}
