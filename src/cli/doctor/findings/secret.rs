//! Does the secret look like what the provider hands out? Judged by its shape; the secret itself never gets here.
//!
//! Not here: whether it works. Codes are told from passwords where the provider's codes have a known form; a mistake that
//! can be seen costs no log-in, and providers count log-ins.

use crate::cli::finding::{Finding, Words, words};

/// What can be said of a secret without saying it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Characters, after the blanks around it and between four groups of four were taken away.
    pub(crate) length: usize,
    /// All of it is `a` to `z`.
    pub(crate) lower_letters: bool,
    /// All of it is ASCII letters and digits.
    pub(crate) alphanumeric: bool,
    /// There are blanks in it.
    pub(crate) blanks: bool,
    /// There are full-width characters in it, as a Chinese input method types them.
    pub(crate) full_width: bool,
    /// There are other characters in it that are not ASCII, or control characters.
    pub(crate) odd: bool,
}

impl Shape {
    /// The shape of a text.
    pub(crate) fn of(text: &str) -> Shape {
        let full_width = |c: char| matches!(c, '\u{ff01}'..='\u{ff5e}' | '\u{3000}');
        Shape {
            length: text.chars().count(),
            lower_letters: text.bytes().all(|b| b.is_ascii_lowercase()),
            alphanumeric: text.bytes().all(|b| b.is_ascii_alphanumeric()),
            blanks: text.contains([' ', '\t', '\u{a0}']),
            full_width: text.chars().any(full_width),
            odd: text.chars().any(|c| c != '\t' && c.is_ascii_control() || (!c.is_ascii() && !full_width(c))),
        }
    }
}

/// The secret could be read and is plausible for the preset called `preset`.
pub(crate) fn plausible(preset: &str, shape: Shape) -> Finding {
    let remedy = words(
        "copy the code again, in ASCII letters, without blanks; the file holds nothing but the code",
        "重新复制授权码：半角字母，不含空格；文件中只写授权码",
    );
    let fail = |en: &str, zh: &str| {
        Finding::fail(
            "secret",
            words("the secret cannot be right", "密码或授权码不可能正确"),
            words(en, zh),
            remedy.clone(),
        )
    };
    if shape.full_width {
        return fail(
            "there are full-width characters in it, as a Chinese input method types them",
            "其中有全角字符（中文输入法输入）",
        );
    }
    if shape.odd {
        return fail(
            "there are characters in it that are not ASCII, or cannot be seen",
            "其中有非 ASCII 字符或不可见字符",
        );
    }
    match expected(preset) {
        Some((form, fits)) if !fits(&shape) => Finding::warn(
            "secret",
            words(
                format!("the secret has {} characters and does not look like a code", shape.length),
                format!("密码有 {} 个字符，不像授权码", shape.length),
            ),
            words(
                format!("{}; it may be the log-in password, which does not work for SMTP", form.en),
                format!("{}；这可能是登录密码，不能用于 SMTP", form.zh),
            ),
            words(
                "make an authorization code (app password) in the settings of the mailbox and use that",
                "在邮箱设置中生成授权码（应用专用密码）并使用它",
            ),
        ),
        Some(_) => {
            Finding::ok("secret", words("it can be read and has the form of a code", "可以读取，形式与授权码一致"))
        }
        None if shape.blanks => Finding::warn(
            "secret",
            words("there are blanks in the secret", "密码中有空格"),
            words(
                "few passwords have any; often they come along when a code is copied",
                "密码很少含空格，常是复制时带入的",
            ),
            remedy,
        ),
        None => Finding::ok("secret", words("it can be read", "可以读取")),
    }
}

/// A sentence about a form, and its test.
type Form = (Words, fn(&Shape) -> bool);

/// The form of a provider's codes, where it is known.
fn expected(preset: &str) -> Option<Form> {
    match preset {
        "qq" | "foxmail" => Some((
            words("a code of QQ Mail is 16 lower-case letters", "QQ 邮箱授权码是 16 个小写字母"),
            |s| s.length == 16 && s.lower_letters,
        )),
        "163" | "126" | "yeah" => Some((
            words("a code of NetEase is 16 letters and digits", "网易授权码是 16 个字母和数字"),
            |s| s.length == 16 && s.alphanumeric,
        )),
        "gmail" => Some((
            words("an app password of Google is 16 lower-case letters", "Google 应用专用密码是 16 个小写字母"),
            |s| s.length == 16 && s.lower_letters,
        )),
        // Others let their users choose, or have not published a form.
        _ => None,
    }
}

/// The secret could not be read.
pub(crate) fn unreadable(reason: &str) -> Finding {
    Finding::fail(
        "secret",
        words("the secret cannot be read", "无法读取密码或授权码"),
        words(reason, reason),
        words(
            "put the code into the file or variable that account.NAME.secret names, readable for the relay's user",
            "把授权码写入 account.NAME.secret 指定的文件或变量，并让中继的用户可读",
        ),
    )
}

/// The settings have none; `yizhan run` asks for it.
pub(crate) fn absent() -> Finding {
    Finding::skip(
        "secret",
        words("the settings name none; `yizhan run` asks for it", "配置中没有；`yizhan run` 会询问"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::finding::State;

    fn state(preset: &str, text: &str) -> State {
        plausible(preset, Shape::of(text)).state
    }

    #[test]
    fn codes_pass_and_passwords_are_noticed() {
        assert_eq!(state("qq", "abcdefghijklmnop"), State::Ok);
        for text in ["abcdefghijklmno", "ABCDEFGHIJKLMNOP", "abcdefghijklmno1", "hunter2", "abcd efgh ijkl mno"] {
            assert_eq!(state("qq", text), State::Warn, "{text}");
        }
        assert_eq!(state("163", "ABCDEFGHIJ123456"), State::Ok);
        assert_eq!(state("163", "ABCDEFGHIJ12345"), State::Warn);
        assert_eq!(state("exmail", "Any-Thing.1"), State::Ok);
        assert_eq!(state("custom", "two words"), State::Warn);
    }

    #[test]
    fn what_cannot_be_typed_into_ascii_fails() {
        for text in ["ａbcdefghijklmnop", "abcd\u{3000}efgh", "授权码", "abc\u{200b}def", "abc\u{7}"] {
            assert_eq!(state("qq", text), State::Fail, "{text:?}");
            assert_eq!(state("custom", text), State::Fail, "{text:?}");
        }
    }

    #[test]
    fn no_finding_quotes_the_secret() {
        for text in ["hunter2", "ｈunter2", "with blank"] {
            let shown = format!("{:?}", plausible("qq", Shape::of(text)));
            assert!(!shown.contains(text), "{shown}");
        }
    }
}
