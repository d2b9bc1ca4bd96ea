//! Judges nobody here wrote read everything that leaves: Python's email package, Perl's Email::MIME, SpamAssassin.
//!
//! Each golden mail has its sender rewritten as for an account and handed over as a file; so are the failure notices. The scripts in
//! `tests/judges/` ask the questions, one process a judge for all mails. Each judge also reads what the device sent, and
//! must find fault with that: a judge who never finds anything proves nothing. Not here: what exactly the repair makes
//! of a mail (`golden`).
#![allow(clippy::print_stdout, reason = "what the judges found with the mail of the devices is worth seeing")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::invariants::road;
use crate::support::folder::Folder;
use crate::support::peers;
use crate::support::skip::{Missing, need};
use yizhan::mail::Address;
use yizhan::message::{FromPolicy, SenderRewrite, rewrite_sender};

/// What SpamAssassin may not find in a mail of ours: the header is whole, legal and in ASCII.
const FORM: &[&str] = &[
    "BASE64_LENGTH_79_INF",
    "CORRUPT_FROM_LINE_IN_HDRS",
    "FROM_BLANK_NAME",
    "FROM_ILLEGAL_CHARS",
    "FROM_NO_USER",
    "HEADER_COUNT_CTYPE",
    "HEADER_COUNT_SUBJECT",
    "HEAD_ILLEGAL_CHARS",
    "HEAD_LONG",
    "INVALID_DATE",
    "INVALID_DATE_TZ_ABSURD",
    "INVALID_MSGID",
    "MIME_HEADER_CTYPE_ONLY",
    "MISSING_DATE",
    "MISSING_FROM",
    "MISSING_HB_SEP",
    "MISSING_HEADERS",
    "MISSING_MID",
    "MISSING_MIME_HB_SEP",
    "MSGID_HDR_MALF",
    "NO_HEADERS_MESSAGE",
    "NULL_IN_BODY",
    "SUBJ_ILLEGAL_CHARS",
];

/// Of those, what it must have found in the mail of the devices.
const TEETH: &[&str] = &[
    "FROM_ILLEGAL_CHARS",
    "HEAD_ILLEGAL_CHARS",
    "INVALID_DATE",
    "INVALID_MSGID",
    "MISSING_DATE",
    "MISSING_FROM",
    "MISSING_HEADERS",
    "MISSING_MID",
    "SUBJ_ILLEGAL_CHARS",
];

/// Mails that no golden one stands for, but that a judge has a rule for.
const MADE: &[(&str, &[u8])] = &[
    (
        "raw-everywhere",
        b"From: a@b.cn\r\nTo: b@b.cn\r\nSubject: x\r\nX-Office: \xb1\xa8\xb8\xe6\xb1\xa8\xb8\xe6\xb1\xa8\xb8\xe6\xb1\xa8\xb8\xe6\r\n\r\nx\r\n",
    ),
    ("raw-from", b"From: \xd5\xc5\xc8\xfd\xd5\xc5\xc8\xfd <a@b.cn>\r\nTo: b@b.cn\r\nSubject: x\r\nDate: today\r\n\r\nx\r\n"),
];

/// One mail: where it comes from, what the device sent (a notice was sent by nobody), and what we send.
struct Case {
    name: String,
    sent: Option<PathBuf>,
    ours: PathBuf,
}

