//! Every form of a PROXY header, read as a listener reads it: never an octet more than was asked for.

use super::*;

/// Reads from `wire` as it is asked to; gives the source and what was left unread. `None`: the wire ended before.
fn read(wire: &[u8]) -> Result<Option<(Source, &[u8])>, HeaderError> {
    let mut taken = 0;
    loop {
        match progress(&wire[..taken])? {
            Progress::Done(source) => return Ok(Some((source, &wire[taken..]))),
            Progress::Read(more) if taken + more > wire.len() => return Ok(None),
            Progress::Read(more) => taken += more,
        }
    }
}

fn v2(command: u8, family: u8, length: u16, octets: &[u8]) -> Vec<u8> {
    [&V2_SIGNATURE[..], &[command, family], &length.to_be_bytes(), octets].concat()
}

fn client(text: &str) -> Source {
    Source::Client(text.parse().unwrap())
}

#[test]
fn version_1_names_the_client_and_leaves_what_follows() {
    for (line, source) in [
        ("PROXY TCP4 192.168.1.20 10.0.0.1 56324 25\r\n", client("192.168.1.20")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", client("255.255.255.255")),
        ("PROXY TCP4 1.2.3.4 1.2.3.5 0 0\r\n", client("1.2.3.4")),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 56324 25\r\n", client("2001:db8::7")),
        ("PROXY TCP6 ::ffff:10.1.2.3 ::1 1 25\r\n", client("10.1.2.3")),
        ("PROXY TCP6 ::ffff:0a01:0203 ::1 1 25\r\n", client("10.1.2.3")),
        ("PROXY UNKNOWN\r\n", Source::Connection),
        ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Source::Connection),
        ("PROXY UNKNOWN what ever \x7f it is\r\n", Source::Connection),
    ] {
        for rest in ["", "EHLO x\r\n", "\x16\x03\x01", "PROXY TCP4 9.9.9.9 9.9.9.9 1 1\r\n"] {
            let wire = format!("{line}{rest}");
            assert_eq!(read(wire.as_bytes()), Ok(Some((source, rest.as_bytes()))), "{wire:?}");
        }
        for cut in 0..line.len() {
            assert_eq!(read(&line.as_bytes()[..cut]), Ok(None), "{cut} of {line:?}");
        }
    }
}

#[test]
fn version_1_is_refused_in_every_malformed_form() {
    use HeaderError::{Address, Fields, LineEnd, NoHeader, Port, Protocol, TooLong};
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_CAP));
    let exact = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_CAP - 16));
    assert_eq!(exact.len(), V1_CAP);
    assert!(read(exact.as_bytes()).unwrap().is_some());
    for (line, error) in [
        ("EHLO device.lan\r\n", NoHeader),
        ("proxy TCP4 1.2.3.4 1.2.3.5 1 2\r\n", NoHeader),
        ("PROXY\tTCP4 1.2.3.4 1.2.3.5 1 2\r\n", NoHeader),
        (" PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\n", NoHeader),
        ("GET / HTTP/1.1\r\n", NoHeader),
        ("\x16\x03\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b", NoHeader),
        ("PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n", LineEnd),
        ("PROXY TCP4 1.2.3.4 1.2.3.5\r 1 2\r\n", LineEnd),
        ("PROXY UNK\n1234567\r\n", LineEnd),
        ("PROXY TCP 1.2.3.4 1.2.3.5 1 2\r\n", Protocol),
        ("PROXY tcp4 1.2.3.4 1.2.3.5 1 2\r\n", Protocol),
        ("PROXY UDP4 1.2.3.4 1.2.3.5 1 2\r\n", Protocol),
        ("PROXY  TCP4 1.2.3.4 1.2.3.5 1 2\r\n", Protocol),
        ("PROXY UNKNOWN1.2.3.4\r\n", Protocol),
        ("PROXY TCP4 1.2.3.4\r\n", Fields),
        ("PROXY TCP4 1.2.3.4 1.2.3.5 1\r\n", Fields),
        ("PROXY TCP4 1.2.3.4 1.2.3.5 1 2 3\r\n", Fields),
        ("PROXY TCP4 1.2.3.4 1.2.3.5 1 2 \r\n", Fields),
        ("PROXY TCP4 1.2.3.4  1.2.3.5 1 2\r\n", Fields),
        ("PROXY TCP4 1.2.3 1.2.3.5 1 2\r\n", Address),
        ("PROXY TCP4 1.2.3.256 1.2.3.5 1 2\r\n", Address),
        ("PROXY TCP4 01.2.3.4 1.2.3.5 1 2\r\n", Address),
        ("PROXY TCP4 0x1.2.3.4 1.2.3.5 1 2\r\n", Address),
        ("PROXY TCP4 1.2.3.4 nowhere 1 2\r\n", Address),
        ("PROXY TCP4 ::1 ::2 1 2\r\n", Address),
        ("PROXY TCP6 1.2.3.4 1.2.3.5 1 2\r\n", Address),
        ("PROXY TCP6 [::1] ::2 1 2\r\n", Address),
        ("PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n", Address),
        ("PROXY TCP6 ::1::2 ::2 1 2\r\n", Address),
        ("PROXY TCP4 1.2.3.4 1.2.3.5 65536 2\r\n", Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.5 -1 2\r\n", Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.5 +1 2\r\n", Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.5 01 2\r\n", Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.5 1 x\r\n", Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.5  2\r\n", Port),
        (long.as_str(), TooLong),
    ] {
        assert_eq!(read(line.as_bytes()), Err(error), "{line:?}");
    }
    assert_eq!(read(b"PROXY TCP4 1.2.3.4 \xff 1 2\r\n"), Err(Fields));
    // A caller that reads more than it was asked to is told so, instead of losing what follows.
    assert_eq!(progress(b"PROXY UNKNOWN\r\nEHLO x\r\n"), Err(LineEnd));
}

