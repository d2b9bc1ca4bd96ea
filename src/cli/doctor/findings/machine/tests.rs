//! What the findings about the machine must be, case by case.

use super::*;
use crate::cli::finding::State;

fn good() -> Folder {
    Folder { path: "/data".into(), exists: true, problem: None, foreign: None, free: Some(1 << 40), wanted: 1 << 20 }
}

#[test]
fn a_folder_is_good_or_says_what_to_do() {
    assert_eq!(folder(&good()).state, State::Ok);
    let missing = Folder { exists: false, ..good() };
    assert!(folder(&missing).what.en.contains("yizhan run"));
    let foreign = Folder { foreign: Some(990), ..good() };
    assert!(folder(&foreign).what.en.contains("user 990"));
    let broken = folder(&Folder { problem: Some("Permission denied".into()), ..good() });
    assert_eq!((broken.state, broken.cause.unwrap().en.as_str()), (State::Fail, "Permission denied"));
    assert!(broken.remedy.unwrap().zh.contains("chown"));
}

#[test]
fn a_disk_is_full_before_it_is_full() {
    let with = |free: u64| disk(&Folder { free: Some(free), wanted: 200 << 20, ..good() }).state;
    assert_eq!(with(199 << 20), State::Fail);
    assert_eq!(with(201 << 20), State::Warn);
    assert_eq!(with(400 << 20), State::Ok);
    assert_eq!(disk(&Folder { free: None, ..good() }).state, State::Skip);
}

#[test]
fn every_door_has_its_sentence() {
    let addr: SocketAddr = "127.0.0.1:25".parse().unwrap();
    let judge = |runs: bool, door: Door| port("local", addr, runs, &door);
    assert_eq!(judge(true, Door::Ours).state, State::Ok);
    assert_eq!(judge(false, Door::Free).state, State::Ok);
    for (runs, door, word) in [
        (false, Door::Ours, "--data-dir"),
        (true, Door::Free, "restart"),
        (false, Door::Forbidden, "ip_unprivileged_port_start=25"),
        (false, Door::NoAddress, "listener.local.bind"),
        (false, Door::Odd("boom".into()), "listener.local.bind"),
        (false, Door::Taken { banner: None, owner: None }, "sport = :25"),
    ] {
        let finding = judge(runs, door.clone());
        assert_eq!(finding.state, State::Fail, "{door:?}");
        assert!(finding.remedy.unwrap().en.contains(word), "{door:?}");
    }
    let taken = Door::Taken { banner: Some("220 old ESMTP Exim".into()), owner: Some((7, "exim4".into())) };
    let cause = judge(true, taken).cause.unwrap();
    assert_eq!(cause.en, "process 7 (exim4) listens there; it says: 220 old ESMTP Exim");
    assert!(cause.zh.contains("进程 7（exim4）"));
}

#[test]
fn one_gateway_for_everybody_is_noticed() {
    let from = |text: &str| text.parse::<IpAddr>().unwrap();
    let (bridge, gateway, device) = (from("172.18.0.1"), from("192.168.1.1"), from("192.168.1.20"));
    assert_eq!(clients(&[bridge; 5], &[]).state, State::Warn);
    assert_eq!(clients(&[gateway; 9], &[gateway]).state, State::Warn);
    assert_eq!(clients(&[gateway; 9], &[]).state, State::Ok);
    assert_eq!(clients(&[from("127.0.0.1"); 9], &[gateway]).state, State::Ok);
    assert_eq!(clients(&[bridge, bridge, bridge, bridge, device], &[]).state, State::Ok);
    assert_eq!(clients(&[bridge; 4], &[]).state, State::Skip);
    assert_eq!(clients(&[], &[]).state, State::Skip);
}

#[test]
fn a_clock_of_1970_is_wrong() {
    assert_eq!(clock(Timestamp::from_millis(0)).state, State::Fail);
    assert_eq!(clock(EARLIEST).state, State::Ok);
}
