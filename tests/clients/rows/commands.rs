//! how clients write MAIL, RCPT and the small commands, and what they put behind them.

use yizhan::smtp::server::Profile::Strict;

use super::{ALL, ANYBODY, BODY, CLOSED, Kept, LENIENT, LETTER, MAIL, NOTHING, Step};
use super::{door, heard_upstream, log_of, noted, play};
use crate::support::office::Device;
use crate::support::program::{field_of, files};

const HELLO: Step<'_> = (b"HELO x\r\n", &["250 door.test"]);
const DATA: Step<'_> = (b"DATA\r\n", &["354 "]);
const RSET: &[u8] = b"RSET\r\n";

/// In every profile messages with these senders and recipients, as they are written, go to these.
async fn mean(row: &str, written: &[(&str, &str, Kept<'_>)]) {
    let sent: Vec<String> = written.iter().map(|(mail, rcpt, _)| format!("{mail}\r\n{rcpt}\r\n")).collect();
    fn whole(sent: &String) -> [Step<'_>; 3] {
        [(sent.as_bytes(), &["250 2.1.0", "250 2.1.5"]), DATA, BODY]
    }
    let steps: Vec<Step<'_>> = [HELLO].into_iter().chain(sent.iter().flat_map(whole)).collect();
    let kept: Vec<Kept<'_>> = written.iter().map(|(_, _, kept)| *kept).collect();
    play(row, ALL, &steps, &kept).await;
}

/// Each line after a sender that was taken is answered so, in every profile; then a good message goes through.
async fn refused(row: &str, lines: &[(&str, &str)]) {
    let sent: String = lines.iter().map(|(line, _)| format!("{line}\r\n")).collect();
    let replies: Vec<&str> = lines.iter().map(|(_, reply)| *reply).collect();
    let begin: Step<'_> = (b"MAIL FROM:<a@b.c>\r\n", &["250 2.1.0"]);
    let end: Step<'_> = (b"RCPT TO:<d@e.f>\r\nDATA\r\n", &["250 2.1.5", "354 "]);
    play(row, ALL, &[HELLO, begin, (sent.as_bytes(), &replies), end, BODY], LETTER).await;
}

#[tokio::test]
async fn q_034_verbs_and_keywords_have_no_case() {
    let talk = b"ehlo [127.0.0.1]\r\nmail FROM:<a@b.c> size=33\r\nrcpt TO:<d@e.f>\r\ndata\r\n";
    let body: Step<'_> = (
        b"Subject: x\r\n\r\nbody\r\n.\r\nrset\r\nnoop\r\nquit\r\n",
        &["250 2.0.0 queued as ", "250 2.0.0", "250 2.0.0", "221", CLOSED],
    );
    play("q_034", ALL, &[(talk, &["250", "250 2.1.0", "250 2.1.5", "354 "]), body], LETTER).await;
    mean("q_034_mixed", &[("mAiL fRoM:<a@b.c>", "RcPt tO:<d@e.f>", LETTER[0])]).await;
}

#[tokio::test]
async fn q_035_mail_from_as_in_a_title() {
    mean("q_035", &[("Mail From: <a@b.c>", "Rcpt To: <d@e.f>", LETTER[0])]).await;
}

#[tokio::test]
async fn q_036_blanks_around_the_colon_mean_nothing() {
    mean(
        "q_036",
        &[
            ("MAIL FROM: <a@b.c>", "RCPT TO: <d@e.f> NOTIFY=FAILURE,DELAY", LETTER[0]),
            ("MAIL FROM: \t  <a@b.c> SIZE=7", "RCPT TO:\t<d@e.f>", LETTER[0]),
            ("MAIL FROM : <a@b.c>", "RCPT TO\t:<d@e.f>", LETTER[0]),
            ("MAIL  FROM:<a@b.c>", "RCPT \t TO:<d@e.f>", LETTER[0]),
        ],
    )
    .await;
}

#[tokio::test]
async fn q_037_a_mailbox_needs_no_angle_brackets() {
    let kept: Kept<'_> = ("craig@example.com", &["a@b.c"]);
    mean(
        "q_037",
        &[
            ("MAIL FROM: craig@example.com", "RCPT TO:a@b.c", ("craig@example.com", &["a@b.c"])),
            ("MAIL FROM:craig@example.com SIZE=20 BODY=7BIT", "RCPT TO: a@b.c NOTIFY=NEVER", kept),
        ],
    )
    .await;
}

#[tokio::test]
async fn q_038_what_is_written_wrongly_is_501_and_never_550() {
    refused(
        "q_038",
        &[
            ("RCPT", "501 5.5.4"),
            ("RCPT TO", "501 5.5.4"),
            ("RCPT TO:", "501 5.5.4"),
            ("RCPT TO d@e.f", "501 5.5.4"),
            ("RCPT TO:<d@e.f", "501 5.5.4"),
            ("RCPT FROM:<d@e.f>", "501 5.5.4"),
            ("RCPT TO:<d@e.f>x", "501 5.5.4"),
            ("DATA now", "501 5.5.4"),
            ("RSET", "250 2.0.0"),
            ("MAIL", "501 5.5.4"),
            ("MAIL FROM", "501 5.5.4"),
            ("MAIL <a@b.c>", "501 5.5.4"),
            ("MAIL TO:<a@b.c>", "501 5.5.4"),
            ("MAIL FROM:<a@b.c", "501 5.5.4"),
            ("MAIL FROM:<a@b.c>", "250 2.1.0"),
        ],
    )
    .await;
    // A path whose form is right and whose mailbox is none has a code of its own (RFC 5321 section 4.2.3).
    refused("q_038_mailbox", &[("RCPT TO:<d@>", "553 5.1.3"), ("RCPT TO:<d e@f>", "553 5.1.3")]).await;
}

#[tokio::test]
async fn q_039_the_innermost_address_counts() {
    let kept: Kept<'_> = ("dude@site.net", &["a@b.c"]);
    mean(
        "q_039",
        &[
            ("MAIL FROM:<the dude <dude@site.net>>", "RCPT TO:<\"name\" <a@b.c>>", kept),
            ("MAIL FROM:The Dude <dude@site.net>", "RCPT TO:\"<x@y.z>\" <a@b.c>", kept),
        ],
    )
    .await;
}

#[tokio::test]
async fn q_040_five_pairs_of_brackets_are_taken_off_and_not_six() {
    mean("q_040", &[("MAIL FROM:<<a@b.c>>", "RCPT TO:<<<<<d@e.f>>>>>", LETTER[0])]).await;
    refused(
        "q_040_six",
        &[
            ("RCPT TO:<<<<<<d@e.f>>>>>>", "501 5.5.4"),
            ("RCPT TO:<<d@e.f>", "501 5.5.4"),
            ("RCPT TO:<d@e.f>>", "501 5.5.4"),
        ],
    )
    .await;
}

#[tokio::test]
async fn q_041_one_pair_of_single_quotes_is_taken_off() {
    // One alone is a part of the name.
    mean(
        "q_041",
        &[
            ("MAIL FROM:<'a@b.c'>", "RCPT TO:<'user@domain.net'>", ("a@b.c", &["user@domain.net"])),
            ("MAIL FROM:<a@b.c>", "RCPT TO:<o'brien@domain.net>", ("a@b.c", &["o'brien@domain.net"])),
        ],
    )
    .await;
}

#[tokio::test]
async fn q_042_a_dot_at_the_end_goes_and_an_underscore_stays() {
    mean("q_042", &[("MAIL FROM:<a@b.com.>", "RCPT TO:<d@my_host.net.>", ("a@b.com", &["d@my_host.net"]))]).await;
    refused("q_042_two", &[("RCPT TO:<a@b.com..>", "553 5.1.3")]).await;
}

#[tokio::test]
async fn q_043_an_at_sign_alone_is_the_null_sender() {
    mean(
        "q_043",
        &[
            ("MAIL FROM: <@>", "RCPT TO:<d@e.f>", ("", &["d@e.f"])),
            ("MAIL FROM:<>", "RCPT TO:<d@e.f>", ("", &["d@e.f"])),
        ],
    )
    .await;
    refused("q_043_rcpt", &[("RCPT TO:<@>", "553 5.1.3"), ("RCPT TO:<>", "553 5.1.3")]).await;
}

#[tokio::test]
async fn q_044_nothing_behind_from_is_the_null_sender_but_in_a_strict_profile() {
    for (row, line) in [("q_044", b"MAIL FROM:\r\n".as_slice()), ("q_044_blank", b"MAIL FROM: \t\r\n")] {
        let rest: Step<'_> = (b"RCPT TO:<d@e.f>\r\nDATA\r\n", &["250 2.1.5", "354 "]);
        play(row, LENIENT, &[HELLO, (line, &["250 2.1.0"]), rest, BODY], &[("", &["d@e.f"])]).await;
        play(row, &[Strict], &[HELLO, (line, &["501 5.5.4"]), MAIL, BODY], LETTER).await;
    }
}

#[tokio::test]
async fn q_045_comments_are_dropped() {
    let kept: Kept<'_> = ("anne@example.com", &["d@e.f"]);
    mean(
        "q_045",
        &[
            ("MAIL FROM:<(comment)>", "RCPT TO:d(comment)@e.f", ("", &["d@e.f"])),
            ("MAIL FROM:anne(comment)@example.com", "RCPT TO:<d@e.f>", kept),
            ("MAIL FROM:<anne(a (b \\) c))@example.com>", "RCPT TO:<(x)d@e.f(y)>", kept),
        ],
    )
    .await;
    let deep = format!("RCPT TO:<{}d@e.f>", "(".repeat(1900));
    refused("q_045_open", &[("RCPT TO:<(d@e.f>", "501 5.5.4"), (&deep, "501 5.5.4")]).await;
}

#[tokio::test]
async fn q_046_ten_blank_lines_are_passed_over_but_in_a_strict_profile() {
    let ten: Step<'_> = (b"\r\n \r\n\t\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", &[]);
    play("q_046", LENIENT, &[HELLO, ten, MAIL, BODY], LETTER).await;
    let more: Step<'_> = (b"\r\n\r\n", &["500 5.5.2", "500 5.5.2"]);
    play("q_046_more", LENIENT, &[HELLO, ten, more, MAIL, BODY], LETTER).await;
    play("q_046_strict", &[Strict], &[HELLO, more, MAIL, BODY], LETTER).await;
    // They count with everything else that does nothing: 100 of it, and the connection ends.
    let idle = [b"NOOP\r\n".repeat(88), b"\r\n".repeat(10), b"NOOP\r\nNOOP\r\n".to_vec()].concat();
    let replies = [vec!["250"; 90], vec!["421 4.7.0 Too many errors", CLOSED]].concat();
    play("q_046_junk", LENIENT, &[HELLO, (&idle, &replies)], NOTHING).await;
}

#[tokio::test]
async fn q_047_blanks_at_the_end_mean_nothing() {
    let talk: Step<'_> = (
        b"EHLO h \r\nRSET \t\r\nMAIL FROM:<a@b.c> \t\r\nRCPT TO:<d@e.f> \r\nNOOP \r\nDATA \r\n",
        &["250", "250 2.0.0", "250 2.1.0", "250 2.1.5", "250 2.0.0", "354 "],
    );
    let seen = play("q_047", ALL, &[talk, BODY, (b"QUIT \r\n", &["221", CLOSED])], LETTER).await;
    assert!(seen.iter().all(|seen| seen.helo == "h"), "{seen:?}");
}

