//! A copy leaves in another form than the stored one: in seven bits, or without a signature that no longer fits.
//!
//! The log names each such change (`converted`, `dkim_removed`). Here: the real program, its log, and what the provider
//! has in the end. The forms themselves are tested beside `message::downgrade` and `message::sender_rewriting`.

use mail_parser::MessageParser;

use crate::support::office::{Device, field, provider};
use crate::support::program::{Program, QUICK, Site, field_of};
use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, What};

/// Hands in mails one after the other, so that the log has them in this order; gives their ids.
async fn send_each(site: &Site, program: &Program, sandbox: &Sandbox, mails: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for mail in mails {
        let mut device = Device::connect(program.door()).await;
        ids.push(device.send("device@lan.local", &["a@else.test"], mail.as_bytes()).await.to_string());
        site.drained(sandbox).await;
    }
    ids
}

/// The provider of the next connection takes 7-bit mail only.
fn seven_bit(sandbox: &Sandbox) {
    let ehlo = What::Reply(b"250-old\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 AUTH LOGIN PLAIN\r\n".to_vec());
    sandbox.fault(Fault { at: Stage::Ehlo, what: ehlo, times: 1 });
}

/// The fields `id` and `name` of the lines that tell of `event`.
fn told(program: &Program, event: &str, name: &str) -> Vec<[String; 2]> {
    let of = |line: &String, name: &str| field_of(line, name).unwrap_or_default();
    program.told(event).iter().map(|line| [of(line, "id"), of(line, name)]).collect()
}

#[tokio::test]
async fn a_112_a_conversion_to_seven_bits_is_logged_by_its_repairs() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("converted", &sandbox, QUICK);
    let program = site.start().await;
    seven_bit(&sandbox);
    let head = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type:";
    // A file name that is not ASCII, and an end that never came.
    let cut_off = "begin 644 报告.bin\r\n#0V%T\r\nM0V%T0V%T\r\n";
    let mails = [
        &format!("{head} text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n请查收。\r\n"),
        "Subject: x\r\n\r\nplain\r\n",
        &format!("{head} application/x-cat; name=cat\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n{cut_off}"),
        &format!(
            "{head} multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/x-cat; name=cat\r\n\
             Content-Transfer-Encoding: uuencode\r\n\r\n{cut_off}--b--\r\n"
        ),
    ];
    let ids = send_each(&site, &program, &sandbox, &mails).await;
    let received = sandbox.received();
    assert_eq!(received.len(), ids.len(), "none bounces");
    for (one, at, content) in [(0, 0, "请查收。\r\n"), (2, 0, cut_off), (3, 1, cut_off.trim_end())] {
        let data = &received[one].data;
        assert!(data.is_ascii(), "{}", data.escape_ascii());
        let parsed = MessageParser::new().parse(&data[..]).expect("it is a mail");
        assert_eq!(String::from_utf8_lossy(parsed.parts[at].contents()), content, "{}", data.escape_ascii());
    }
    let expected = [(0, "body-encoded"), (2, "body-encoded"), (3, "body-encoded,transfer-encoding-set")];
    let expected = expected.map(|(one, repairs)| [ids[one].clone(), repairs.to_owned()]);
    assert_eq!(told(&program, "converted", "repairs"), expected, "and the plain one went as it was");
    program.stop().await;
}

#[tokio::test]
async fn a_signature_that_the_new_from_breaks_goes_and_the_log_says_so() {
    let signed = |from: &str| format!("DKIM-Signature: v=1; d=corp.cn; h=From; b=x\r\nFrom: {from}\r\n\r\nx\r\n");
    let (foreign, own) = (&signed("bob@corp.cn"), &signed("10000@qq.com"));
    for keep in [false, true] {
        let sandbox = provider(SandboxLimits::default()).await;
        let site = Site::new("dkim", &sandbox, &format!("keep_dkim = {keep}\n{QUICK}"));
        let program = site.start().await;
        let ids = send_each(&site, &program, &sandbox, &[foreign, own, "Subject: x\r\n\r\nunsigned\r\n"]).await;
        let kept: Vec<bool> =
            sandbox.received().iter().map(|one| field(&one.data, "DKIM-Signature").is_some()).collect();
        assert_eq!(kept, [keep, true, false]);
        let expected = if keep { vec![] } else { vec![[ids[0].clone(), "office".to_owned()]] };
        assert_eq!(told(&program, "dkim_removed", "account"), expected);
        program.stop().await;
    }
}
