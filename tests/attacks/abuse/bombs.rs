//! Mail that is made to cost memory, time or stack: it goes through the whole relay, in threads with a small stack, and
//! arrives, or is refused by a limit that has a name.
//!
//! Time is not measured. That each octet costs a fixed number of steps is counted beside the code (`message`); here a
//! bomb that costs more would not arrive before a test's patience ends.

use std::fmt::Write as _;

use super::{HONEST, MIB, Plan, Scene};
use crate::support::entrance::base64;
use crate::support::office::Device;
use yizhan::sandbox::{Fault, Stage, What};

/// A quarter of what a thread has: what recurses for each level of a bomb does not get far with it. Without optimisation an
/// ordinary mail needs more than 128 KiB and is content with 256.
const SMALL_STACK: &str = "524288";
/// Beside what the longest message of a scene may hold in memory.
const MODEST: u64 = 32 * MIB;

/// The program with a small stack, and one mail behind it that has warmed it up.
async fn scene(name: &str) -> Scene {
    let scene = Scene::open(name, Plan { stack: Some(SMALL_STACK), shell: "ulimit -s 1024", ..Plan::default() }).await;
    scene.device(HONEST).await.send("a@b.c", &["warm@else.test"], b"Subject: warm\r\n\r\nx\r\n").await;
    scene.site.drained(&scene.sandbox).await;
    scene
}

/// Sends each, expects its reply, waits until what was taken has arrived; then the memory, and what holds after every
/// attack.
async fn explode(scene: &Scene, bombs: &[(&str, Vec<u8>, &str)]) {
    let mut expected = vec![&["warm@else.test"][..]];
    let grown = scene
        .growth(async {
            for (name, mail, start) in bombs {
                let mut device = scene.device([127, 0, 0, 1]).await;
                let reply = hand_in(&mut device, mail).await;
                assert!(reply.starts_with(start), "{name}, {} octets: {reply}", mail.len());
                scene.site.drained(&scene.sandbox).await;
            }
        })
        .await;
    expected.resize(1 + bombs.iter().filter(|(_, _, start)| start.starts_with("250")).count(), &["d@else.test"]);
    scene.after(&expected).await;
    assert!(grown < MODEST, "{grown}");
}

async fn hand_in(device: &mut Device, mail: &[u8]) -> String {
    device.ask("MAIL FROM:<a@b.c>", "250").await;
    device.ask("RCPT TO:<d@else.test>", "250").await;
    device.ask("DATA", "354").await;
    device.write(mail).await;
    // LF.CRLF would end nothing.
    device.write(if mail.ends_with(b"\r\n") { b".\r\n" } else { b"\r\n.\r\n" }).await;
    device.reply().await.expect("the session goes on")
}

const TAKEN: &str = "250 2.0.0 queued";
const MIXED: &str = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b0\"\r\n\r\n";
const EIGHT_BIT: &str = "Content-Transfer-Encoding: 8bit\r\n";

#[tokio::test]
async fn a_068_headers_have_an_end() {
    let scene = scene("headers").await;
    let with = |head: String| format!("{head}Subject: x\r\n\r\nbody\r\n").into_bytes();
    let line = |octets: usize| "x".repeat(octets);
    let bombs = [
        ("10 MB of fields", with(format!("X-A: {}\r\n", line(900)).repeat(11_000)), "552 5.3.4"),
        (
            "10 MB of few fields",
            with(format!("X-A: {}\r\n", format!("{}\r\n ", line(900)).repeat(20)).repeat(550)),
            "55",
        ),
        ("a field of 5 MB", with(format!("X-A: {}\r\n", line(5_000_000))), "552 5.3.4"),
        ("100,000 fields", with("A: b\r\n".repeat(100_000)), "554 5.6.0"),
        ("1,000 fields", with("A: b\r\n".repeat(900)), TAKEN),
        ("a name of 100 KB", with(format!("{}: b\r\n", line(100_000))), TAKEN),
        ("50,000 folds", with(format!("A: b\r\n{}", " c\r\n".repeat(50_000))), TAKEN),
        ("80,000 folds", with(format!("A: b\r\n{}", " c\r\n".repeat(80_000))), "552 5.3.4"),
        ("blank folds", with(format!("A: b\r\n{}", " \r\n".repeat(60_000))), TAKEN),
        ("no field ends", format!("Subject: {}", line(200_000)).into_bytes(), TAKEN),
    ];
    explode(&scene, &bombs).await;
}

#[tokio::test]
async fn a_069_a_million_parts_are_no_tree() {
    let scene = scene("parts").await;
    let parts = |part: &str, count: usize| format!("{MIXED}{}", part.repeat(count)).into_bytes();
    let bombs = [
        ("a million, as broken as they are sent", parts("--b0\nx:y\n\n", 1_000_000), TAKEN),
        ("empty ones", parts("--b0\r\n", 500_000), TAKEN),
        ("each of them to be mended", parts("--b0\r\nContent-Type: text/plain\r\n\r\n\u{9a7f}\r\n", 20_000), TAKEN),
        ("delimiters that are none", parts("--b\r\n--b00\r\n--\r\n", 200_000), TAKEN),
    ];
    explode(&scene, &bombs).await;
}

