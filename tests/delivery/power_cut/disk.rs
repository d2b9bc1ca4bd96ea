//! A model of a disk: what of the data folder is durable, what changed since, and what a power cut may leave of it.
//!
//! The rules are stricter than those of ext4, XFS and btrfs:
//!
//! - A write is durable once a sync of its file has returned that was called after the write. Until then each sector of 512
//!   octets is there or not, whatever became of the others. A sector is never half written.
//! - A file that grew may have its new length without its new octets: zeros or old octets of the disk take their place.
//! - A name (made, renamed, linked or removed) is durable once a sync of its folder has returned. A sync of the file is not
//!   enough. A rename happens or does not. Of the other changes to a folder those before some moment are there (a journal), or
//!   any of them (no journal). Folders do not wait for each other.
//! - What was synced is never lost: a disk that lies about its syncs is not in this model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::recording::{Event, Moment};
use crate::support::load::Dice;

const SECTOR: usize = 512;

/// What the power cut leaves of the changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// None of them.
    Lost,
    /// All of them.
    Kept,
    /// All names and lengths, but no octets.
    Hollow,
    /// Some of them.
    Mixed,
}

/// A file or folder of an image, with its path in the data folder.
pub(super) type Piece = (PathBuf, Content);

/// What it is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Folder,
    File(Vec<u8>),
    Socket,
}

/// The model.
#[derive(Debug)]
pub(super) struct Disk {
    /// The folder that the data folder is made in.
    top: PathBuf,
    nodes: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    Folder(Folder),
    File(File),
    Socket,
}

#[derive(Debug, Default)]
struct Folder {
    now: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// The changes since, each with its line in the trace.
    pending: Vec<(usize, Naming)>,
}

/// A change to the names of a folder.
#[derive(Debug, Clone)]
enum Naming {
    Add(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Naming::Add(name, node) => drop(names.insert(name.clone(), *node)),
            Naming::Remove(name) => drop(names.remove(name)),
            Naming::Rename(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<(usize, Change)>,
}

/// A change to the octets of a file.
#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl Change {
    fn apply(&self, octets: &mut Vec<u8>) {
        match self {
            Change::Write(offset, new) => put(octets, *offset, new),
            Change::Resize(len) => octets.resize(*len, 0),
        }
    }

    fn range(&self) -> std::ops::Range<usize> {
        match self {
            Change::Write(offset, new) => *offset..offset + new.len(),
            Change::Resize(_) => 0..0,
        }
    }
}

/// Writes `new` at `offset`; zeros are in what is skipped.
fn put(octets: &mut Vec<u8>, offset: usize, new: &[u8]) {
    let end = offset + new.len();
    if octets.len() < end {
        octets.resize(end, 0);
    }
    octets[offset..end].copy_from_slice(new);
}

impl Disk {
    /// A disk on which the folder that is to hold `data` is there, and durable.
    pub(super) fn new(data: &Path) -> Disk {
        let top = data.parent().expect("it lies in a folder").to_owned();
        Disk { top, nodes: vec![Node::Folder(Folder::default())] }
    }

    /// Lets a moment happen.
    pub(super) fn apply(&mut self, moment: &Moment) {
        let line = moment.line;
        match &moment.event {
            Event::Open { path, truncate } => match self.find(path) {
                None => self.make(line, path, Node::File(File::default())),
                Some(_) if *truncate => self.file(path).pending.push((line, Change::Resize(0))),
                Some(_) => {}
            },
            Event::MakeFolder(path) => self.make(line, path, Node::Folder(Folder::default())),
            Event::MakeSocket(path) => self.make(line, path, Node::Socket),
            Event::Write { path, offset, octets } => {
                self.file(path).pending.push((line, Change::Write(*offset, octets.clone())));
            }
            Event::Resize { path, len } => self.file(path).pending.push((line, Change::Resize(*len))),
            Event::Sync { path, called } => self.sync(path, *called),
            Event::Rename(from, to) => {
                assert_eq!(from.parent(), to.parent(), "a rename from folder to folder is not in this model");
                let node = self.known(from);
                self.name(line, from, |old| Naming::Rename(old, name_of(to), node));
            }
            Event::Link(from, to) => {
                let node = self.known(from);
                self.name(line, to, |name| Naming::Add(name, node));
            }
            Event::Remove(path) => self.name(line, path, Naming::Remove),
            Event::Acknowledged(_) | Event::Settled(_) | Event::Listening => {}
        }
    }

