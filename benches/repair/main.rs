//! What repair costs: `cargo bench --bench repair`.
//!
//! Four mails go through the whole of `message` in chunks of 64 KiB, as they would come from a socket: a plain mail of 4
//! KiB, the same with everything wrong, a scan of 5 MiB that is right, and one in a single line. Each is timed many
//! times; the median counts. Goals: the plain mail within 20 microseconds, the good scan at 500 MB/s or more.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::time::Instant;

use yizhan::mail::{Address, Id, ReversePath};
use yizhan::message::{self, BodyRewriter, ClientProfile, Facts, FirstPass};

/// What a connection hands over at a time.
const CHUNK: usize = 64 * 1024;

/// One mail through both passes and the header repair; how many octets came out.
fn whole(mail: &[u8], buffers: &mut [Vec<u8>; 2]) -> usize {
    let [buffer, second] = buffers;
    let client = ClientProfile::default();
    let mut first = FirstPass::new(&client.demand());
    let (mut out, mut stored) = (0, Vec::new());
    for chunk in mail.chunks(CHUNK) {
        buffer.clear();
        first.push(chunk, buffer).expect("the header is small");
        out += buffer.len();
        stored.push(buffer.len());
    }
    buffer.clear();
    let examined = first.finish(buffer).expect("the header is small");
    if examined.plan.rewrites_body() {
        // The body again, as a file would give it; here it is the end of the mail.
        let body = memchr::memmem::find(mail, b"\r\n\r\n").map_or(mail, |at| &mail[at + 4..]);
        let mut rewriter = BodyRewriter::new(&examined.header, &examined.plan);
        out = 0;
        for chunk in body.chunks(CHUNK) {
            second.clear();
            rewriter.push(chunk, second);
            out += second.len();
        }
        second.clear();
        rewriter.finish(second);
        out += second.len();
    }
    let office = Address::parse("office@qq.com").expect("an address");
    let repaired = message::repair(
        examined.header,
        &Facts {
            date: "Sat, 21 Nov 2026 18:00:00 +0800",
            id: Id::parse("mi8golden0000001").expect("an id"),
            domain: "qq.com",
            fallback_from: &office,
            sender: &ReversePath::Address(office.clone()),
            recipients: std::slice::from_ref(&office),
            body: &examined.body,
            plan: &examined.plan,
            client: &client,
        },
    );
    out + repaired.head.len()
}

fn mails() -> Vec<(&'static str, Vec<u8>, usize)> {
    let head = "From: Scanner <scan@example.com>\r\nTo: boss@example.com\r\nSubject: Scan of today\r\nDate: Fri, 20 Nov 2026 \
                09:30:00 +0800\r\nMessage-ID: <1@office.lan>\r\nMIME-Version: 1.0\r\n";
    let text = "The scanner has finished all the pages; see below.\r\n".repeat(74);
    let plain = format!("{head}Content-Type: text/plain; charset=utf-8\r\n\r\n{text}");
    let mut bad = b"From: \xc9\xa8\xc3\xe8\xd2\xc7\nTo: boss\nSubject: \xc9\xa8\xc3\xe8\xb1\xa8\xb8\xe6\n\n".to_vec();
    bad.extend_from_slice(&"\u{6253}\u{5370}\u{673a}".repeat(430).into_bytes());
    let octets: Vec<u8> = (0..5u32 << 20)
        .map(|i| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[(i.wrapping_mul(2_654_435_761) >> 27) as usize])
        .collect();
    let scan = |width: usize| {
        let mut mail = format!(
            "{head}Content-Type: multipart/mixed; boundary=\"=_part\"\r\n\r\n--=_part\r\nContent-Type: text/plain\r\n\r\nscan\r\n\
             --=_part\r\nContent-Type: application/pdf; name=scan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        )
        .into_bytes();
        for line in octets.chunks(width) {
            mail.extend_from_slice(line);
            mail.extend_from_slice(b"\r\n");
        }
        mail.extend_from_slice(b"--=_part--\r\n");
        mail
    };
    vec![
        ("plain, 4 KiB", plain.into_bytes(), 20_000),
        ("everything wrong, 4 KiB", bad, 5_000),
        ("scan, 5 MiB, right", scan(76), 60),
        ("scan, 5 MiB, one line", scan(usize::MAX), 12),
    ]
}

fn main() {
    let mut buffers = [Vec::new(), Vec::new()];
    println!("{:26} {:>12} {:>12} {:>14}", "mail", "octets", "median", "MB/s");
    for (name, mail, runs) in mails() {
        let mut times: Vec<u64> = Vec::with_capacity(runs);
        for _ in 0..runs {
            let start = Instant::now();
            let out = whole(&mail, &mut buffers);
            times.push(start.elapsed().as_nanos() as u64);
            assert!(out > 0);
        }
        times.sort_unstable();
        let median = times[runs / 2].max(1);
        println!(
            "{name:26} {:>12} {:>9.1} us {:>14.0}",
            mail.len(),
            median as f64 / 1000.0,
            mail.len() as f64 * 1000.0 / median as f64
        );
    }
    let held: usize = buffers.iter().map(Vec::capacity).sum();
    println!("buffers at the end: {held} octets");
}
