//! messages that begin oddly, have nothing in them, have endless lines, or NUL.

use mail_parser::MessageParser;

use super::{HEAD, LENIENT, PROFILES, office, relayed, relayed_body};
use crate::support::branch::body;
use yizhan::sandbox::Received;
use yizhan::smtp::server::Profile;

const CRLF: &str = "\r\n";

/// The text of the first part, after decoding, with LF.
fn text(one: &Received) -> String {
    let mail = MessageParser::default().parse(&one.data[..]).expect("it is a mail");
    mail.body_text(0).expect("there is text").replace(CRLF, "\n")
}

/// The octets of the first attachment, after decoding.
fn attached(one: &Received) -> Vec<u8> {
    let mail = MessageParser::default().parse(&one.data[..]).expect("it is a mail");
    mail.attachments().next().expect("there is an attachment").contents().to_vec()
}

/// Fields that every mail has when it leaves, each once.
fn has_a_header(one: &Received) {
    for name in ["Date", "Message-ID", "From", "To", "MIME-Version"] {
        assert!(one.field(name).is_some_and(|value| !value.is_empty()), "{name}: {}", one.data.escape_ascii());
    }
}

#[tokio::test]
async fn q_086_a_separator_of_a_mailbox_file_is_no_field() {
    for profile in PROFILES {
        let office = office("mbox", profile).await;
        for line in ["From root Fri Nov 20 09:30:00 2026", ">From root Fri Nov 20 09:30:00 2026"] {
            let data = format!("{line}\r\n{HEAD}From here on it is body.\r\n>From here, too.\r\n.\r\n");
            let one = relayed(&office, CRLF, data.as_bytes()).await;
            assert_eq!(one.subject(), "scan");
            assert_eq!(text(&one), "From here on it is body.\n>From here, too.\n");
            assert!(!String::from_utf8_lossy(&one.data).contains("09:30:00 2026"), "{}", one.data.escape_ascii());
            has_a_header(&one);
        }
    }
}

#[tokio::test]
async fn q_087_without_a_header_everything_is_body() {
    let no_blank = "From: printer@lan.local\r\nSubject: scan\r\nthis line is no field\r\nSubject: text\r\n";
    let cases = [
        ("hello\r\n", "", "hello\n"),
        ("UPS on battery, 12 minutes left\r\nTime: 12:00\r\n", "", "UPS on battery, 12 minutes left\nTime: 12:00\n"),
        ("\r\n\r\n\r\nSubject: scan\r\n\r\nbody\r\n", "scan", "body\n"),
        (no_blank, "scan", "this line is no field\nSubject: text\n"),
        ("Subject: scan\r\n\r\n", "scan", ""),
        ("Subject: scan\r\n", "scan", ""),
    ];
    for profile in PROFILES {
        let office = office("headless", profile).await;
        for (data, subject, wanted) in cases {
            let one = relayed(&office, CRLF, format!("{data}.\r\n").as_bytes()).await;
            assert_eq!((one.subject().as_str(), text(&one).as_str()), (subject, wanted), "{data:?}");
            has_a_header(&one);
        }
        // A great many blank lines cost neither stack nor time.
        let data = format!("{}Subject: scan\r\n\r\nbody\r\n.\r\n", "\r\n".repeat(20_000));
        assert_eq!(relayed(&office, CRLF, data.as_bytes()).await.subject(), "scan");
    }
}

#[tokio::test]
async fn q_088_an_empty_message_is_a_message() {
    for profile in PROFILES {
        let office = office("empty", profile).await;
        for data in [".\r\n", "\r\n.\r\n"] {
            let one = relayed(&office, CRLF, data.as_bytes()).await;
            has_a_header(&one);
            assert_eq!(body(&one.data), b"", "{data:?}");
        }
        if profile == Profile::Legacy {
            has_a_header(&relayed(&office, "\n", b".\n").await);
            has_a_header(&relayed(&office, "\n", b"\n.\n").await);
        }
    }
}

