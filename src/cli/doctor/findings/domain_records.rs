//! SPF, DKIM and DMARC of the sender's domain (RFC 7208, 6376, 7489), where the mail bears the owner's own domain.
//!
//! They are the owner's to publish, and without them receivers put mail away as spam, long after the provider said 250.
//! What it is not: an evaluation of SPF. It looks whether the provider is named at all, and only where it is known what
//! the provider asks its customers to publish. Not here: the look-ups (`probe::resolver`).

use crate::cli::finding::{Finding, words};

/// What a provider asks its customers to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Customs {
    /// What SPF should include: one of these. None where the envelope bears the provider's own domain.
    pub(crate) includes: &'static [&'static str],
    /// DKIM selectors that its customers have as a rule; empty when each has its own.
    pub(crate) selectors: &'static [&'static str],
}

/// The customs of the provider of a preset; none where mail bears the provider's own domain, or nothing is known.
pub(crate) fn customs(preset: &str) -> Option<Customs> {
    let (includes, selectors): (&[&str], &[&str]) = match preset {
        "exmail" | "exmail-abroad" => (&["spf.mail.qq.com"], &[]),
        "aliyun-enterprise" => (&["spf.qiye.aliyun.com", "spf.mxhichina.com"], &["default"]),
        "directmail" => (&["spf1.dm.aliyun.com"], &["aliyun-cn-hangzhou"]),
        "workspace-relay" => (&["_spf.google.com"], &["google"]),
        "office365" => (&["spf.protection.outlook.com"], &["selector1", "selector2"]),
        "zoho" => {
            (&["zohomail.com", "zoho.com", "one.zoho.com", "zoho.eu", "zoho.in", "zoho.com.cn"], &["zoho", "zmail"])
        }
        "icloud" => (&["icloud.com"], &["sig1"]),
        "mailgun" => (&["mailgun.org"], &[]),
        // Their envelope bears a domain of their own, or a subdomain that they manage.
        "ses" | "sendgrid" => (&[], &[]),
        _ => return None,
    };
    Some(Customs { includes, selectors })
}

/// Domains that belong to providers: their records are not the owner's to publish.
const PROVIDERS: &[&str] = &[
    "qq.com",
    "vip.qq.com",
    "foxmail.com",
    "163.com",
    "126.com",
    "yeah.net",
    "aliyun.com",
    "sina.com",
    "sina.cn",
    "sohu.com",
    "139.com",
    "189.cn",
    "188.com",
    "gmail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "icloud.com",
    "me.com",
    "yahoo.com",
    "aol.com",
    "zoho.com",
];

/// Whether the records of `domain` are the owner's to publish.
pub(crate) fn is_own(domain: &str) -> bool {
    domain.contains('.') && !PROVIDERS.iter().any(|known| known.eq_ignore_ascii_case(domain))
}

/// The texts at a name, or why they could not be looked up.
pub(crate) type Looked<'a> = Result<&'a [String], &'a str>;

/// One SPF record, and the provider is in it.
pub(crate) fn spf(domain: &str, includes: &[&str], looked: Looked<'_>) -> Finding {
    let Some(&include) = includes.first() else {
        let text = words("the provider sends under a domain of its own", "服务商使用自己的信封域名发送");
        return Finding::skip("spf", text);
    };
    let texts = match looked {
        Ok(texts) => texts,
        Err(reason) => return unknown("spf", domain, reason),
    };
    // A record is `v=spf1` alone or with a blank behind it (RFC 7208 section 4.5).
    let is_spf = |text: &&String| text.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case("v=spf1"));
    let found: Vec<&String> = texts.iter().filter(is_spf).collect();
    let remedy = |text: String| {
        words(format!("publish as TXT of {domain}: {text}"), format!("在 {domain} 的 TXT 记录中发布：{text}"))
    };
    match found.as_slice() {
        [] => Finding::warn(
            "spf",
            words(format!("{domain} has no SPF record"), format!("{domain} 没有 SPF 记录")),
            words(
                "receivers cannot tell your mail from a forgery, and may put it away as spam",
                "收件方无法区分真伪，可能当作垃圾邮件",
            ),
            remedy(format!("v=spf1 include:{include} ~all")),
        ),
        [one] if includes.iter().any(|include| names(one, include)) => {
            Finding::ok("spf", words(format!("{domain} names the provider"), format!("{domain} 已包含该服务商")))
        }
        [one] => Finding::warn(
            "spf",
            words(
                format!("the SPF record of {domain} does not name {include}"),
                format!("{domain} 的 SPF 记录没有包含 {include}"),
            ),
            words(format!("it is: {one}"), format!("现为：{one}")),
            words(
                format!("add include:{include} to it, unless what it includes already does"),
                format!("在其中加入 include:{include}（若被包含的记录中已有则不必）"),
            ),
        ),
        many => Finding::fail(
            "spf",
            words(
                format!("{domain} has {} SPF records", many.len()),
                format!("{domain} 有 {} 条 SPF 记录", many.len()),
            ),
            words(
                "with more than one, receivers use none (RFC 7208 section 3.2)",
                "多于一条时收件方一条也不用（RFC 7208 3.2）",
            ),
            words("join them into one", "合并为一条"),
        ),
    }
}

fn names(record: &str, include: &str) -> bool {
    record.split(' ').any(|word| {
        let target = word.trim_start_matches(['+', '~', '?']).split_once([':', '=']);
        target.is_some_and(|(kind, name)| {
            ["include", "redirect"].iter().any(|known| kind.eq_ignore_ascii_case(known))
                && name.eq_ignore_ascii_case(include)
        })
    })
}

