//! In which language the relay writes to its owner: English, Chinese, or one after the other.
//!
//! Values only. What this is not: the language of the log and of replies on the wire, which are English always
//! (RFC 5321 section 4.2), and the language of a terminal (`cli`), which follows the person who sits there.

use serde::{Deserialize, Serialize};

/// One language: the one a single text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// English.
    En,
    /// Chinese, simplified characters.
    Zh,
}

impl Tongue {
    /// The one of two texts that is in this language.
    pub fn pick<T>(self, en: T, zh: T) -> T {
        match self {
            Tongue::En => en,
            Tongue::Zh => zh,
        }
    }
}

/// A text in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

impl Words {
    /// The text in this language.
    pub fn pick(&self, tongue: impl Into<Tongue>) -> &str {
        tongue.into().pick(&self.en, &self.zh)
    }
}

/// Both languages of one text.
pub fn words(en: impl Into<String>, zh: impl Into<String>) -> Words {
    Words { en: en.into(), zh: zh.into() }
}

/// Octets for a person, in the largest unit that has a whole number before the point: `812 B`, `4.0 KiB`, `40.0 GiB`.
pub fn size(octets: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| octets >> shift > 0) {
        Some((shift, unit)) => format!("{:.1} {unit}", octets as f64 / (1_u64 << shift) as f64),
        None => format!("{octets} B"),
    }
}

/// What a notice or an alarm is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English only.
    En,
    /// Chinese only.
    Zh,
    /// English first, then the same in Chinese: nobody has to choose before the first mail fails.
    #[default]
    Both,
}

impl Language {
    /// All of them, in the order the manual lists them.
    pub const ALL: [Language; 3] = [Language::En, Language::Zh, Language::Both];

    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Zh => "zh",
            Language::Both => "both",
        }
    }

    /// The language that has this name in the settings.
    pub fn parse(name: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.name() == name)
    }

    /// The languages a text is written in, in their order.
    pub const fn tongues(self) -> &'static [Tongue] {
        match self {
            Language::En => &[Tongue::En],
            Language::Zh => &[Tongue::Zh],
            Language::Both => &[Tongue::En, Tongue::Zh],
        }
    }

    /// A short text: one of the two, or both with a blank between.
    pub fn join(self, en: &str, zh: &str) -> String {
        match self {
            Language::En => en.to_owned(),
            Language::Zh => zh.to_owned(),
            Language::Both => format!("{en} {zh}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for language in Language::ALL {
            assert_eq!(Language::parse(language.name()), Some(language));
            let json = serde_json::to_string(&language).unwrap();
            assert_eq!(json, format!("\"{}\"", language.name()));
        }
        assert_eq!(Language::parse("EN"), None);
        assert_eq!(Language::default().join("mail", "邮件"), "mail 邮件");
    }
}
