//! The records: as an office with 200 devices leaves them in half a year, written straight into the tables.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use yizhan::clock::{Clock, Timestamp};
use yizhan::mail::Id;

const SPAN: Duration = Duration::from_secs(180 * 86_400);
/// Four of a hundred failed.
const FAILED: usize = 25;

const DEVICES: [&str; 6] = ["printer", "nas", "camera", "ups", "door", "backup"];
const ENGLISH: [&str; 24] = [
    "scan",
    "from",
    "invoice",
    "report",
    "daily",
    "weekly",
    "backup",
    "completed",
    "failed",
    "warning",
    "toner",
    "low",
    "motion",
    "detected",
    "battery",
    "order",
    "confirmation",
    "payment",
    "received",
    "shipment",
    "meeting",
    "reminder",
    "statement",
    "update",
];
const CHINESE: [&str; 10] = [
    "扫描件",
    "打印机缺纸",
    "备份完成",
    "订单确认",
    "付款通知",
    "会议提醒",
    "每日报告",
    "电池电量低",
    "检测到移动",
    "发票",
];

/// A number that depends on `seed`, below `most`.
pub(crate) fn pick(seed: usize, salt: u64, most: usize) -> usize {
    let mut x = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    ((x ^ (x >> 32)) % most as u64) as usize
}

/// The client of message `n`.
pub(crate) fn client(n: usize) -> String {
    let device = pick(n, 1, 200);
    format!("{}-{device}", DEVICES[device % DEVICES.len()])
}

/// The sender of message `n`.
pub(crate) fn sender(n: usize) -> String {
    format!("{}@office{}.example", client(n), pick(n, 1, 200) % 10)
}

/// A recipient of message `n`; the low ones get most.
pub(crate) fn recipient(n: usize, place: u64) -> String {
    let person = pick(n, 10 + place, 5_000).min(pick(n, 20 + place, 5_000));
    format!("person{person}@customer{}.example", person % 400)
}

/// The subject of message `n`: words and a number, in Chinese for a third.
pub(crate) fn subject(n: usize) -> String {
    let word = |salt| ENGLISH[pick(n, salt, ENGLISH.len())];
    match n % 3 {
        0 => format!("{}楼{} {n}", pick(n, 30, 30), CHINESE[pick(n, 31, CHINESE.len())]),
        1 => format!("{} {} {} no. {}", word(32), word(33), word(34), 100_000 + pick(n, 35, 900_000)),
        _ => format!("Re: {} {} of {}-{:02}", word(36), word(37), 2020 + pick(n, 38, 7), 1 + pick(n, 39, 12)),
    }
}

/// Makes a queue in `folder` with `number` records that no index has.
pub(crate) fn fill(folder: &Path, number: usize) {
    // The queue makes the tables.
    drop(super::open(folder));
    let mut conn = Connection::open(folder.join("queue.db")).expect("it is a database");
    let transaction = conn.transaction().expect("it is not in use");
    let now = Clock::system().now();
    {
        let mut message = transaction
            .prepare(
                "INSERT INTO message (seq, id, state, received, expires, finished, account, client, addr, listener, helo, \
                 sender, size, repairs, notice, pool, client_key, subject, message_id) \
                 VALUES (?1, ?2, ?3, ?4, ?4 + 432000000, ?4 + 3000, ?5, ?6, ?7, 'lan', ?6, ?8, 4000, '[\"date-added\"]', 0, \
                 ?5, ?7, ?9, ?10)",
            )
            .expect("the table is there");
        let mut recipient = transaction
            .prepare("INSERT INTO recipient VALUES (?1, ?2, ?3, ?4, ?5, '250 2.0.0 Ok: queued as 4F2C11A8')")
            .expect("the table is there");
        let mut new = transaction.prepare("INSERT INTO history_new VALUES (?1)").expect("the table is there");
        for n in 0..number {
            let received = now - SPAN + SPAN.mul_f64(n as f64 / number as f64);
            let seq = n as i64 + 1;
            row(&mut message, &mut recipient, n, seq, received);
            new.execute([seq]).expect("there is room");
        }
    }
    transaction.commit().expect("there is room");
}

fn row(
    message: &mut rusqlite::Statement<'_>,
    recipient: &mut rusqlite::Statement<'_>,
    n: usize,
    seq: i64,
    received: Timestamp,
) {
    let state = if n.is_multiple_of(FAILED) { "failed" } else { "delivered" };
    let account = format!("account{}", pick(n, 2, 4));
    let addr = format!("192.168.{}.{}", pick(n, 1, 200) / 100, pick(n, 1, 200) % 100 + 1);
    let id = Id::new(received, n as u64);
    message
        .execute(params![
            seq,
            id.as_str(),
            state,
            received.millis(),
            account,
            client(n),
            addr,
            sender(n),
            subject(n),
            format!("{n}.{}@{}.lan", received.millis(), client(n)),
        ])
        .expect("there is room");
    for place in 0..1 + i64::from(n.is_multiple_of(5)) {
        let address = self::recipient(n, place as u64);
        recipient.execute(params![seq, place, address, state, received.millis() + 3000]).expect("there is room");
    }
}
