//! Reads what `strace` wrote about a relay: each change to its data folder, each sync, each reply to a client.
//!
//! A change or a sync counts from the line where the call returned. A sync covers the changes that had returned when it was
//! called. A reply to a client counts from the line where the call began: from then on the client may know it. So the order
//! in the recording is never better for the relay than the real one.
//!
//! A traced call that names the data folder and is not known here is a panic. So is a shared mapping of a file, but for
//! SQLite's `-shm`, whose content need not survive. Modes and times of files are not recorded.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::support::program::{event_of, field_of};

/// The options of `strace` that this file needs. `?` marks a call that some machines do not have.
pub(super) const OPTIONS: [&str; 8] = [
    "-y",
    "-xx",
    "-ttt",
    "-s",
    "16777216",
    "-e",
    "trace=?open,openat,?openat2,?creat,write,pwrite64,writev,pwritev,?pwritev2,?truncate,ftruncate,fallocate,\
     fsync,fdatasync,?sync,?syncfs,?sync_file_range,?sync_file_range2,?rename,?renameat,?renameat2,?link,linkat,\
     ?symlink,symlinkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,?mknod,mknodat,mmap,?msync,sendfile,copy_file_range,\
     splice,lseek,sendto,sendmsg,?sendmmsg,bind,?io_uring_setup,?io_submit,?dup2,dup3,?fork,?vfork",
    "--signal=none",
];

/// Calls that write to what is their first argument.
const WRITES: [&str; 6] = ["write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg"];

/// What happened.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A file was opened to be written, and made if it was not there.
    Open { path: PathBuf, truncate: bool },
    /// A folder was made.
    MakeFolder(PathBuf),
    /// A socket was made.
    MakeSocket(PathBuf),
    /// Octets were written.
    Write { path: PathBuf, offset: usize, octets: Vec<u8> },
    /// A file was given this length.
    Resize { path: PathBuf, len: usize },
    /// A file or a folder was synced; the sync was called at this line.
    Sync { path: PathBuf, called: usize },
    /// A name became another one.
    Rename(PathBuf, PathBuf),
    /// A file got a second name.
    Link(PathBuf, PathBuf),
    /// A name was removed.
    Remove(PathBuf),
    /// A client was told that the message with this id is safe.
    Acknowledged(String),
    /// The relay logged that the message with this id is delivered, which it does after its settlement was stored.
    Settled(String),
    /// The relay logged that it listens.
    Listening,
}

impl Event {
    /// The file or folder, if it is about one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Event::Open { path, .. }
            | Event::MakeFolder(path)
            | Event::MakeSocket(path)
            | Event::Write { path, .. }
            | Event::Resize { path, .. }
            | Event::Sync { path, .. }
            | Event::Rename(path, _)
            | Event::Link(path, _)
            | Event::Remove(path) => Some(path),
            Event::Acknowledged(_) | Event::Settled(_) | Event::Listening => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Write { path, offset, octets } => {
                write!(f, "{} octets written at {offset} of {}", octets.len(), path.display())
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// An event, where the trace has it, and when it began, in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) line: usize,
    pub(super) at: i64,
    pub(super) event: Event,
}

/// The events of the traces of several runs, one after the other.
#[derive(Debug)]
pub(super) struct Recording {
    data: PathBuf,
    pub(super) moments: Vec<Moment>,
    lines: usize,
}

impl Recording {
    /// Nothing yet, about the data folder `data`.
    pub(super) fn of(data: &Path) -> Recording {
        Recording { data: data.to_owned(), moments: Vec::new(), lines: 0 }
    }

