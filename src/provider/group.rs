//! Providers whose replies have the same wording: the chapters of the reply catalogue.
//!
//! Not here: hosts, ports and limits, of which each preset has its own. Invariant: every group has a word, which the
//! tables and the settings use, and every preset belongs to one group.

use serde::Deserialize;

use super::preset;

/// A chapter of the reply catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// QQ Mail, Foxmail, Tencent Exmail; Feishu, whose refused log-in has Tencent's words.
    Tencent,
    /// 163, 126, yeah.net and NetEase for companies.
    Netease,
    /// Aliyun Mail, personal and for companies.
    Aliyun,
    /// Aliyun DirectMail.
    AliyunDm,
    /// Sina Mail.
    Sina,
    /// Sohu Mail.
    Sohu,
    /// Gmail and Google Workspace.
    Gmail,
    /// Outlook.com and Microsoft 365.
    Microsoft,
    /// iCloud Mail.
    Icloud,
    /// Yahoo and AOL.
    Yahoo,
    /// Zoho Mail.
    Zoho,
    /// Amazon SES.
    Ses,
    /// SendGrid.
    Sendgrid,
    /// Mailgun.
    Mailgun,
    /// China Mobile 139 Mail.
    #[serde(rename = "139")]
    Mail139,
    /// China Telecom 189 Mail.
    #[serde(rename = "189")]
    Mail189,
    /// Tencent Cloud SES, which has other words than QQ Mail.
    TencentSes,
    /// SendCloud.
    Sendcloud,
    /// Yandex Mail.
    Yandex,
    /// Mail.ru.
    Mailru,
    /// GMX.
    Gmx,
    /// GoDaddy Workspace and Professional Email.
    Godaddy,
    /// Brevo.
    Brevo,
    /// Mailtrap.
    Mailtrap,
    /// Hostinger Email.
    Hostinger,
    /// OVHcloud mailboxes.
    Ovh,
    /// Orange and Wanadoo.
    Orange,
    /// Purelymail.
    Purelymail,
    /// Web hosts with cPanel, whose server is Exim.
    Cpanel,
    /// No chapter of its own.
    Generic,
}

impl Group {
    /// All groups; the generic one comes last.
    pub const ALL: [Group; 30] = [
        Group::Tencent,
        Group::Netease,
        Group::Aliyun,
        Group::AliyunDm,
        Group::Sina,
        Group::Sohu,
        Group::Gmail,
        Group::Microsoft,
        Group::Icloud,
        Group::Yahoo,
        Group::Zoho,
        Group::Ses,
        Group::Sendgrid,
        Group::Mailgun,
        Group::Mail139,
        Group::Mail189,
        Group::TencentSes,
        Group::Sendcloud,
        Group::Yandex,
        Group::Mailru,
        Group::Gmx,
        Group::Godaddy,
        Group::Brevo,
        Group::Mailtrap,
        Group::Hostinger,
        Group::Ovh,
        Group::Orange,
        Group::Purelymail,
        Group::Cpanel,
        Group::Generic,
    ];

    /// The word in the tables, such as `aliyun-dm`.
    pub fn word(self) -> &'static str {
        match self {
            Group::Tencent => "tencent",
            Group::Netease => "netease",
            Group::Aliyun => "aliyun",
            Group::AliyunDm => "aliyun-dm",
            Group::Sina => "sina",
            Group::Sohu => "sohu",
            Group::Gmail => "gmail",
            Group::Microsoft => "microsoft",
            Group::Icloud => "icloud",
            Group::Yahoo => "yahoo",
            Group::Zoho => "zoho",
            Group::Ses => "ses",
            Group::Sendgrid => "sendgrid",
            Group::Mailgun => "mailgun",
            Group::Mail139 => "139",
            Group::Mail189 => "189",
            Group::TencentSes => "tencent-ses",
            Group::Sendcloud => "sendcloud",
            Group::Yandex => "yandex",
            Group::Mailru => "mailru",
            Group::Gmx => "gmx",
            Group::Godaddy => "godaddy",
            Group::Brevo => "brevo",
            Group::Mailtrap => "mailtrap",
            Group::Hostinger => "hostinger",
            Group::Ovh => "ovh",
            Group::Orange => "orange",
            Group::Purelymail => "purelymail",
            Group::Cpanel => "cpanel",
            Group::Generic => "generic",
        }
    }

    /// The group that a person means: the word of a group, or the name of a preset.
    ///
    /// A preset wins: `aliyun` is both, and they agree; a test holds that.
    pub fn named(name: &str) -> Option<Group> {
        let own = || Group::ALL.into_iter().find(|group| group.word() == name);
        preset(name).map(|preset| preset.group).or_else(own)
    }
}