#[test]
fn version_2_names_the_client_and_leaves_what_follows() {
    let v4 = [192, 168, 1, 20, 10, 0, 0, 1, 0xdc, 4, 0, 25];
    let mapped = [&[0; 10][..], &[0xff; 2], &[10, 1, 2, 3], &[0; 20]].concat();
    let mut v6 = [0; 36];
    v6[..2].copy_from_slice(&[0x20, 0x01]);
    let tlv = [&v4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
    let most = [&v4[..], &[0; V2_CAP - V2_FIXED - 12]].concat();
    for (header, source) in [
        (v2(0x21, 0x11, 12, &v4), client("192.168.1.20")),
        (v2(0x21, 0x11, 18, &tlv), client("192.168.1.20")),
        (v2(0x21, 0x11, 520, &most), client("192.168.1.20")),
        (v2(0x21, 0x21, 36, &v6), client("2001::")),
        (v2(0x21, 0x21, 36, &mapped), client("10.1.2.3")),
        (v2(0x20, 0x00, 0, &[]), Source::Connection),
        (v2(0x20, 0x11, 12, &v4), Source::Connection),
        (v2(0x20, 0xff, 3, &[1, 2, 3]), Source::Connection),
        (v2(0x21, 0x00, 0, &[]), Source::Connection),
        (v2(0x21, 0x00, 5, &[9; 5]), Source::Connection),
    ] {
        for rest in [&b""[..], b"EHLO x\r\n", &V2_SIGNATURE] {
            let wire = [&header[..], rest].concat();
            assert_eq!(read(&wire), Ok(Some((source, rest))), "{wire:?}");
        }
        for cut in 0..header.len() {
            assert_eq!(read(&header[..cut]), Ok(None), "{cut} of {header:?}");
        }
    }
}

#[test]
fn version_2_is_refused_in_every_malformed_form() {
    use HeaderError::{Command, NoHeader, Protocol, TooLong, TooShort, Version};
    let octets = [7; 600];
    for (header, error) in [
        (v2(0x11, 0x11, 12, &octets), Version),
        (v2(0x01, 0x11, 12, &octets), Version),
        (v2(0xf1, 0x11, 12, &octets), Version),
        (v2(0x22, 0x11, 12, &octets), Command),
        (v2(0x2f, 0x11, 12, &octets), Command),
        (v2(0x21, 0x12, 12, &octets), Protocol),
        (v2(0x21, 0x10, 12, &octets), Protocol),
        (v2(0x21, 0x22, 36, &octets), Protocol),
        (v2(0x21, 0x31, 216, &octets), Protocol),
        (v2(0x21, 0x32, 216, &octets), Protocol),
        (v2(0x21, 0x41, 216, &octets), Protocol),
        (v2(0x21, 0x13, 12, &octets), Protocol),
        (v2(0x21, 0x11, 0, &octets), TooShort),
        (v2(0x21, 0x11, 11, &octets), TooShort),
        (v2(0x21, 0x21, 35, &octets), TooShort),
        (v2(0x21, 0x21, 12, &octets), TooShort),
        (v2(0x21, 0x11, 521, &octets), TooLong),
        (v2(0x20, 0x00, u16::MAX, &octets), TooLong),
    ] {
        assert_eq!(read(&header), Err(error), "{:?}", &header[..V2_FIXED]);
    }
    let mut broken = v2(0x21, 0x11, 12, &octets);
    broken[5] = b'\n';
    assert_eq!(read(&broken), Err(NoHeader));
}