    /// Adds the trace of one run.
    pub(super) fn add(&mut self, trace: &str) {
        let mut run = Run { data: &self.data, offsets: HashMap::new(), moments: Vec::new() };
        let mut begun: HashMap<&str, (usize, i64, &str)> = HashMap::new();
        let first = self.lines;
        for (number, line) in trace.lines().enumerate() {
            let line_number = first + number;
            let (thread, rest) = line.split_once(' ').expect("a thread and more");
            let (time, text) = rest.trim_start().split_once(' ').expect("a time and a call");
            let seconds: f64 = time.parse().expect("-ttt prints seconds");
            let at = (seconds * 1000.0) as i64;
            if let Some(head) = text.strip_suffix("<unfinished ...>") {
                begun.insert(thread, (line_number, at, head.trim_end()));
            } else if let Some(rest) = text.strip_prefix("<... ") {
                let (_, rest) = rest.split_once("resumed>").expect("a call that goes on");
                let (called, at, head) = begun.remove(thread).expect("it began before");
                run.call(&format!("{head}{rest}"), called, line_number, at);
            } else if !text.starts_with(['-', '+']) {
                run.call(text, line_number, line_number, at);
            }
        }
        for (_, (_, _, head)) in begun {
            assert!(!run.is_about_the_folder(head), "the run ended in the middle of {:.200}", head);
        }
        self.lines += trace.lines().count();
        let mut moments = run.moments;
        moments.sort_by_key(|moment| moment.line);
        self.moments.append(&mut moments);
    }
}

/// The file that the queue gives up on a full disk.
pub(super) const RESERVE: &str = "reserve";

/// One run of the relay.
struct Run<'a> {
    data: &'a Path,
    /// Where the next `write` to a file goes, by file descriptor.
    offsets: HashMap<u32, usize>,
    moments: Vec<Moment>,
}