/// So many levels of multipart, each with its own boundary, and text in the innermost.
fn nested(levels: usize, fields: &str, text: &str) -> Vec<u8> {
    let mut mail = MIXED.to_owned();
    for level in 0..levels {
        write!(mail, "--b{level}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n{fields}\r\n", level + 1).unwrap();
    }
    write!(mail, "--b{levels}\r\n\r\n{text}\r\n").unwrap();
    mail.into_bytes()
}

#[tokio::test]
async fn a_070_depth_costs_no_stack() {
    let scene = scene("depth").await;
    let letters = |levels: usize, fields: &str| {
        let one = format!("{fields}Content-Type: message/rfc822\r\n\r\n");
        format!("Subject: x\r\nMIME-Version: 1.0\r\n{}Subject: y\r\n\r\n\u{9a7f}\r\n", one.repeat(levels)).into_bytes()
    };
    let same = format!("{MIXED}{}", "--b0\r\nContent-Type: multipart/mixed; boundary=b0\r\n\r\n".repeat(50_000));
    let bombs = [
        ("multiparts", nested(100_000, "", "text"), TAKEN),
        ("multiparts around a line to be mended", nested(90, "", &"word ".repeat(1000)), TAKEN),
        ("multiparts of 8 bits", nested(50_000, EIGHT_BIT, "\u{9a7f}"), TAKEN),
        ("messages", letters(100_000, ""), TAKEN),
        ("messages of 8 bits", letters(50_000, EIGHT_BIT), TAKEN),
        ("one boundary", same.into_bytes(), TAKEN),
    ];
    explode(&scene, &bombs).await;
}

/// The second time that a body is taken apart: for a server without 8BITMIME, as the mail leaves.
#[tokio::test]
async fn a_070_depth_costs_no_stack_on_the_way_out() {
    let scene = scene("seven").await;
    let old = What::Reply(b"250-old\r\n250-PIPELINING\r\n250-SIZE 90000000\r\n250 AUTH LOGIN PLAIN\r\n".to_vec());
    scene.sandbox.fault(Fault { at: Stage::Idle, what: What::Close, times: 1 });
    scene.sandbox.fault(Fault { at: Stage::Ehlo, what: old, times: 1000 });
    let bombs = [
        ("multiparts", nested(90, EIGHT_BIT, "\u{9a7f}"), TAKEN),
        (
            "parts",
            format!("{MIXED}{}", format!("--b0\r\n{EIGHT_BIT}\r\n\u{9a7f}\r\n").repeat(9_000)).into_bytes(),
            TAKEN,
        ),
    ];
    explode(&scene, &bombs).await;
    assert!(scene.sandbox.received().iter().all(|one| one.data.is_ascii()));
}

#[tokio::test]
async fn a_071_comments_groups_and_lists_have_an_end() {
    let scene = scene("lists").await;
    let field = |name: &str, value: String| format!("{name}: {value}\r\nSubject: x\r\n\r\nbody\r\n").into_bytes();
    let addresses = |count: usize| (0..count).map(|n| format!("a{n}@b.cn,\r\n ")).collect::<String>() + "z@b.cn";
    let mut bombs = vec![
        ("From with a million comments", field("From", "(".repeat(1_000_000)), "552 5.3.4"),
        ("To with 100,000 addresses", field("To", addresses(100_000)), "552 5.3.4"),
    ];
    for name in ["From", "To", "Reply-To", "Content-Type"] {
        bombs.push(("open comments", field(name, "(".repeat(250_000)), TAKEN));
        bombs.push((
            "comments within comments",
            field(name, "(".repeat(100_000) + &")".repeat(100_000) + " a@b.cn"),
            TAKEN,
        ));
        bombs.push(("groups within groups", field(name, "a:".repeat(100_000)), TAKEN));
        bombs.push(("quotes", field(name, "\"".repeat(199_999)), TAKEN));
        bombs.push(("brackets", field(name, "<".repeat(200_000)), TAKEN));
        bombs.push(("addresses", field(name, addresses(15_000)), TAKEN));
        bombs.push(("parameters", field(name, "text/plain".to_owned() + &"; a=b".repeat(40_000)), TAKEN));
        bombs.push(("folds of one letter", field(name, "a\r\n ".repeat(50_000) + "a@b.cn"), TAKEN));
    }
    explode(&scene, &bombs).await;
}

#[tokio::test]
async fn a_072_a_hundred_thousand_blank_lines_are_a_loop() {
    let scene = scene("blank").await;
    let mail = "Subject: x\r\n\r\nbody\r\n";
    let bombs = ["\r\n", "\n", " \r\n", "\r\r\n"]
        .map(|blank| ("blank lines", format!("{}{mail}", blank.repeat(100_000)).into_bytes(), TAKEN));
    explode(&scene, &bombs).await;
    for one in &scene.sandbox.received()[1..] {
        let text = String::from_utf8_lossy(&one.data).into_owned();
        assert!(text.contains("\r\nSubject: x\r\n") && text.ends_with("\r\n\r\nbody\r\n"), "{text}");
    }
}