#[tokio::test]
async fn q_048_small_commands_with_something_behind_them() {
    let talk: Step<'_> = (
        b"NOOP ok\r\nRSET foo\r\nHELP mail\r\nVRFY <a@b.c>\r\nEXPN x\r\nETRN d\r\nTURN\r\n",
        &["250 2.0.0", "250 2.0.0", "214 ", "252 2.0.0", "502 5.5.1", "502 5.5.1", "502 5.5.1"],
    );
    let quit: Step<'_> = (b"QUIT oops\r\n", &["221", CLOSED]);
    play("q_048", ALL, &[HELLO, talk, MAIL, BODY, quit], LETTER).await;
}

#[tokio::test]
async fn q_049_auth_behind_mail_is_read_over_never_stored_and_never_sent() {
    let mails: [&[u8]; 5] = [
        b"MAIL FROM:<a@b.c> SIZE=23964289 AUTH=<>\r\n",
        b"MAIL FROM:a@b.c AUTH=<username-zq7>\r\n",
        b"MAIL FROM:<a@b.c> AUTH=x+0Ayzq7+3Dzq7\r\n",
        b"mail from:<a@b.c> auth=\r\n",
        b"MAIL FROM:<a@b.c> AUTH=<zq7@x.y> AUTH=+zq7\r\n",
    ];
    for &profile in ALL {
        let door = door(&format!("q_049_{profile:?}"), profile);
        let mut device = door.device(ANYBODY).await;
        for (n, mail) in mails.iter().enumerate() {
            device.write(mail).await;
            // The first one declares more than the door takes.
            let reply = if n == 0 { "552 5.3.4" } else { "250 2.1.0" };
            device.expect(reply).await;
            if n > 0 {
                device.ask("RCPT TO:<d@e.f>", "250").await;
                device.ask("DATA", "354").await;
                device.ask("Subject: x\r\n\r\nbody\r\n.", "250 2.0.0 queued as ").await;
            }
        }
        let queued = door.queued().await;
        assert!(queued.len() == 4 && queued.iter().all(|entry| entry.sender.to_string() == "a@b.c"), "{queued:?}");
        for file in files(door.folder.path()) {
            let octets = std::fs::read(&file).unwrap();
            assert!(!octets.windows(3).any(|three| three == b"zq7"), "{}", file.display());
        }
    }
    let steps: [Step<'_>; 4] = [
        (b"EHLO x\r\n", &["250"]),
        (b"MAIL FROM:<a@b.c> SIZE=20 AUTH=<zq7@x.y> BODY=8BITMIME\r\n", &["250 2.1.0"]),
        (b"RCPT TO:<d@e.f>\r\nDATA\r\n", &["250 2.1.5", "354 "]),
        BODY,
    ];
    let heard = heard_upstream("q_049", &steps).await;
    assert!(heard.iter().any(|line| line.starts_with("MAIL FROM:<10000@qq.com>")), "{heard:?}");
    assert!(!heard.iter().any(|line| line.contains("zq7")), "{heard:?}");
}