impl Run<'_> {
    /// The reserve is left out: it only takes up space, and each start makes it when it is missing.
    fn is_about_the_folder(&self, text: &str) -> bool {
        let hex = |path: &Path| hex(path.as_os_str().as_encoded_bytes());
        text.contains(&hex(self.data)) && !text.contains(&hex(&self.data.join(RESERVE)))
    }

    /// Takes in a call as `strace` prints it, with the line where it began and the one where it returned.
    fn call(&mut self, text: &str, called: usize, returned: usize, at: i64) {
        let (name, rest) = text.split_once('(').unwrap_or_else(|| panic!("no call: {text:.200}"));
        assert!(!["io_uring_setup", "io_submit", "fork", "vfork"].contains(&name), "not understood: {text:.200}");
        let (arguments, result) = rest.rsplit_once(") = ").unwrap_or((rest, "?"));
        let arguments = arguments.trim_end_matches(')');
        if result.starts_with(['-', '?']) {
            // It changed nothing. A sync that fails leaves open what is on the disk, and none may fail here.
            assert!(!name.ends_with("sync") || result.starts_with('?'), "{text:.200}");
            return;
        }
        // What is written may name the folder as well: only the file counts.
        let file = if WRITES.contains(&name) { arguments.split(',').next().unwrap_or_default() } else { arguments };
        let about = self.is_about_the_folder(file) || self.is_about_the_folder(result);
        if about {
            if let Some(event) = self.change(name, &split(arguments), result, called, text) {
                self.moments.push(Moment { line: returned, at, event });
            }
        } else if matches!(name, "fsync" | "fdatasync") && Some(path_of(arguments).as_path()) == self.data.parent() {
            self.moments.push(Moment { line: returned, at, event: Event::Sync { path: path_of(arguments), called } });
        } else if matches!(name, "write" | "writev" | "sendto" | "sendmsg") {
            for event in said(arguments) {
                self.moments.push(Moment { line: called, at, event });
            }
        }
    }

    /// What a call does to the folder; `None` when it only looks.
    fn change(&mut self, name: &str, args: &[&str], result: &str, called: usize, text: &str) -> Option<Event> {
        let not_understood = || -> ! { panic!("this call is not understood: {text:.400}") };
        let number = |text: &str| text.parse::<usize>().unwrap_or_else(|_| panic!("{text:.100} is no number: {name}"));
        // What is written into a file without a name is gone with the power.
        let deleted = args.first().is_some_and(|file| file.ends_with("(deleted)"));
        let event = match name {
            "open" => self.open(&octets(args[0]), args[1], result)?,
            "openat" => self.open(&joined(args[0], args[1]), args[2], result)?,
            "write" | "writev" | "pwrite64" | "pwritev" if deleted => return None,
            "write" | "writev" | "pwrite64" | "pwritev" => {
                let len = number(result);
                let offset = match name.strip_prefix('p') {
                    Some(_) => number(args.last()?),
                    None => {
                        let next = self.offsets.get_mut(&descriptor(args[0])).unwrap_or_else(|| not_understood());
                        std::mem::replace(next, *next + len)
                    }
                };
                let mut octets: Vec<u8> = strings(args[1]).flat_map(octets).collect();
                octets.truncate(len);
                assert_eq!(octets.len(), len, "{text:.200}");
                Event::Write { path: path_of(args[0]), offset, octets }
            }
            "ftruncate" if deleted => return None,
            "ftruncate" => Event::Resize { path: path_of(args[0]), len: number(args[1]) },
            "fsync" | "fdatasync" if deleted => return None,
            "fsync" | "fdatasync" => Event::Sync { path: path_of(args[0]), called },
            "mkdir" => Event::MakeFolder(path(&octets(args[0]))),
            "mkdirat" => Event::MakeFolder(path(&joined(args[0], args[1]))),
            "rename" => Event::Rename(path(&octets(args[0])), path(&octets(args[1]))),
            "renameat" => Event::Rename(path(&joined(args[0], args[1])), path(&joined(args[2], args[3]))),
            "renameat2" if args[4] == "0" => {
                Event::Rename(path(&joined(args[0], args[1])), path(&joined(args[2], args[3])))
            }
            "link" => Event::Link(path(&octets(args[0])), path(&octets(args[1]))),
            "linkat" if args[4] == "0" => Event::Link(path(&joined(args[0], args[1])), path(&joined(args[2], args[3]))),
            "unlink" | "rmdir" => Event::Remove(path(&octets(args[0]))),
            "unlinkat" => Event::Remove(path(&joined(args[0], args[1]))),
            "bind" => Event::MakeSocket(path(&octets(strings(args[1]).next()?))),
            "mmap" => {
                let (protection, flags, file) = (args[2], args[3], path_of(args[4]));
                let shared = protection.contains("PROT_WRITE") && flags.contains("MAP_SHARED");
                if shared && !file.to_string_lossy().ends_with("-shm") {
                    not_understood();
                }
                return None;
            }
            _ => not_understood(),
        };
        Some(event)
    }

    fn open(&mut self, name: &[u8], flags: &str, result: &str) -> Option<Event> {
        let has = |flag: &str| flags.split('|').any(|one| one == flag);
        assert!(!has("O_TMPFILE") && !has("O_APPEND"), "not understood: {flags}");
        if has("O_RDONLY") {
            return None;
        }
        self.offsets.insert(descriptor(result), 0);
        let event = Event::Open { path: path(name), truncate: has("O_TRUNC") };
        (has("O_CREAT") || has("O_TRUNC")).then_some(event)
    }
}

/// The replies and the lines of the log in a write to a socket or a pipe.
fn said(arguments: &str) -> Vec<Event> {
    const SAFE: &str = "250 2.0.0 queued as ";
    let wanted = [SAFE, "\"delivered\"", "\"listening\""].map(|word| hex(word.as_bytes()));
    if !wanted.iter().any(|word| arguments.contains(word)) {
        return Vec::new();
    }
    let text: Vec<u8> = strings(arguments).flat_map(octets).collect();
    let text = String::from_utf8_lossy(&text);
    let events = text.lines().filter_map(|line| {
        if let Some(id) = line.strip_prefix(SAFE) {
            return Some(Event::Acknowledged(id.to_owned()));
        }
        match event_of(line)?.as_str() {
            "delivered" => field_of(line, "id").map(Event::Settled),
            "listening" => Some(Event::Listening),
            _ => None,
        }
    });
    events.collect()
}