/// So many zeros, deflated (RFC 1951): one block with fixed codes, in which each 13 bits repeat 258 zeros.
fn deflated_zeros(repeats: usize) -> Vec<u8> {
    let (mut out, mut octet, mut used) = (Vec::new(), 0u8, 0);
    let mut put = |bits: &str| {
        for bit in bits.bytes() {
            octet |= (bit - b'0') << used;
            used += 1;
            if used == 8 {
                out.push(octet);
                (octet, used) = (0, 0);
            }
        }
    };
    // Last block, fixed codes; the octet 0; then length 258 at distance 1; the end, and bits to fill up with.
    put("110");
    put("00110000");
    for _ in 0..repeats {
        put("1100010100000");
    }
    put("0000000");
    put("0000000");
    out
}

#[tokio::test]
async fn a_078_what_is_packed_stays_packed() {
    let scene = scene("packed").await;
    // A megabyte that is 165 when somebody unpacks it, in the forms in which mail carries such things.
    let gzip = [b"\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice(), &deflated_zeros(640_000), &[0; 8]].concat();
    assert!(gzip.len() as u64 > MIB * 9 / 10, "{}", gzip.len());
    let mut wrapped = String::new();
    for line in base64_of(&gzip).as_bytes().chunks(76) {
        wrapped.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        wrapped.push_str("\r\n");
    }
    let part = |media: &str| {
        format!(
            "--b0\r\nContent-Type: {media}; name=\"a.zip\"\r\nContent-Encoding: gzip\r\nContent-Transfer-Encoding: base64\r\n\
             \r\n{wrapped}"
        )
    };
    let body = ["application/zip", "application/gzip", "text/plain"].map(part).concat() + "--b0--\r\n";
    let bombs = [
        ("in parts", format!("{MIXED}{body}").into_bytes(), TAKEN),
        (
            "alone",
            format!("Content-Encoding: gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n{wrapped}").into_bytes(),
            TAKEN,
        ),
    ];
    explode(&scene, &bombs).await;
    let received = scene.sandbox.received();
    assert!(received[1].data.ends_with(body.as_bytes()), "octet for octet");
    assert!(received[2].data.ends_with(format!("\r\n\r\n{wrapped}").as_bytes()), "octet for octet");
}

#[tokio::test]
async fn a_079_words_and_charsets_have_an_end() {
    let scene = scene("words").await;
    let mut bombs = vec![(
        "a word of 1 MB",
        format!("Subject: =?utf-8?B?{}?=\r\n\r\nx\r\n", "QUJD".repeat(260_000)).into_bytes(),
        "552 5.3.4",
    )];
    let words = [
        format!("=?utf-8?B?{}?=", "QUJD".repeat(50_000)),
        format!("=?iso-2022-jp?B?{}?=", base64(&"\x1b$B!!\x1b(B".repeat(15_000))),
        format!("=?utf-7?q?{}?=", "+ACc-".repeat(40_000)),
        format!("=?gb18030?q?{}?=", "=FF=84=31".repeat(20_000)),
        format!("=?utf-8?B?{}?=", "QU!JD*".repeat(30_000)),
        format!("=?utf-8?q?{}?=", "=0d=0a".repeat(30_000)),
        "=?utf-8?q?a?= ".repeat(14_000),
        "=?".repeat(100_000),
        format!("=?{}?q?a?=", "x".repeat(200_000)),
        "\u{9a7f}".repeat(60_000),
    ];
    for word in &words {
        for name in ["Subject", "From"] {
            bombs.push((name, format!("{name}: {word}\r\n\r\nx\r\n").into_bytes(), TAKEN));
        }
    }
    let part = |charset: &str, body: &[u8]| {
        [
            format!("Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n\r\n")
                .as_bytes(),
            body,
            b"\r\n",
        ]
        .concat()
    };
    // One octet of a hundred is none of base64, with lines and without any.
    let line = [b"QUJD".repeat(18).as_slice(), b"!*QUJD\r\n"].concat();
    bombs.push(("junk in base64", part("utf-8", &line.repeat(5000)), TAKEN));
    bombs.push((
        "junk in base64, one line",
        part("utf-8", &[b"QUJD".repeat(25).as_slice(), b"\xff"].concat().repeat(5000)),
        TAKEN,
    ));
    for (charset, octets) in [
        ("iso-2022-jp", b"\x1b$B!!\x1b(B".as_slice()),
        ("gb18030", b"\xff\x84\x31"),
        ("utf-7", b"+ACc-"),
        ("x-none", b"\xff"),
    ] {
        let head = format!("Content-Type: text/plain; charset={charset}\r\n\r\n");
        bombs.push((charset, [head.as_bytes(), &octets.repeat(300_000), b"\r\n"].concat(), TAKEN));
    }
    explode(&scene, &bombs).await;
}

fn base64_of(octets: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(octets)
}