/// All golden mails and notices, with the sender rewritten, in a folder of their own.
fn cases(folder: &Folder) -> Vec<Case> {
    let login = Address::parse("office@qq.com").unwrap();
    let rewritten = |mail: &[u8]| {
        let end = mail.windows(4).position(|w| w == b"\r\n\r\n").expect("a blank line") + 2;
        let account =
            SenderRewrite { address: &login, display: None, policy: FromPolicy::MustEqualLogin, keep_dkim: false };
        [&rewrite_sender(&mail[..end], &account, &[])[..], &mail[end..]].concat()
    };
    let mut cases = Vec::new();
    for kind in ["repair", "notice"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(kind);
        for entry in fs::read_dir(root).unwrap() {
            let golden = entry.unwrap().path();
            if !golden.is_dir() {
                continue;
            }
            let name = format!("{kind}-{}", golden.file_name().unwrap().to_string_lossy());
            let ours = folder.file(&format!("{name}.eml"), rewritten(&fs::read(golden.join("out.eml")).unwrap()));
            let sent = (kind == "repair").then(|| golden.join("in.eml"));
            cases.push(Case { name, sent, ours });
        }
    }
    for (name, mail) in MADE {
        let stored = road::store(mail, mail.len()).unwrap();
        let ours = folder.file(&format!("{name}.eml"), rewritten(&[&stored.head, &b"\r\n"[..], &stored.body].concat()));
        let sent = Some(folder.file(&format!("{name}.sent"), mail));
        cases.push(Case { name: format!("made-{name}"), sent, ours });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() > 30, "the golden mails are gone: {}", cases.len());
    cases
}

/// One line of what a judge says, cut at its tabs.
type Line = Vec<String>;

/// Runs a script with these lines as its input; gives its lines.
fn ask(program: &Path, script: &str, arguments: &[&str], input: &str) -> Vec<Line> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges").join(script);
    let mut command = Command::new(program);
    command
        .arg(&script)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is installed");
    let mut pipe = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}:\n{out}\n{}", script.display(), String::from_utf8_lossy(&output.stderr));
    writer.join().unwrap().unwrap();
    out.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// The lines of one kind.
fn only<'l>(lines: &'l [Line], kind: &str) -> Vec<&'l [String]> {
    lines.iter().filter(|line| line[0] == kind).map(|line| &line[1..]).collect()
}

/// The complaints that are not allowed, and the lines of `tests/judges/allowed` that allow nothing any more.
fn complaints(judge: &str, cases: &[Case], said: &[(String, String)]) -> Vec<String> {
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/allowed")).unwrap();
    let lines = table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split(" | ").collect();
        let [by, name, words, _why] = fields[..] else { panic!("tests/judges/allowed: {line}") };
        (by, name, words)
    });
    let known = |name: &str| cases.iter().any(|case| case.name == name);
    let allowed: Vec<_> = lines.filter(|line| line.0 == judge && known(line.1)).collect();
    let fits =
        |(_, name, words): &(&str, &str, &str), (mail, text): &(String, String)| mail == name && text.contains(words);
    let wrong = said.iter().filter(|one| !allowed.iter().any(|line| fits(line, one)));
    let stale = allowed.iter().filter(|line| !said.iter().any(|one| fits(line, one)));
    let wrong = wrong.map(|(mail, text)| format!("{mail}: {text}"));
    wrong.chain(stale.map(|(_, name, words)| format!("{name}: allowed and not said: {words}"))).collect()
}

/// The `problem` lines: about which mail, and what.
fn problems(said: &[Line]) -> Vec<(String, String)> {
    only(said, "problem").iter().map(|line| (line[0].clone(), line[1].clone())).collect()
}

/// Perl, if it has these modules, which these Debian packages bring.
fn perl(modules: &[&str], packages: &str) -> Result<PathBuf, Missing> {
    let perl = peers::program("perl")?;
    let mut trial = Command::new(&perl);
    trial.args(modules.iter().map(|module| format!("-M{module}"))).args(["-e", "1"]).env_clear();
    let found = trial.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if found { Ok(perl) } else { Err(Missing(format!("package {packages} (Perl {})", modules.join(", ")))) }
}

fn asked(cases: &[Case], with_sent: bool) -> String {
    cases.iter().fold(String::new(), |mut text, case| {
        let sent = case.sent.as_deref().filter(|_| with_sent).unwrap_or(Path::new("-"));
        writeln!(text, "{}\t{}\t{}", case.name, sent.display(), case.ours.display()).unwrap();
        text
    })
}