/// The arguments of a call, cut at the commas that are in no bracket. Strings have none: `-xx` writes all octets as hex.
fn split(arguments: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0usize, 0, Vec::new());
    for (at, octet) in arguments.bytes().enumerate() {
        match octet {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => {
                found.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(arguments[start..].trim());
    found
}

/// The quoted strings in a text, without their quotes.
fn strings(text: &str) -> impl Iterator<Item = &str> {
    assert!(!text.contains("\"..."), "strace cut a string short: {text:.100}");
    text.split('"').skip(1).step_by(2)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("\\x{octet:02x}")).collect()
}

/// The octets of a string as `-xx` prints it.
fn octets(text: &str) -> Vec<u8> {
    let digit = |octet: u8| if octet > b'9' { octet - b'a' + 10 } else { octet - b'0' };
    let text = text.trim_matches('"').as_bytes();
    let (four, rest) = text.as_chunks::<4>();
    assert!(rest.is_empty() && four.iter().all(|one| one.starts_with(b"\\x")), "strace prints hex");
    four.iter().map(|&[_, _, high, low]| digit(high) << 4 | digit(low)).collect()
}

/// The number in `9<\x2f...>`.
fn descriptor(text: &str) -> u32 {
    let number = text.split('<').next().unwrap_or_default();
    number.parse().unwrap_or_else(|_| panic!("{text:.100} is no file descriptor"))
}

/// The path in `9<\x2f...>`.
fn path_of(text: &str) -> PathBuf {
    let inside = text.split(['<', '>']).nth(1).unwrap_or_else(|| panic!("-y names the file: {text:.100}"));
    path(&octets(inside))
}

/// A name, and the folder it is looked up in: `AT_FDCWD<\x2f...>`, or a file descriptor.
fn joined(folder: &str, name: &str) -> Vec<u8> {
    let joined = path_of(folder).join(path(&octets(name)));
    joined.as_os_str().as_encoded_bytes().to_vec()
}

fn path(octets: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8(octets.to_vec()).expect("our names are UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the trace of these calls says about `/d`. A text between tildes is printed as hex.
    fn read(lines: &[&str]) -> Vec<String> {
        let line = |line: &&str| {
            let parts = line.split('~').enumerate();
            parts.map(|(at, part)| if at % 2 == 1 { hex(part.as_bytes()) } else { part.to_owned() }).collect::<String>()
        };
        let trace: Vec<String> = lines.iter().map(line).collect();
        let mut recording = Recording::of(Path::new("/d"));
        recording.add(&trace.join("\n"));
        recording.moments.iter().map(|moment| format!("{} {}", moment.line, moment.event)).collect()
    }

    #[test]
    fn a_call_counts_from_its_return_and_a_reply_from_its_beginning() {
        let found = read(&[
            "7  1.0 openat(AT_FDCWD<~/~>, \"~/d/a~\", O_WRONLY|O_CREAT, 0600) = 3<~/d/a~>",
            "7  1.1 write(3<~/d/a~>, \"~abc~\", 3) = 3",
            "8  1.2 sendto(5<~socket:[9]~>, \"~250 2.0.0 queued as x~\", 21, 0, NULL, 0 <unfinished ...>",
            "7  1.3 pwrite64(3<~/d/a~>, \"~abc~\", 3, 4096 <unfinished ...>",
            "8  1.4 <... sendto resumed>) = 21",
            "7  1.5 <... pwrite64 resumed>) = 2",
        ]);
        let expected = [
            "0 Open { path: \"/d/a\", truncate: false }",
            "1 3 octets written at 0 of /d/a",
            "2 Acknowledged(\"x\")",
            "5 2 octets written at 4096 of /d/a",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    #[should_panic(expected = "not understood")]
    fn a_call_that_is_not_known_is_not_passed_over() {
        read(&["7  1.0 copy_file_range(4<~/x~>, NULL, 3<~/d/a~>, NULL, 10, 0) = 10"]);
    }
}
