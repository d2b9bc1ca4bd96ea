//! What is found, what is left alone, and what looking costs.

use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::*;

const CODE: &str = "qzjxkwvbpfygmuhd";

fn hex(text: &str) -> String {
    text.bytes().map(|octet| format!("{octet:02x}")).collect()
}

fn percent(text: &str) -> String {
    text.bytes().map(|octet| format!("%{octet:02X}")).collect()
}

#[test]
fn every_form_of_a_secret_is_taken_out() {
    for code in [CODE, "s3cr+t", "pass w0rd/ö?>", "密码密码", "tok%2Ben%3D-1234", "a\"b\\c'd"] {
        let redactor = Redactor::new(["another secret", code]);
        let mut forms =
            vec![code.to_owned(), code.to_ascii_uppercase(), percent(code), hex(code), hex(code).to_uppercase()];
        for user in ["u", "me@x.cn", "10000@qq.com", ""] {
            for text in [format!("\0{user}\0{code}"), format!("{user}\0{user}\0{code}"), format!("{user}:{code}")] {
                let plain = STANDARD.encode(&text);
                forms.extend([percent(&plain), plain, URL_SAFE.encode(&text), hex(&text)]);
            }
        }
        forms.push(STANDARD.encode(code));
        forms.push(code.replace('/', "\\/").replace('"', "\\\""));
        forms.push(format!("{code:?}").trim_matches('"').to_owned());
        forms.push(String::from_utf8(unescaped(code.as_bytes()).0).unwrap());
        for form in forms {
            for (before, behind) in [("", ""), ("535 no: ", "."), ("<", "> twice"), ("键：", "，不对")] {
                let text = format!("{before}{form}{behind}");
                let expected = format!("{before}{MARK}{behind}");
                assert_eq!(redactor.redact(&text), expected, "{code} as {form}");
                assert_eq!(redactor.redact(&expected), expected, "twice");
            }
        }
    }
}

#[test]
fn other_texts_are_not_copied() {
    let redactor = Redactor::new([CODE, "short", "", "secret"]);
    for text in [
        "550 5.1.1 Mailbox not found",
        "qzjx kwvb pfyg muhd",
        "[secret] and [secret]",
        "100 % sure, 50%2Fday, \\x4 \\",
        "short",
        "",
        "%",
    ] {
        assert!(matches!(redactor.redact(text), Cow::Borrowed(_)), "{text}");
    }
    assert_eq!(redactor.redact("no secret here, [secret] there"), "no [secret] here, [secret] there");
    assert_eq!(redactor.redact_octets(b"\xff qzjxkwvbpfygmuhd \xfe").as_ref(), b"\xff [secret] \xfe");
}

#[test]
fn neighbours_and_overlaps_are_one_mark_each() {
    let redactor = Redactor::new(["abcdefgh", "defghijk"]);
    assert_eq!(redactor.redact("abcdefghijk"), MARK);
    assert_eq!(redactor.redact("abcdefghabcdefgh"), format!("{MARK}{MARK}"));
}

#[test]
fn a_secret_joins_when_it_is_read_and_a_renewed_one_too() {
    let path = std::env::temp_dir().join(format!("yizhan-redact-{}", std::process::id()));
    let source = crate::secret::SecretSource::File(path.clone());
    for code in ["first-of-two-codes", "second-of-two-codes"] {
        assert_eq!(redact(code), code);
        std::fs::write(&path, code).unwrap();
        source.read().unwrap();
        assert_eq!(redact(code), MARK);
    }
    assert_eq!(redact("first-of-two-codes"), MARK);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn debug_output_shows_no_secret() {
    assert!(!format!("{:?}", Redactor::new([CODE])).contains(CODE));
}