    /// Fails unless these are the files that a real folder had at this moment, octet for octet.
    pub(super) fn must_agree(&self, files: &BTreeMap<PathBuf, Vec<u8>>) {
        let mut ours = BTreeMap::new();
        for (path, content) in self.image(Fate::Kept, &mut Dice::new(1)) {
            if let Content::File(octets) = content {
                ours.insert(path, octets);
            }
        }
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(files));
        for (path, octets) in files.iter().filter(|(path, _)| !path.to_string_lossy().ends_with("-shm")) {
            assert!(ours[path] == *octets, "{} was recorded wrongly", path.display());
        }
    }

    /// How many octets a file has now; 0 if there is no such file.
    pub(super) fn len(&self, path: &Path) -> usize {
        match self.find(path).map(|node| &self.nodes[node]) {
            Some(Node::File(file)) => file.pending.iter().fold(file.durable.len(), |len, (_, change)| match change {
                Change::Write(..) => len.max(change.range().end),
                Change::Resize(len) => *len,
            }),
            Some(Node::Folder(_) | Node::Socket) | None => 0,
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let mut at = 0;
        for part in path.strip_prefix(&self.top).expect("it lies in the data folder") {
            let Node::Folder(folder) = &self.nodes[at] else { return None };
            at = *folder.now.get(&*part.to_string_lossy())?;
        }
        Some(at)
    }

    fn known(&self, path: &Path) -> usize {
        self.find(path).unwrap_or_else(|| panic!("{} was never made", path.display()))
    }

    fn file(&mut self, path: &Path) -> &mut File {
        let node = self.known(path);
        match &mut self.nodes[node] {
            Node::File(file) => file,
            other => panic!("{} is no file: {other:?}", path.display()),
        }
    }

    fn make(&mut self, line: usize, path: &Path, node: Node) {
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        self.name(line, path, |name| Naming::Add(name, node));
    }

    fn name(&mut self, line: usize, path: &Path, change: impl FnOnce(String) -> Naming) {
        let node = self.known(path.parent().expect("it lies in a folder"));
        let Node::Folder(folder) = &mut self.nodes[node] else { panic!("{} lies in a file", path.display()) };
        let change = change(name_of(path));
        change.apply(&mut folder.now);
        folder.pending.push((line, change));
    }

    fn sync(&mut self, path: &Path, called: usize) {
        let node = self.known(path);
        match &mut self.nodes[node] {
            Node::File(file) => {
                let covered = file.pending.iter().take_while(|(line, _)| *line < called).count();
                file.pending.drain(..covered).for_each(|(_, change)| change.apply(&mut file.durable));
            }
            Node::Folder(folder) => {
                let covered = folder.pending.iter().take_while(|(line, _)| *line < called).count();
                folder.pending.drain(..covered).for_each(|(_, change)| change.apply(&mut folder.durable));
            }
            Node::Socket => panic!("a socket was synced"),
        }
    }

    /// What is there after a power cut now: the data folder and everything in it, folders before what they hold.
    pub(super) fn image(&self, fate: Fate, dice: &mut Dice) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.collect(0, Path::new(""), fate, dice, &mut pieces);
        pieces
    }