#[test]
fn python_reads_every_mail_and_finds_the_same_in_it() {
    let python = need!(peers::program("python3"));
    let folder = Folder::new("python");
    let cases = cases(&folder);
    let said = ask(&python, "read.py", &[], &asked(&cases, true));
    let (problems, compared) = (complaints("python", &cases, &problems(&said)), only(&said, "compared"));
    let faulty: BTreeSet<&str> = only(&said, "before").iter().map(|line| line[0].as_str()).collect();
    println!("compared {} of {}; skipped {:#?}", compared.len(), cases.len(), only(&said, "skipped"));
    println!("faults in {} of {} mails sent to us", faulty.len(), cases.len());
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(compared.len() * 2 > cases.len(), "only {} of {} were compared", compared.len(), cases.len());
    assert!(faulty.len() >= 15, "the judge has no teeth: {faulty:?}");
}

#[test]
fn perl_reads_every_mail_and_sees_the_parts_that_python_sees() {
    let perl = need!(perl(&["Email::MIME", "Encode::HanExtra"], "libemail-mime-perl or libencode-hanextra-perl"));
    let folder = Folder::new("perl");
    let cases = cases(&folder);
    let said = ask(&perl, "read.pl", &[], &asked(&cases, false));
    let problems = complaints("perl", &cases, &problems(&said));
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(only(&said, "part").len() >= cases.len());

    let sent: Vec<Case> = cases
        .iter()
        .filter_map(|case| case.sent.clone().map(|ours| (case, ours)))
        .map(|(case, ours)| Case { name: case.name.clone(), sent: None, ours })
        .collect();
    let before = ask(&perl, "read.pl", &[], &asked(&sent, false));
    let faulty: BTreeSet<&str> = only(&before, "problem").iter().map(|line| line[0].as_str()).collect();
    println!("faults in {} of {} mails sent to us", faulty.len(), sent.len());
    assert!(faulty.len() >= 15, "the judge has no teeth: {faulty:?}");

    let python = need!(peers::program("python3"));
    let other = ask(&python, "read.py", &[], &asked(&cases, false));
    let by_mail = |lines: &[Line]| {
        let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in only(lines, "part") {
            parts.entry(line[0].clone()).or_default().push(line[1].clone());
        }
        parts
    };
    let (perls, pythons) = (by_mail(&said), by_mail(&other));
    // Where Python gives up there is nothing to compare; its own test says whether it may.
    let unread: BTreeSet<&str> = only(&other, "problem").iter().map(|line| line[0].as_str()).collect();
    for case in cases.iter().filter(|case| !unread.contains(case.name.as_str())) {
        assert_eq!(perls.get(&case.name), pythons.get(&case.name), "{}: Perl (left) and Python", case.name);
    }
}

#[test]
fn spamassassin_finds_no_fault_with_the_form() {
    let perl = need!(perl(&["Mail::SpamAssassin"], "spamassassin"));
    let folder = Folder::new("spam");
    let cases = cases(&folder);
    let sent = cases.iter().filter_map(|case| Some((format!("sent {}", case.name), case.sent.clone()?)));
    let all = sent.chain(cases.iter().map(|case| (format!("ours {}", case.name), case.ours.clone())));
    let input = all.fold(String::new(), |text, (name, path)| text + &format!("{name}\t{}\n", path.display()));
    let home = folder.dir("home", 0o755);
    let arguments: Vec<&str> = std::iter::once(home.to_str().unwrap()).chain(FORM.iter().copied()).collect();
    let said = ask(&perl, "spam.pl", &arguments, &input);
    let (mut before, mut problems) = (BTreeMap::<&str, u32>::new(), Vec::new());
    for line in &said {
        for rule in line[1].split(' ').filter(|rule| FORM.contains(rule)) {
            match line[0].strip_prefix("ours ") {
                Some(name) => problems.push((name.to_owned(), rule.to_owned())),
                None => *before.entry(rule).or_default() += 1,
            }
        }
    }
    println!("rules that the mail sent to us hit: {before:#?}");
    assert_eq!(said.len(), input.lines().count(), "every mail was judged");
    let problems = complaints("spamassassin", &cases, &problems);
    assert!(problems.is_empty(), "{problems:#?}");
    let dull: Vec<_> = TEETH.iter().filter(|rule| !before.contains_key(**rule)).collect();
    assert!(dull.is_empty(), "the judge has no teeth: {dull:?} hit nothing");
}
