//! A set of records among the 4096 of a block, as the index of the history stores it. Pure.
//!
//! | stored | form |
//! | --- | --- |
//! | less than 512 octets | the places in order, two octets each (little-endian): at most 255 |
//! | 512 octets | one bit for each place, the lowest bit of the first octet first: at least 256 places |
//!
//! Each set has one form, so that equal sets are equal octets. An empty set has no octets. Invariant: [`RecordSet::decode`]
//! accepts what [`RecordSet::encode`] returns and nothing else.

/// How many records a block has.
pub(super) const BLOCK: i64 = 4096;

const WORDS: usize = BLOCK as usize / 64;
/// The octets of the form with one bit for each place.
const BITS: usize = BLOCK as usize / 8;
/// The most places in the form of a list.
const MOST_LISTED: usize = BITS / 2 - 1;

/// The block of record `seq`.
pub(super) const fn block_of(seq: i64) -> i64 {
    seq.div_euclid(BLOCK)
}

/// The place of record `seq` in its block.
pub(super) const fn place_of(seq: i64) -> u16 {
    seq.rem_euclid(BLOCK) as u16
}

/// The first record of a block; a block that cannot be has none that can be.
pub(super) const fn first_of(block: i64) -> i64 {
    block.saturating_mul(BLOCK)
}

/// Octets that are no set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DamagedSet;

/// A set of places in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordSet([u64; WORDS]);

impl Default for RecordSet {
    fn default() -> RecordSet {
        RecordSet([0; WORDS])
    }
}

impl RecordSet {
    /// Adds a place below [`BLOCK`].
    pub(super) fn insert(&mut self, place: u16) {
        self.0[usize::from(place) / 64] |= 1 << (place % 64);
    }

    /// Removes a place below [`BLOCK`].
    pub(super) fn remove(&mut self, place: u16) {
        self.0[usize::from(place) / 64] &= !(1 << (place % 64));
    }

    /// Returns whether a place below [`BLOCK`] is in the set.
    pub(super) fn contains(&self, place: u16) -> bool {
        self.0[usize::from(place) / 64] & (1 << (place % 64)) != 0
    }

    /// How many places it has.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Returns whether it has no place.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Keeps the places that `other` has as well.
    pub(super) fn and(&mut self, other: &RecordSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    /// Adds the places of `other`.
    pub(super) fn or(&mut self, other: &RecordSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    /// Removes the places of `other`.
    pub(super) fn and_not(&mut self, other: &RecordSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= !other);
    }

    /// The places, the lowest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = u16> + '_ {
        let words = (0..WORDS).filter(|at| self.0[*at] != 0);
        words.flat_map(move |at| {
            (0..64).filter(move |bit| self.0[at] >> bit & 1 == 1).map(move |bit| (at * 64 + bit) as u16)
        })
    }

    /// Its stored form.
    pub(super) fn encode(&self) -> Vec<u8> {
        if self.len() > MOST_LISTED {
            self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
        } else {
            self.iter().flat_map(u16::to_le_bytes).collect()
        }
    }

    /// The set with this stored form.
    pub(super) fn decode(octets: &[u8]) -> Result<RecordSet, DamagedSet> {
        let mut set = RecordSet::default();
        set.add_encoded(octets).map(|()| set)
    }

    /// Adds the places of a set in its stored form. After an error some of them may have been added.
    pub(super) fn add_encoded(&mut self, octets: &[u8]) -> Result<(), DamagedSet> {
        if octets.len() == BITS {
            let mut other = RecordSet::default();
            for (word, octets) in other.0.iter_mut().zip(octets.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*octets);
            }
            self.or(&other);
            return if other.len() > MOST_LISTED { Ok(()) } else { Err(DamagedSet) };
        }
        let (places, []) = octets.as_chunks::<2>() else { return Err(DamagedSet) };
        if places.len() > MOST_LISTED {
            return Err(DamagedSet);
        }
        let mut next = 0;
        for place in places.iter().map(|octets| u16::from_le_bytes(*octets)) {
            if place < next || i64::from(place) >= BLOCK {
                return Err(DamagedSet);
            }
            self.insert(place);
            next = place + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn set(places: &BTreeSet<u16>) -> RecordSet {
        let mut set = RecordSet::default();
        places.iter().for_each(|place| set.insert(*place));
        set
    }

    /// Sparse and dense sets, on both sides of the limit between the forms.
    fn places() -> impl Strategy<Value = BTreeSet<u16>> {
        let any = || 0..BLOCK as u16;
        prop_oneof![btree_set(any(), 0..8), btree_set(any(), 250..262), btree_set(any(), 0..4096)]
    }

    proptest! {
        #[test]
        fn sets_are_sets(a in places(), b in places(), place in 0..BLOCK as u16) {
            let (left, right) = (set(&a), set(&b));
            prop_assert_eq!(left.len(), a.len());
            prop_assert_eq!(left.is_empty(), a.is_empty());
            prop_assert_eq!(left.contains(place), a.contains(&place));
            prop_assert!(left.iter().eq(a.iter().copied()));
            prop_assert!(left.iter().rev().eq(a.iter().rev().copied()));
            let changed = |change: fn(&mut RecordSet, &RecordSet)| {
                let mut changed = left.clone();
                change(&mut changed, &right);
                changed
            };
            prop_assert_eq!(changed(RecordSet::and), set(&(&a & &b)));
            prop_assert_eq!(changed(RecordSet::or), set(&(&a | &b)));
            prop_assert_eq!(changed(RecordSet::and_not), set(&(&a - &b)));
            let mut less = left.clone();
            less.remove(place);
            prop_assert!(!less.contains(place) && less.len() == a.len() - usize::from(a.contains(&place)));
        }

        #[test]
        fn a_stored_set_comes_back(a in places(), b in places()) {
            let octets = set(&a).encode();
            prop_assert!(octets.len() <= BITS && octets.len() <= 2 * a.len());
            prop_assert_eq!(RecordSet::decode(&octets), Ok(set(&a)));
            let mut both = set(&b);
            prop_assert_eq!(both.add_encoded(&octets), Ok(()));
            prop_assert_eq!(both, set(&(&a | &b)));
        }

        /// What is accepted is the form that the set has, so nothing is accepted that was not written.
        #[test]
        fn other_octets_are_damage(octets in prop_oneof![vec(any::<u8>(), 0..600), vec(any::<u8>(), BITS)]) {
            if let Ok(set) = RecordSet::decode(&octets) {
                prop_assert_eq!(set.encode(), octets);
            }
        }
    }

    #[test]
    fn damage_is_found() {
        let list = |places: &[u16]| places.iter().flat_map(|place| place.to_le_bytes()).collect::<Vec<u8>>();
        assert!(RecordSet::decode(&list(&[0, 1, 4095])).is_ok() && RecordSet::decode(&[]).is_ok());
        for odd in [list(&[1, 1]), list(&[2, 1]), list(&[4096]), vec![1], vec![0; BITS], vec![0xff; BITS + 2]] {
            assert_eq!(RecordSet::decode(&odd), Err(DamagedSet), "{odd:?}");
        }
    }

    #[test]
    fn records_have_their_blocks() {
        for (seq, block, place) in [(1, 0, 1), (4095, 0, 4095), (4096, 1, 0), (1_000_000, 244, 576)] {
            assert_eq!((block_of(seq), place_of(seq)), (block, place));
            assert_eq!(first_of(block) + i64::from(place), seq);
        }
    }
}