/// A DKIM key at one of the usual selectors. `found` are those that have one.
pub(crate) fn dkim(domain: &str, looked: &[&str], found: Result<&[&str], &str>) -> Finding {
    if looked.is_empty() {
        return Finding::skip(
            "dkim",
            words(
                "the selector is not known; the provider's console shows it, and whether it is in force",
                "不知道 selector；服务商的管理后台会显示，以及是否生效",
            ),
        );
    }
    let list = looked.join(", ");
    match found {
        Err(reason) => unknown("dkim", domain, reason),
        Ok([]) => Finding::warn(
            "dkim",
            words(
                format!("no DKIM key of {domain} at the usual selectors ({list})"),
                format!("{domain} 在常见 selector（{list}）处没有 DKIM 公钥"),
            ),
            words(
                "mail is not signed in your name, or with a selector of its own",
                "邮件没有以您的域名签名，或使用了其他 selector",
            ),
            words(
                "switch DKIM on in the provider's console and publish the key it shows",
                "在服务商后台开启 DKIM，并发布其给出的公钥",
            ),
        ),
        Ok(found) => {
            let found = found.join(", ");
            Finding::ok("dkim", words(format!("{domain} has a key at {found}"), format!("{domain} 有公钥：{found}")))
        }
    }
}

/// A DMARC policy, of the domain or of the one above it.
pub(crate) fn dmarc(domain: &str, looked: Looked<'_>) -> Finding {
    let texts = match looked {
        Ok(texts) => texts,
        Err(reason) => return unknown("dmarc", domain, reason),
    };
    let policy = texts.iter().find(|text| text.to_ascii_uppercase().starts_with("V=DMARC1")).and_then(|text| {
        let mut tags = text.split(';').filter_map(|tag| tag.trim().split_once('='));
        tags.find(|(name, _)| name.trim().eq_ignore_ascii_case("p")).map(|(_, value)| value.trim().to_owned())
    });
    match policy {
        Some(policy) => Finding::ok(
            "dmarc",
            words(format!("{domain} has the policy {policy}"), format!("{domain} 的策略为 {policy}")),
        ),
        None => Finding::warn(
            "dmarc",
            words(format!("{domain} has no DMARC policy"), format!("{domain} 没有 DMARC 策略")),
            words("large receivers want one of those who send much", "大型收件方要求发信量大的域名具有该策略"),
            words(
                format!("publish as TXT of _dmarc.{domain}: v=DMARC1; p=none"),
                format!("在 _dmarc.{domain} 的 TXT 记录中发布：v=DMARC1; p=none"),
            ),
        ),
    }
}

fn unknown(check: &'static str, domain: &str, reason: &str) -> Finding {
    Finding::warn(
        check,
        words(format!("{domain} could not be looked up"), format!("无法查询 {domain}")),
        words(reason, reason),
        words("check that the name servers in /etc/resolv.conf answer", "检查 /etc/resolv.conf 中的 DNS 是否应答"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::finding::State;

    fn state_of(texts: &[&str]) -> State {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        spf("a.cn", &["spf.mail.qq.com"], Ok(&texts)).state
    }

    #[test]
    fn spf_names_the_provider_once() {
        assert_eq!(state_of(&["other", "v=spf1 include:spf.mail.qq.com ~all"]), State::Ok);
        assert_eq!(state_of(&["V=SPF1 +Include:SPF.mail.qq.com -all"]), State::Ok);
        assert_eq!(state_of(&["v=spf1 redirect=spf.mail.qq.com"]), State::Ok);
        assert_eq!(state_of(&["v=spf1 -include:spf.mail.qq.com ~all"]), State::Warn, "that one forbids");
        assert_eq!(state_of(&["v=spf1 include:spf.mail.qq.com.evil.test ~all"]), State::Warn);
        assert_eq!(state_of(&["v=spf10 include:spf.mail.qq.com"]), State::Warn);
        assert_eq!(state_of(&[]), State::Warn);
        assert_eq!(spf("a.cn", &[], Ok(&[])).state, State::Skip);
        assert_eq!(state_of(&["v=spf1 include:spf.mail.qq.com ~all", "v=spf1 -all"]), State::Fail);
    }

    #[test]
    fn dkim_and_dmarc_are_found_or_explained() {
        assert_eq!(dkim("a.cn", &[], Ok(&[])).state, State::Skip);
        assert_eq!(dkim("a.cn", &["default"], Ok(&[])).state, State::Warn);
        assert_eq!(dkim("a.cn", &["s1", "s2"], Ok(&["s2"])).state, State::Ok);
        assert_eq!(dkim("a.cn", &["s1"], Err("timeout")).cause.unwrap().en, "timeout");
        let policy = |text: &str| dmarc("a.cn", Ok(&[text.to_owned()]));
        assert_eq!(policy("v=DMARC1; p=none; rua=mailto:x@a.cn").what.en, "a.cn has the policy none");
        assert_eq!(policy("v=DMARC1").state, State::Warn);
        assert_eq!(policy("v=spf1").state, State::Warn);
    }

    #[test]
    fn the_records_of_a_provider_are_not_the_owners() {
        assert!(is_own("example.cn") && !is_own("qq.com") && !is_own("FOXMAIL.com") && !is_own("localhost"));
        assert!(customs("qq").is_none() && customs("custom").is_none());
        assert_eq!(customs("exmail").unwrap().includes, ["spf.mail.qq.com"]);
    }
}
