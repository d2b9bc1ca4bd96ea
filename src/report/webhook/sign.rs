//! Signatures of the robots that ask for one: DingTalk (加签) and Feishu (签名校验). Pure; the time is an argument.
//!
//! ```text
//!  dingtalk   &timestamp=MILLISECONDS&sign=..   base64 of HMAC-SHA256(key: secret, message: "MILLISECONDS\nsecret")
//!  feishu     timestamp and sign in the body    base64 of HMAC-SHA256(key: "SECONDS\nsecret", message: empty)
//! ```
//!
//! Both refuse a time that is more than an hour off. Invariant: no result shows the secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Timestamp;
use crate::net::hmac;
use crate::secret::Secret;

/// The query of a signed call to DingTalk, without `?` or `&` before it.
pub(super) fn dingtalk(secret: &Secret, now: Timestamp) -> String {
    let (secret, timestamp) = (secret.expose(), now.millis());
    let sign = STANDARD.encode(hmac::sha256(secret.as_bytes(), format!("{timestamp}\n{secret}").as_bytes()));
    // RFC 3986 section 2.1; nothing else in base64 needs it.
    let sign = sign.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    format!("timestamp={timestamp}&sign={sign}")
}

/// Timestamp and signature for the body of a signed call to Feishu.
pub(super) fn feishu(secret: &Secret, now: Timestamp) -> (String, String) {
    let timestamp = now.millis().div_euclid(1000).to_string();
    let key = format!("{timestamp}\n{}", secret.expose());
    let sign = STANDARD.encode(hmac::sha256(key.as_bytes(), b""));
    (timestamp, sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signatures_are_those_of_the_vendors() {
        let secret = Secret::new(&format!("SEC{}", "0123456789abcdef".repeat(4)));
        assert_eq!(
            dingtalk(&secret, Timestamp::from_millis(1_577_262_236_757)),
            "timestamp=1577262236757&sign=1FvsaxjE09b7bxVKSJb6LCsb3v2tUTADgOn5aQImxro%3D"
        );
        assert_eq!(
            dingtalk(&Secret::new("this is secret"), Timestamp::from_millis(1_577_262_236_757)),
            "timestamp=1577262236757&sign=hmPWwU%2B7lVdm3ZZz0r9tSfx0L4Q26jWOZr9%2BGs6EZQM%3D"
        );
        let (timestamp, sign) =
            feishu(&Secret::new("kLmN0pQrStUvWxYz012345"), Timestamp::from_millis(1_599_360_473_999));
        assert_eq!((timestamp.as_str(), sign.as_str()), ("1599360473", "+jBCSenwc45EWRng/5gil/DzZek4Ro9jR5P8NCAH8ms="));
    }
}