    fn collect(&self, node: usize, path: &Path, fate: Fate, dice: &mut Dice, pieces: &mut Vec<Piece>) {
        let content = match &self.nodes[node] {
            Node::Folder(folder) => {
                if node != 0 {
                    pieces.push((path.to_owned(), Content::Folder));
                }
                for (name, inner) in folder.left(fate, dice) {
                    self.collect(inner, &path.join(name), fate, dice, pieces);
                }
                return;
            }
            // SQLite writes it through a mapping, so any octets may be there.
            Node::File(file) if path.to_string_lossy().ends_with("-shm") => {
                let len = if fate == Fate::Lost { file.durable.len() } else { file.all().len() };
                let junk = [dice.below(256) as u8, dice.below(256) as u8, dice.below(256) as u8];
                Content::File(junk.iter().copied().cycle().take(len).collect())
            }
            Node::File(file) => Content::File(match fate {
                Fate::Lost => file.durable.clone(),
                Fate::Kept => file.all(),
                Fate::Hollow => file.hollow(),
                Fate::Mixed => file.mixed(dice),
            }),
            Node::Socket => Content::Socket,
        };
        pieces.push((path.to_owned(), content));
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("it has a name").to_string_lossy().into_owned()
}

impl Folder {
    fn left(&self, fate: Fate, dice: &mut Dice) -> BTreeMap<String, usize> {
        let mut names = self.durable.clone();
        let journal = dice.below(2) == 0;
        let moment = dice.below(self.pending.len() as u64 + 1) as usize;
        for (at, (_, change)) in self.pending.iter().enumerate() {
            let kept = match fate {
                Fate::Lost => false,
                Fate::Kept | Fate::Hollow => true,
                Fate::Mixed if journal => at < moment,
                Fate::Mixed => dice.below(2) == 0,
            };
            if kept {
                change.apply(&mut names);
            }
        }
        names
    }
}

impl File {
    fn all(&self) -> Vec<u8> {
        let mut octets = self.durable.clone();
        self.pending.iter().for_each(|(_, change)| change.apply(&mut octets));
        octets
    }

    fn hollow(&self) -> Vec<u8> {
        let mut octets = self.durable.clone();
        octets.resize(self.all().len(), 0);
        octets
    }

