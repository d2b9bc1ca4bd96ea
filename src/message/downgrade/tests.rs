//! Mail for a server without 8BITMIME.

use super::*;

fn convert(mail: &str) -> (Plan, String) {
    let (old, body) = mail.split_once("\r\n\r\n").unwrap();
    let old = format!("{old}\r\n");
    let mut survey = survey(old.as_bytes());
    body.as_bytes().chunks(7).for_each(|chunk| survey.push(chunk));
    let plan = survey.finish();
    let mut out = [&head(old.as_bytes(), &plan)[..], b"\r\n"].concat();
    let mut rewriter = rewriter(old.as_bytes(), &plan);
    body.as_bytes().chunks(5).for_each(|chunk| rewriter.push(chunk, &mut out));
    rewriter.finish(&mut out);
    assert!(out.is_ascii() && !plan.eight_bit);
    (plan, String::from_utf8(out).unwrap())
}

#[test]
fn text_becomes_quoted_printable_or_base64() {
    let (plan, out) = convert(
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\
         \r\n\r\nMostly plain, and one \u{e9} in it\r\n",
    );
    assert!(
        out.contains("Content-Transfer-Encoding: quoted-printable\r\n\r\nMostly plain, and one =C3=A9 in it\r\n"),
        "{out}"
    );
    assert_eq!(repairs(&plan), [Repair::BodyEncoded]);
    let (_, out) = convert("Content-Type: text/plain; charset=utf-8\r\n\r\n\u{9a7f}\u{7ad9}\r\n");
    assert!(
        out.ends_with("Content-Transfer-Encoding: base64\r\n\r\n6am/56uZDQo=\r\n") && out.contains("MIME-Version: 1.0")
    );
}

#[test]
fn each_part_is_converted_and_composites_say_so() {
    let mail = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
                pre \u{e9}\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
                --c\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>\u{9a7f}</p>\r\n--c--\r\n\
                --b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"\u{9a7f}.pdf\"\r\n\
                Content-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--b--\r\n";
    let (plan, out) = convert(mail);
    assert_eq!(out.matches("Content-Transfer-Encoding: 7bit\r\n").count(), 2, "{out}");
    assert!(
        out.contains("Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=E9=A9=BF</p>\r\n--c--")
            || out.contains("base64\r\n\r\nPHA+"),
        "{out}"
    );
    assert!(out.contains("filename*=UTF-8''%E9%A9%BF.pdf") && !plan.lossy, "{out}");
}

#[test]
fn signed_text_is_converted_and_it_is_said() {
    let mail = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\u{9a7f}\r\n\
                --b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB\r\n--b--\r\n";
    assert_eq!(repairs(&convert(mail).0)[0], Repair::SignatureBroken);
}

#[test]
fn what_cannot_be_kept_is_admitted() {
    let (plan, out) = convert("Content-Type: multipart/mixed; boundary=b\r\n\r\n--boo\r\n\u{9a7f}\r\n");
    assert!(plan.lossy && out.ends_with("--boo\r\n???\r\n"), "{out}");
}

#[test]
fn seven_bit_mail_stays_as_it_is() {
    let mail = "Subject: x\r\n\r\nplain\r\n";
    let (plan, out) = convert(mail);
    assert!(plan.is_empty() && out == mail);
}

#[test]
fn a_misspelt_8bit_is_8bit() {
    let (plan, out) =
        convert("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8 bit\r\n\r\n\u{9a7f}\r\n");
    assert!(
        !plan.lossy && out.contains("Transfer-Encoding: base64\r\n") && out.ends_with("\r\n\r\n6am/DQo=\r\n"),
        "{out}"
    );
}

#[test]
fn what_is_uuencoded_is_decoded_and_keeps_its_name() {
    let part = "Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 \u{9a7f}.txt\r\n#0V%T\r\n`\r\nend\r\n";
    let (plan, out) = convert(&format!("Content-Type: application/octet-stream\r\n{part}"));
    assert!(
        !plan.lossy && out.contains("filename*=UTF-8''%E9%A9%BF.txt") && out.ends_with("\r\n\r\nQ2F0\r\n"),
        "{out}"
    );
    assert_eq!(repairs(&plan), [Repair::BodyEncoded]);
    let (plan, out) = convert(&format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; name=cat.txt\r\n{part}--b--\r\n"
    ));
    assert!(!plan.lossy && out.contains("Content-Transfer-Encoding: base64\r\n\r\nQ2F0\r\n--b--\r\n"), "{out}");
    assert!(out.contains("name=cat.txt") && !out.contains("filename"), "{out}");
    assert!(!out.contains("charset"), "the file's is not known: {out}");
}

/// What is labelled as uuencoded and cannot be decoded keeps its octets, as its type's content.
#[test]
fn broken_uuencode_is_carried_as_it_is() {
    let line = "M".repeat(61);
    for broken in [
        format!("begin 644 \u{9a7f}.txt\r\n{line}\r\n"),
        format!("begin 644 \u{9a7f}.txt\r\n{line}M0V%T\r\n`\r\nend\r\n"),
        "begin 644 \u{9a7f}.txt\r\n#0V%\u{e9}\r\n`\r\nend\r\n".to_owned(),
        format!("See below, \u{9a7f}\r\nbegin 644 a\r\n{line}\r\n`\r\nend\r\n"),
        "\u{9a7f}\u{7ad9}\r\n".to_owned(),
    ] {
        for (kind, charset) in [
            ("application/octet-stream", ""),
            ("application/pdf; name=a.pdf", ""),
            ("text/plain; charset=utf-8", ""),
            ("text/plain", "; charset=utf-8"),
        ] {
            let head = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: X-UUencode\r\n");
            let (plan, out) = convert(&format!("{head}\r\n{broken}"));
            assert!(!plan.lossy && repairs(&plan).contains(&Repair::BodyEncoded), "{plan:?}");
            assert!(out.contains(&format!("Content-Type: {kind}{charset}\r\n")), "{out}");
            assert_eq!(contents(&out, 0), broken.as_bytes(), "{out}");

            let part = format!("--b\r\n{head}\r\n{broken}--b--\r\n");
            let (plan, out) = convert(&format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{part}"));
            assert!(!plan.lossy && repairs(&plan).contains(&Repair::TransferEncodingSet), "{plan:?}");
            assert!(out.contains(&format!("--b\r\nContent-Type: {kind}{charset}\r\n")), "{out}");
            // The last line end belongs to the boundary.
            assert_eq!(contents(&out, 1), broken.trim_end().as_bytes(), "{out}");
        }
    }
    // What has parts in it may not be encoded, and an encoding that is not known may need its octets.
    for head in [
        "Content-Type: multipart/mixed\r\nContent-Transfer-Encoding: x-uuencode",
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: x-uuencode",
        "Content-Transfer-Encoding: x-other",
    ] {
        assert!(convert(&format!("{head}\r\n\r\n\u{9a7f}\r\n")).0.lossy, "{head}");
    }
}

/// What another program decodes the part to.
fn contents(mail: &str, part: usize) -> Vec<u8> {
    mail_parser::MessageParser::new().parse(mail.as_bytes()).unwrap().parts[part].contents().to_vec()
}