#[tokio::test]
async fn q_050_parameters_have_no_case_and_a_size_is_a_number() {
    let taken = [
        "MAIL FROM:<a@b.c> BODY=8BITMIME",
        "MAIL FROM:<a@b.c> BODY=8bitMIME size=33",
        "MAIL FROM:<a@b.c> SIZE=0",
        "MAIL FROM:<a@b.c> size=10485760 body=7bit",
    ];
    let sent: Vec<u8> = taken.iter().flat_map(|line| [line.as_bytes(), b"\r\n", RSET].concat()).collect();
    let replies = ["250 2.1.0", "250 2.0.0"].repeat(taken.len());
    play("q_050", ALL, &[HELLO, (&sent, &replies), MAIL, BODY], LETTER).await;
    let wrong = [
        ("10485761", "552 5.3.4"),
        ("18446744073709551615", "552 5.3.4"),
        ("18446744073709551616", "501 5.5.4"),
        ("-1", "501 5.5.4"),
        ("+1", "501 5.5.4"),
        ("1e3", "501 5.5.4"),
        ("0x10", "501 5.5.4"),
        ("", "501 5.5.4"),
    ];
    let sent: String = wrong.iter().map(|(size, _)| format!("MAIL FROM:<a@b.c> SIZE={size}\r\n")).collect();
    let replies: Vec<&str> = wrong.iter().map(|(_, reply)| *reply).collect();
    play("q_050_wrong", ALL, &[HELLO, (sent.as_bytes(), &replies), MAIL, BODY], LETTER).await;
}

