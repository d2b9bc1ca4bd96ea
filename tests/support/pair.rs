//! A second account, and clients that are told apart: what the tests of several accounts add to an [`Office`].
//!
//! Not here: a second provider. Both mailboxes are at the one sandbox, which knows a mailbox from the moment its code is
//! set. Invariant: the code of an account is in a file of the office's folder, so that a test can change it.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use yizhan::clock::Timestamp;
use yizhan::config::{self, Settings};
use yizhan::intake::Client;
use yizhan::mail::{Address, Id, Lane};
use yizhan::message::Level;
use yizhan::route::Rule;
use yizhan::sandbox::Received;
use yizhan::secret::{Secret, SecretSource};

use super::office::{Device, Office};

/// The other mailbox.
pub const SPARE: &str = "20000@qq.com";
/// Its authorization code.
pub const SPARE_CODE: &str = "sparesparesparee";

/// Adds `account.NAME` for the mailbox `user`: the first account's place and budget, a secret file of its own.
pub fn add_account<'a>(settings: &'a mut Settings, name: &str, user: &str, code: &str) -> &'a mut config::Account {
    let file = code_file(settings, name);
    std::fs::write(&file, code).expect("the folder is ours");
    let mut account = settings.accounts[0].clone();
    account.name = name.to_owned();
    account.user = user.to_owned();
    account.address = Address::parse(user).expect("a mailbox");
    account.secret = Some(SecretSource::File(file));
    settings.accounts.push(account);
    settings.accounts.last_mut().expect("it was just pushed")
}

/// The file with the code of an account that [`add_account`] made.
pub fn code_file(settings: &Settings, name: &str) -> PathBuf {
    settings.queue.data_dir.parent().expect("the data is in the folder").join(format!("{name}.code"))
}

/// Opens the mailbox [`SPARE`] at the provider.
pub fn open_spare(office: &Office) {
    office.sandbox.set_secret(SPARE, Secret::new(SPARE_CODE));
}

/// What is known of everybody in `127.0.NUMBER.0/24`.
pub fn client(name: &str, number: u8, lane: Lane) -> Client {
    Client {
        name: name.to_owned(),
        from: vec![format!("127.0.{number}.0/24").parse().expect("a network")],
        display: None,
        charset: None,
        reply_to: None,
        subject_prefix: None,
        drop_cron_env: false,
        level: Level::Full,
        profile: None,
        idle: None,
        lane,
        senders: Vec::new(),
        null_sender: true,
        recipients: Vec::new(),
    }
}

/// A route that leads to these accounts, for everybody.
pub fn route(accounts: &[&str]) -> Rule {
    Rule { accounts: accounts.iter().map(|name| (*name).to_owned()).collect(), ..Rule::default() }
}

/// A device of the client with this number, which has said EHLO.
pub async fn device(office: &Office, number: u8) -> Device {
    let mut device = Device::dial_from(Ipv4Addr::new(127, 0, number, 1).into(), office.door()).await;
    device.expect("220").await;
    device.ask("EHLO device.lan", "250").await;
    device
}

/// Hands in `count` mails over one connection, with the subjects `WORD 0`, `WORD 1` ...
pub async fn burst(office: &Office, number: u8, word: &str, count: usize) -> Vec<Id> {
    let mut device = device(office, number).await;
    let mut ids = Vec::new();
    for n in 0..count {
        let mail = format!("From: device@corp.lan\r\nSubject: {word} {n}\r\n\r\nbody\r\n");
        ids.push(device.send("device@lan.local", &["boss@else.test"], mail.as_bytes()).await);
    }
    ids
}

/// How many of these arrived before `end`.
pub fn before(received: &[Received], end: Timestamp) -> usize {
    received.iter().filter(|one| one.at < end).count()
}