#[tokio::test]
async fn q_089_lines_of_any_length_arrive_with_all_their_text() {
    let html = format!("<p>{}</p>\n", "all work and no play = ".repeat(400));
    let binary: Vec<u8> = (0..60_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let encoded = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&binary)
    };
    let to: Vec<String> = (0..300).map(|n| format!("reader{n:03}@else.test")).collect();
    for profile in PROFILES {
        let office = office("long", profile).await;
        let data = format!("{}Content-Type: text/html; charset=utf-8\r\n\r\n{html}.\r\n", &HEAD[..HEAD.len() - 2]);
        let one = relayed(&office, CRLF, data.replace("</p>\n", "</p>\r\n").as_bytes()).await;
        let mail = MessageParser::default().parse(&one.data[..]).expect("it is a mail");
        assert_eq!(mail.body_html(0).expect("there is HTML").replace(CRLF, "\n"), html);

        let data = format!(
            "{}MIME-Version: 1.0\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n.\r\n",
            &HEAD[..HEAD.len() - 2]
        );
        let one = relayed(&office, CRLF, data.as_bytes()).await;
        assert_eq!(attached(&one), binary);
        assert!(body(&one.data).split(|&octet| octet == b'\n').all(|line| line.len() <= 77));

        let data = format!("To: {}\r\nSubject: {}\r\n\r\nbody\r\n.\r\n", to.join(","), "word ".repeat(1000));
        let one = relayed(&office, CRLF, data.as_bytes()).await;
        assert_eq!(one.subject().split_whitespace().count(), 1000);
        let mail = MessageParser::default().parse(&one.data[..]).expect("it is a mail");
        assert_eq!(mail.to().expect("it has a To").iter().count(), to.len());
        assert_eq!(text(&one), "body\n");
    }
}

/// One line of three megabytes, in pieces that end anywhere.
#[tokio::test]
async fn q_089_a_line_of_megabytes_is_no_line_to_wait_for() {
    let office = office("endless", Profile::Tolerant).await;
    let line: String = (0..300_000).map(|n| format!("{n:09} ")).collect();
    let one = relayed(&office, CRLF, format!("{HEAD}{line}\r\nend\r\n.\r\n").as_bytes()).await;
    assert_eq!(text(&one), format!("{line}\nend\n"));
}

#[tokio::test]
async fn q_090_nul_cuts_nothing_short() {
    let utf16: Vec<u8> = "scan 完成\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for profile in LENIENT {
        let office = office("nul", profile).await;
        // In a field it is taken out; the last octet before the end does not hide the end.
        let data = [b"Subject: sc\0an\r\nX-\0Odd: a\0b\r\n\r\nbefore\0after\0\r\n.\r\n".as_slice()].concat();
        let one = relayed(&office, CRLF, &data).await;
        assert_eq!((one.subject().as_str(), one.field("X-Odd").as_deref()), ("scan", Some("ab")));
        assert_eq!(text(&one), "before\0after\0\n");
        // UTF-16 in a part of its own: its octets, but for what looks like line ends to everybody.
        let head = &HEAD[..HEAD.len() - 2];
        let part =
            b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n\r\n";
        let data = [head.as_bytes(), part, &utf16, b"\r\n.\r\n"].concat();
        let one = relayed(&office, CRLF, &data).await;
        assert_eq!(one.field("Content-Transfer-Encoding").as_deref(), Some("base64"));
        let got = attached(&one);
        let wanted = [&utf16.escape_ascii().to_string().replace("\\n", "\\r\\n"), "\\r\\n"].concat();
        assert_eq!(got.escape_ascii().to_string(), wanted);
    }
    // It is no bare line end, so strict takes it as well.
    let office = office("nul-strict", Profile::Strict).await;
    let one = relayed_body(&office, CRLF, &[HEAD.as_bytes(), b"\0\0\0\r\n\0\r\n.\r\n"].concat()).await;
    assert_eq!(one, "AAAADQoADQo=\\r\\n");
}