/// Words of DSN (RFC 3461), right and wrong, and what is no word of ours at all.
const DSN: [&[u8]; 2] = [
    b"MAIL FROM:<a@b.c> RET=HDRS ENVID=zq7\r\nRCPT TO:<d@e.f> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;zq7@x.y\r\n",
    b"MAIL FROM:<a@b.c> RET=zq7 ENVID\r\nRCPT TO:<d@e.f> notify= NOTIFY=zq7=zq7 ORCPT\r\n",
];
const UNKNOWN: [&[u8]; 2] = [b"MAIL FROM:<a@b.c> ZQ7=1 MT-PRIORITY=3\r\n", b"RCPT TO:<d@e.f> ZQ7 BY=120;R\r\n"];

#[tokio::test]
async fn q_051_words_of_dsn_are_read_over_and_others_too_but_in_a_strict_profile() {
    for (n, dsn) in DSN.into_iter().enumerate() {
        let envelope: Step<'_> = (dsn, &["250 2.1.0", "250 2.1.5"]);
        play(&format!("q_051_{n}"), ALL, &[HELLO, envelope, DATA, BODY], LETTER).await;
    }
    let unknown = UNKNOWN.concat();
    play("q_051", LENIENT, &[HELLO, (&unknown, &["250 2.1.0", "250 2.1.5"]), DATA, BODY], LETTER).await;
    let good: [&[u8]; 2] = [b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<d@e.f>\r\n"];
    let mixed = [UNKNOWN[0], good[0], UNKNOWN[1], good[1]].concat();
    let replies = ["555 5.5.4", "250 2.1.0", "555 5.5.4", "250 2.1.5"];
    play("q_051", &[Strict], &[HELLO, (&mixed, &replies), DATA, BODY], LETTER).await;
}

#[tokio::test]
async fn q_051_what_is_ignored_is_never_sent_and_the_log_tells_of_it() {
    let hello: Step<'_> = (b"EHLO x\r\n", &["250"]);
    let unknown = UNKNOWN.concat();
    for (n, envelope) in [DSN[0], DSN[1], &unknown].into_iter().enumerate() {
        let steps: [Step<'_>; 4] = [hello, (envelope, &["250 2.1.0", "250 2.1.5"]), DATA, BODY];
        let heard = heard_upstream(&format!("q_051_{n}"), &steps).await;
        for line in heard.iter().filter(|line| line.starts_with("MAIL") || line.starts_with("RCPT")) {
            for word in ["ZQ7", "RET", "ENVID", "NOTIFY", "ORCPT", "PRIORITY", "BY="] {
                assert!(!line.to_ascii_uppercase().contains(word), "{line}");
            }
        }
        assert!(heard.iter().any(|line| line.starts_with("RCPT TO:<d@e.f>")), "{heard:?}");
    }
    let settings = "[client.old]\nfrom = [\"127.0.0.9\"]\nprofile = \"legacy\"\n\
        [client.new]\nfrom = [\"127.0.0.10\"]\nprofile = \"strict\"\n";
    let log = log_of("q_051", settings, async |door| {
        for (from, envelope, replies) in [
            ([127, 0, 0, 1], &unknown, ["250 2.1.0", "250 2.1.5"]),
            ([127, 0, 0, 9], &unknown, ["250 2.1.0", "250 2.1.5"]),
            ([127, 0, 0, 10], &unknown, ["555 5.5.4", "503 5.5.1"]),
            ([127, 0, 0, 1], &DSN[0].to_vec(), ["250 2.1.0", "250 2.1.5"]),
        ] {
            let mut device = Device::dial_from(from.into(), door).await;
            device.expect("220").await;
            device.ask("HELO x", "250").await;
            device.write(envelope).await;
            for reply in replies {
                device.expect(reply).await;
            }
            device.ask("QUIT", "221").await;
        }
    })
    .await;
    let mut noted: Vec<(Option<String>, bool)> =
        noted(&log).into_iter().map(|line| (field_of(line, "client"), line.contains("unknown parameter"))).collect();
    // A session logs after its last reply, so the next session may log first.
    noted.sort();
    let of = |client: &str| (Some(client.to_owned()), true);
    assert_eq!(noted, [of("127.0.0.1"), of("127.0.0.1"), of("old"), of("old")]);
}
