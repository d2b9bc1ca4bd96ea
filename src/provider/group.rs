//! Providers whose replies have the same wording: the chapters of the reply catalogue.
//!
//! Not here: hosts, ports and limits, of which each preset has its own. Invariant: every group has a word, which the
//! tables and the settings use, and every preset belongs to one group.

use serde::Deserialize;

use super::preset;
use super::worded_enum::worded_enum;

worded_enum! {
    /// A chapter of the reply catalogue.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Group {
        /// QQ Mail, Foxmail, Tencent Exmail; Feishu, whose refused log-in has Tencent's words.
        Tencent = "tencent",
        /// 163, 126, yeah.net and NetEase for companies.
        Netease = "netease",
        /// Aliyun Mail, personal and for companies.
        Aliyun = "aliyun",
        /// Aliyun DirectMail.
        AliyunDm = "aliyun-dm",
        /// Sina Mail.
        Sina = "sina",
        /// Sohu Mail.
        Sohu = "sohu",
        /// Gmail and Google Workspace.
        Gmail = "gmail",
        /// Outlook.com and Microsoft 365.
        Microsoft = "microsoft",
        /// iCloud Mail.
        Icloud = "icloud",
        /// Yahoo and AOL.
        Yahoo = "yahoo",
        /// Zoho Mail.
        Zoho = "zoho",
        /// Amazon SES.
        Ses = "ses",
        /// SendGrid.
        Sendgrid = "sendgrid",
        /// Mailgun.
        Mailgun = "mailgun",
        /// China Mobile 139 Mail.
        #[serde(rename = "139")]
        Mail139 = "139",
        /// China Telecom 189 Mail.
        #[serde(rename = "189")]
        Mail189 = "189",
        /// Tencent Cloud SES, which has other words than QQ Mail.
        TencentSes = "tencent-ses",
        /// SendCloud.
        Sendcloud = "sendcloud",
        /// Yandex Mail.
        Yandex = "yandex",
        /// Mail.ru.
        Mailru = "mailru",
        /// GMX.
        Gmx = "gmx",
        /// GoDaddy Workspace and Professional Email.
        Godaddy = "godaddy",
        /// Brevo.
        Brevo = "brevo",
        /// Mailtrap.
        Mailtrap = "mailtrap",
        /// Hostinger Email.
        Hostinger = "hostinger",
        /// OVHcloud mailboxes.
        Ovh = "ovh",
        /// Orange and Wanadoo.
        Orange = "orange",
        /// Purelymail.
        Purelymail = "purelymail",
        /// Web hosts with cPanel, whose server is Exim.
        Cpanel = "cpanel",
        /// Log-ins with an access token, and the services that give tokens out, whoever the provider is.
        Oauth = "oauth",
        /// No chapter of its own.
        Generic = "generic",
    }
}

impl Group {
    /// The group that a person means: the word of a group, or the name of a preset.
    ///
    /// A preset wins: `aliyun` is both, and they agree; a test holds that.
    pub fn named(name: &str) -> Option<Group> {
        let own = || Group::ALL.into_iter().find(|group| group.word() == name);
        preset(name).map(|preset| preset.group).or_else(own)
    }
}