    /// Some of the pending writes, torn at sectors, in one of three ways.
    fn mixed(&self, dice: &mut Dice) -> Vec<u8> {
        if self.pending.is_empty() {
            return self.durable.clone();
        }
        let cut = self.pending.iter().any(|(_, change)| matches!(change, Change::Resize(_)));
        let mut octets = self.durable.clone();
        match dice.below(if cut { 2 } else { 3 }) {
            // All writes up to one moment; the next one is torn.
            0 => {
                let moment = dice.below(self.pending.len() as u64) as usize;
                self.pending[..moment].iter().for_each(|(_, change)| change.apply(&mut octets));
                tear(&self.pending[moment].1, &mut octets, dice);
            }
            // Each write is there, or not, or torn.
            1 => {
                for (_, change) in &self.pending {
                    match dice.below(3) {
                        0 => {}
                        1 => change.apply(&mut octets),
                        _ => tear(change, &mut octets, dice),
                    }
                }
            }
            // Each sector was written out at a moment of its own.
            _ => {
                let touched: std::collections::BTreeSet<usize> =
                    self.pending.iter().flat_map(|(_, change)| sectors(change)).collect();
                let moments: BTreeMap<usize, usize> = touched
                    .into_iter()
                    .map(|sector| (sector, dice.below(self.pending.len() as u64 + 1) as usize))
                    .collect();
                for (at, (_, change)) in self.pending.iter().enumerate() {
                    sectors(change)
                        .filter(|sector| at < moments[sector])
                        .for_each(|one| keep(change, one, &mut octets));
                }
            }
        }
        // The new length may be there without the octets.
        let len = self.all().len();
        if octets.len() < len && dice.below(3) == 0 {
            let old = if dice.below(2) == 0 { 0 } else { 0xa5 };
            octets.resize(len, old);
        }
        octets
    }
}

fn sectors(change: &Change) -> std::ops::Range<usize> {
    let range = change.range();
    range.start / SECTOR..range.end.div_ceil(SECTOR)
}

/// Writes the part of `change` that lies in one sector.
fn keep(change: &Change, sector: usize, octets: &mut Vec<u8>) {
    if let Change::Write(offset, new) = change {
        let begin = (sector * SECTOR).max(*offset);
        let end = ((sector + 1) * SECTOR).min(offset + new.len());
        put(octets, begin, &new[begin - offset..end - offset]);
    }
}

/// Writes some sectors of `change`. A new length is there or not.
fn tear(change: &Change, octets: &mut Vec<u8>, dice: &mut Dice) {
    match change {
        Change::Write(..) => {
            for sector in sectors(change) {
                if dice.below(2) == 0 {
                    keep(change, sector, octets);
                }
            }
        }
        Change::Resize(_) if dice.below(2) == 0 => change.apply(octets),
        Change::Resize(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk on which these things happened, one a line, from line 0.
    fn disk(events: Vec<Event>) -> Disk {
        let mut disk = Disk::new(Path::new("/top/data"));
        for (line, event) in events.into_iter().enumerate() {
            disk.apply(&Moment { line, at: 0, event });
        }
        disk
    }

    fn data(name: &str) -> PathBuf {
        Path::new("/top/data").join(name)
    }

    fn made() -> Vec<Event> {
        let top = PathBuf::from("/top");
        vec![Event::MakeFolder(top.join("data")), Event::Sync { path: top, called: 1 }]
    }

    fn opened(name: &str) -> Event {
        Event::Open { path: data(name), truncate: false }
    }

    fn written(name: &str, octet: u8) -> Event {
        Event::Write { path: data(name), offset: 0, octets: vec![octet; 1024] }
    }

    /// The octets of a file after a power cut, if it is there.
    fn left(disk: &Disk, name: &str, fate: Fate, seed: u64) -> Option<Vec<u8>> {
        let path = Path::new("data").join(name);
        disk.image(fate, &mut Dice::new(seed)).into_iter().find_map(|(found, content)| match content {
            Content::File(octets) if found == path => Some(octets),
            Content::File(_) | Content::Folder | Content::Socket => None,
        })
    }

    #[test]
    fn a_file_needs_a_sync_for_its_octets_and_one_for_its_name() {
        let mut events = made();
        events.extend([opened("a"), written("a", 1), Event::Sync { path: data("a"), called: 4 }]);
        assert_eq!(left(&disk(events.clone()), "a", Fate::Lost, 1), None);
        assert_eq!(left(&disk(events.clone()), "a", Fate::Kept, 1), Some(vec![1; 1024]));
        events.push(Event::Sync { path: data(""), called: 5 });
        assert_eq!(left(&disk(events.clone()), "a", Fate::Lost, 1), Some(vec![1; 1024]));
        events.push(Event::Rename(data("a"), data("b")));
        assert_eq!(left(&disk(events.clone()), "a", Fate::Lost, 1), Some(vec![1; 1024]));
        assert_eq!(left(&disk(events), "b", Fate::Kept, 1), Some(vec![1; 1024]));
    }

    #[test]
    fn a_sync_covers_what_had_returned_when_it_was_called() {
        let mut events = made();
        // The second write returns while the sync is under way.
        events.extend([opened("a"), written("a", 1), written("a", 2), Event::Sync { path: data("a"), called: 4 }]);
        events.push(Event::Sync { path: data(""), called: 6 });
        let disk = disk(events);
        assert_eq!(left(&disk, "a", Fate::Lost, 1), Some(vec![1; 1024]));
        assert_eq!(left(&disk, "a", Fate::Kept, 1), Some(vec![2; 1024]));
    }

    #[test]
    fn a_write_is_torn_at_sectors_only() {
        let mut events = made();
        events.extend([opened("a"), written("a", 1), Event::Sync { path: data("a"), called: 4 }, written("a", 2)]);
        events.push(Event::Sync { path: data(""), called: 6 });
        let disk = disk(events);
        let images: std::collections::BTreeSet<_> = (0..200).map(|seed| left(&disk, "a", Fate::Mixed, seed)).collect();
        let halves = [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(a, b)| Some([vec![a; SECTOR], vec![b; SECTOR]].concat()));
        assert_eq!(images, halves.into());
    }
}
