//! `cargo bench --bench micro`: what single parts cost, without sockets and (but for the queue) without a disk.
//!
//! Each figure is the median of nine rounds of about 50 ms, after one round that is not counted. Not a test and not a
//! comparison: figures to find out what a change did, on one quiet machine.
//!
//! ```text
//! cargo bench --bench micro                  everything
//! cargo bench --bench micro -- queue sender  what has one of these words in its name
//! ```
#![allow(clippy::print_stdout, reason = "the figures are the product")]

mod queue;
mod reply;
mod round;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::BytesMut;
use round::{micros, time};
use yizhan::clock::Timestamp;
use yizhan::mail::{Address, IdSource, ReversePath};
use yizhan::message::header::Header;
use yizhan::message::received::{self, Trace};
use yizhan::message::{
    ClientProfile, Demand, Facts, FirstPass, FromPolicy, Normaliser, SenderRewrite, repair, rewrite_sender,
};
use yizhan::smtp::Reply;
use yizhan::smtp::data::{Piece, Unstuff};
use yizhan::smtp::server::{Session, SessionEvent, SessionSettings};

/// 20 November 2026, for everything that needs a time.
const NOW: Timestamp = Timestamp::from_millis(1_795_140_000_000);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let all: [(&str, fn()); 6] = [
        ("session: 4 KiB message on a kept connection", session),
        ("body: unstuff and normalise", body),
        ("repair: header of a device", repair_header),
        ("sender: header for the account", rewrite_header),
        ("reply: from text to verdict", reply::verdicts),
        ("queue: put, lease, settle", queue::cycles),
    ];
    for (name, run) in all {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            println!("{name}");
            run();
        }
    }
}

fn text(octets: usize) -> Vec<u8> {
    b"The quick brown fox jumps over the lazy dog and goes home again.\r\n"
        .iter()
        .copied()
        .cycle()
        .take(octets)
        .collect()
}

/// A header as old devices write it: no Date, no Message-ID, a sender without a domain, a raw GBK subject.
const BROKEN: &[u8] = b"From: printer\r\nTo: someone@example.test\r\nSubject: \xc9\xa8\xc3\xe8\xce\xc4\xbc\xfe\r\n\
    X-Mailer: ScanStation 3\r\nContent-Type: text/plain; charset=gb2312\r\n";

/// A header in which nothing is wrong.
const LEGAL: &[u8] = b"From: Printer <printer@device.test>\r\nTo: someone@example.test\r\nSubject: one page\r\n\
    Date: Fri, 20 Nov 2026 10:00:00 +0800\r\nMessage-ID: <bench@device.test>\r\nMIME-Version: 1.0\r\n";

fn session() {
    let mut wire = b"MAIL FROM:<printer@device.test>\r\nRCPT TO:<someone@example.test>\r\nDATA\r\n".to_vec();
    wire.extend_from_slice(LEGAL);
    wire.extend_from_slice(b"\r\n");
    wire.extend_from_slice(&text(4096 - 4096 % 66));
    wire.extend_from_slice(b".\r\n");
    let settings = Arc::new(SessionSettings { max_messages: u32::MAX, ..SessionSettings::relay("relay.bench.test") });
    let mut session = Session::new(settings);
    session.greet();
    let mut input = BytesMut::from(&b"EHLO device.test\r\n"[..]);
    let mut octets = 0;
    let once = time(|| {
        input.extend_from_slice(&wire);
        loop {
            match session.step(&mut input) {
                SessionEvent::More => break,
                SessionEvent::Mail { .. } => session.answer(Reply::new(250, "2.1.0 Sender OK")),
                SessionEvent::Rcpt(_) => session.answer(Reply::new(250, "2.1.5 Recipient OK")),
                SessionEvent::Data => session.answer(Reply::new(354, "End data with <CR><LF>.<CR><LF>")),
                SessionEvent::Chunk(chunk) => octets += black_box(chunk).len(),
                SessionEvent::End => session.answer(Reply::new(250, "2.0.0 queued")),
                event => panic!("{event:?} is not part of a good transaction"),
            }
        }
        session.output().clear();
    });
    assert!(octets > 4096, "the messages came through");
    println!("  {:8.2} us, {:.0} messages/s a core", micros(once), 1.0 / once.as_secs_f64());
}

fn body() {
    let mut wire = text(1 << 20);
    wire.truncate((1 << 20) - (1 << 20) % 66);
    let size = wire.len() as f64;
    wire.extend_from_slice(b".\r\n");
    let mut out = Vec::with_capacity(1 << 20);
    let once = time(|| {
        let mut unstuff = Unstuff::new(false);
        let mut lines = Normaliser::new();
        for piece in wire.chunks(16 * 1024) {
            let mut input = BytesMut::from(piece);
            loop {
                match unstuff.next(&mut input) {
                    Piece::More => break,
                    Piece::Text(text) => {
                        out.clear();
                        lines.push(&text, &mut out);
                    }
                    Piece::End => break,
                }
            }
        }
        black_box(lines.finish(&mut out));
    });
    println!("  {:8.0} MB/s", size / once.as_secs_f64() / 1e6);
}

fn repair_header() {
    let owner = Address::parse("box@peer.test").expect("it is one");
    let sender = ReversePath::parse("printer").unwrap_or(ReversePath::Null);
    let to = [Address::parse("someone@example.test").expect("it is one")];
    let ids = IdSource::new(1);
    for (name, head) in [("broken", BROKEN), ("legal", LEGAL)] {
        let whole = [head, b"\r\n", b"Hello.\r\n"].concat();
        let once = time(|| {
            let (mut first, mut out) = (FirstPass::new(&Demand::default()), Vec::new());
            first.push(&whole, &mut out).expect("it is small");
            let examined = first.finish(&mut out).expect("it is small");
            let (id, date) = (ids.next(NOW), NOW.rfc5322());
            let facts = Facts {
                date: &date,
                id,
                domain: owner.domain(),
                fallback_from: &owner,
                sender: &sender,
                recipients: &to,
                body: &examined.body,
                plan: &examined.plan,
                client: &ClientProfile::default(),
            };
            let repaired = repair(examined.header, &facts);
            let trace = Trace {
                helo: b"device.test",
                ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                host: "relay.bench.test",
                with: "ESMTP",
                id,
                date: &date,
            };
            black_box((received::field(&trace), repaired));
        });
        println!("  {:8.2} us, {name}, with its Received field", micros(once));
    }
}

fn rewrite_header() {
    let address = Address::parse("box@peer.test").expect("it is one");
    let how = SenderRewrite { address: &address, display: None, policy: FromPolicy::MustEqualLogin, keep_dkim: false };
    let once = time(|| drop(black_box(rewrite_sender(LEGAL, &how, &[]))));
    println!("  {:8.2} us", micros(once));
    let parse = time(|| drop(black_box(Header::parse(LEGAL))));
    println!("  {:8.2} us of it: parsing", micros(parse));
}
