//! What the operator should do when a webhook did not take an alert, in both languages. Pure.

use crate::message::notice::alarm::Remedy;
use crate::net::tls::TlsError;

use super::answer::Refusal;
use super::form::Format;
use super::{Fault, WebhookError};

/// DingTalk: the security settings of the robot refuse the call: keyword, signature or address.
const DINGTALK_SECURITY: i64 = 310_000;
/// Feishu: the signature does not match, or its time is more than an hour off.
const FEISHU_SIGN: i64 = 19_021;
/// Feishu: none of the robot's keywords is in the text.
const FEISHU_KEYWORD: i64 = 19_024;

/// What to do about this error.
pub(super) fn of(error: &WebhookError, format: Format) -> Remedy {
    let (en, zh) = match error {
        WebhookError::Url(_) => (
            "copy the URL of the robot or program anew into notice.webhook",
            "请把机器人或程序的地址重新复制到 notice.webhook",
        ),
        WebhookError::NotPrivate { .. } => ("use https:// in notice.webhook", "请在 notice.webhook 中使用 https://"),
        WebhookError::Tls(TlsError::Ca { .. } | TlsError::Setup(_)) => {
            ("correct notice.ca, or remove it", "请改正 notice.ca，或删除该行")
        }
        WebhookError::Tls(TlsError::Handshake { .. } | TlsError::Name { .. } | TlsError::Roots(_)) => (
            "compare the host in notice.webhook with its certificate; name its authority in notice.ca; check the time with \
             `date`",
            "请核对 notice.webhook 的主机名与其证书；在 notice.ca 中指定证书颁发机构；用 `date` 检查时间",
        ),
        WebhookError::Dial { .. } | WebhookError::Silent { .. } | WebhookError::Line { .. } => (
            "check the network, the name server and the firewall of this machine; the relay tries again by itself",
            "请检查本机的网络、域名解析和防火墙；中继会自动重试",
        ),
        WebhookError::Refused { refusal, .. } => refused(refusal, format),
    };
    Remedy { en: en.to_owned(), zh: zh.to_owned() }
}

fn refused(refusal: &Refusal, format: Format) -> (&'static str, &'static str) {
    match (format, refusal) {
        (Format::Dingtalk, Refusal::Code { code: DINGTALK_SECURITY, .. }) => (
            "look at the security settings of the robot: with a signature (加签) copy its secret (SEC...) into notice.sign and \
             check the time with `date`; a keyword must be Yizhan or 驿站; an address range must hold this machine",
            "请查看机器人的安全设置：使用加签时，把密钥（SEC 开头）填入 notice.sign，并用 `date` 检查时间；关键词须为 Yizhan 或 驿站；IP \
             地址段须包含本机",
        ),
        (Format::Feishu, Refusal::Code { code: FEISHU_SIGN, .. }) => (
            "copy the secret of the robot's signature check (签名校验) into notice.sign, and check the time with `date`",
            "请把机器人“签名校验”的密钥填入 notice.sign，并用 `date` 检查时间",
        ),
        (Format::Feishu, Refusal::Code { code: FEISHU_KEYWORD, .. }) => {
            ("set the robot's keyword to Yizhan or 驿站", "请把机器人的关键词设为 Yizhan 或 驿站")
        }
        (_, Refusal::Strange { .. }) => (
            "compare notice.format with what listens at notice.webhook",
            "请核对 notice.format 与 notice.webhook 所指的服务是否相符",
        ),
        (_, Refusal::Status { .. } | Refusal::Code { .. }) if refusal.fault() == Fault::Passing => (
            "the other side is busy or limits how often it is called; the relay tries again by itself",
            "对方繁忙或限制了调用频率；中继会自动重试",
        ),
        (_, Refusal::Status { .. } | Refusal::Code { .. }) => (
            "look whether the robot still exists, and copy its URL anew into notice.webhook",
            "请确认机器人仍然存在，并把其地址重新复制到 notice.webhook",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_signature_is_a_lasting_fault_that_names_the_setting() {
        for (format, code, words) in [(Format::Dingtalk, 310_000, "加签"), (Format::Feishu, 19_021, "签名校验")] {
            let refusal = Refusal::Code { code, said: "sign not match".to_owned() };
            let error = WebhookError::Refused { target: "https://hook.example.com".to_owned(), refusal };
            let remedy = of(&error, format);
            assert_eq!(error.fault(), Fault::Lasting);
            for text in [&remedy.en, &remedy.zh] {
                assert!(text.contains("notice.sign") && text.contains("`date`"), "{text}");
            }
            assert!(remedy.zh.contains(words), "{}", remedy.zh);
        }
    }
}
