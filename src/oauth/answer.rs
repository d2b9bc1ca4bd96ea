//! What the service answers, as values: tokens, a device code, or a refusal (RFC 6749 section 5, RFC 8628 section 3.2).
//!
//! Services are read kindly: a number may be written as a text, and fields that are not known are passed over. What is no
//! JSON, such as the page of a guest network, is a fault that passes.

use std::time::Duration;

use serde_json::Value;

use crate::secret::Secret;

/// An access token whose lifetime the service does not name lives for this long.
const USUAL_LIFE: Duration = Duration::from_secs(3600);
/// No service gives out access tokens for longer; what is beyond it is a mistake.
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// The tokens of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// The access token.
    pub access: Secret,
    /// How long it lives from the answer on.
    pub lives: Duration,
    /// The refresh token; `None` when the one before stays.
    pub refresh: Option<Secret>,
    /// The scope that was granted, if the service names it.
    pub scope: Option<String>,
    /// Who signed in, if the service says so: a mail address as a rule.
    pub account: Option<String>,
}

/// A refusal in the form of RFC 6749 section 5.2, or an answer that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The service refuses.
    Error {
        /// The status of the answer.
        status: u16,
        /// The word, such as `invalid_grant`.
        error: String,
        /// The words for people; Entra puts its numbers there.
        description: String,
    },
    /// The service is busy, broken, or it is not the service that answers.
    Passing {
        /// How that shows.
        text: String,
        /// How long to wait, in seconds, if it says so.
        retry_after: Option<u64>,
    },
}

/// A device code.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceCode {
    /// What the relay polls with.
    pub code: Secret,
    /// What the person types.
    pub user_code: String,
    /// Where the person types it.
    pub place: String,
    /// How long both live.
    pub lives: Duration,
    /// How long to wait between two polls.
    pub interval: Duration,
}

/// Reads an answer of the token end point.
///
/// # Errors
/// [`Refusal`].
pub fn tokens(status: u16, retry_after: Option<u64>, body: &[u8]) -> Result<Tokens, Refusal> {
    let value = accepted(status, retry_after, body)?;
    let access = text(&value, "access_token").filter(|token| is_token(token));
    let Some(access) = access else { return Err(strange(status, "it has no access token")) };
    let lives = seconds(&value, "expires_in").map_or(USUAL_LIFE, Duration::from_secs).min(LONGEST_LIFE);
    Ok(Tokens {
        access: Secret::new(&access),
        lives,
        refresh: text(&value, "refresh_token").filter(|token| is_token(token)).map(|token| Secret::new(&token)),
        scope: text(&value, "scope"),
        account: text(&value, "id_token").as_deref().and_then(account_in),
    })
}

/// Reads an answer of the device end point.
///
/// # Errors
/// [`Refusal`].
pub fn device_code(status: u16, retry_after: Option<u64>, body: &[u8]) -> Result<DeviceCode, Refusal> {
    let value = accepted(status, retry_after, body)?;
    // Google wrote `verification_url` before there was a standard.
    let place = text(&value, "verification_uri").or_else(|| text(&value, "verification_url"));
    let (Some(code), Some(user_code), Some(place)) = (text(&value, "device_code"), text(&value, "user_code"), place)
    else {
        return Err(strange(status, "it has no device code"));
    };
    Ok(DeviceCode {
        code: Secret::new(&code),
        user_code,
        place,
        lives: Duration::from_secs(seconds(&value, "expires_in").unwrap_or(900)),
        // RFC 8628 section 3.2.
        interval: Duration::from_secs(seconds(&value, "interval").unwrap_or(5).clamp(1, 60)),
    })
}

fn accepted(status: u16, retry_after: Option<u64>, body: &[u8]) -> Result<Value, Refusal> {
    let value: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
    let busy = status == 408 || status == 429 || status >= 500;
    let error = value.as_ref().and_then(|value| text(value, "error"));
    match (value, error) {
        (Some(value), None) if (200..300).contains(&status) => Ok(value),
        (Some(value), Some(error)) if !busy => {
            let mut description = text(&value, "error_description").unwrap_or_default();
            // The numbers are in the words as a rule; where they are not, they are put there.
            let codes = value.get("error_codes").and_then(Value::as_array);
            for code in codes.into_iter().flatten().filter_map(Value::as_u64) {
                let number = format!("AADSTS{code}");
                if !description.contains(&number) {
                    description = format!("{number} {description}");
                }
            }
            Err(Refusal::Error { status, error, description })
        }
        (_, error) => {
            let words = error.map_or_else(String::new, |error| format!(" ({error})"));
            let what = if busy { "is busy or has a fault" } else { "did not answer as a token service does" };
            Err(Refusal::Passing { text: format!("the token service {what}: status {status}{words}"), retry_after })
        }
    }
}

fn strange(status: u16, what: &str) -> Refusal {
    let text = format!("the token service did not answer as a token service does: status {status}, {what}");
    Refusal::Passing { text, retry_after: None }
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn seconds(value: &Value, field: &str) -> Option<u64> {
    let value = value.get(field)?;
    let number = value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64));
    number.or_else(|| value.as_str()?.trim().parse().ok())
}

/// Whether it can stand in an AUTH line and in a form (RFC 6750 section 2.1).
fn is_token(token: &str) -> bool {
    token.bytes().all(|octet| octet.is_ascii_graphic())
}

/// Who is named in an ID token. Its signature need not be looked at, because it came over TLS from the service itself (OpenID
/// Connect Core section 3.1.3.7).
fn account_in(id_token: &str) -> Option<String> {
    use base64::Engine as _;
    let claims = id_token.split('.').nth(1)?;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    ["email", "preferred_username", "upn"].iter().find_map(|name| text(&claims, name)).filter(|name| name.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_services_write_them() {
        let body = br#"{"token_type":"Bearer","expires_in":"3599","access_token":"eyJ0","refresh_token":"0.AX","scope":"a b"}"#;
        let read = tokens(200, None, body).unwrap();
        assert_eq!((read.access.expose(), read.lives.as_secs()), ("eyJ0", 3599));
        assert_eq!(read.refresh, Some(Secret::new("0.AX")));
        let read = tokens(200, None, br#"{"access_token":"x"}"#).unwrap();
        assert_eq!((read.lives, read.refresh), (USUAL_LIFE, None));
        assert_eq!(tokens(200, None, br#"{"access_token":"x","expires_in":1e300}"#).unwrap().lives, LONGEST_LIFE);
        // {"preferred_username":"me@example.com"}
        let body = br#"{"access_token":"x","id_token":"e30.eyJwcmVmZXJyZWRfdXNlcm5hbWUiOiJtZUBleGFtcGxlLmNvbSJ9.sig"}"#;
        assert_eq!(tokens(200, None, body).unwrap().account.as_deref(), Some("me@example.com"));
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic(
            status in 100_u16..600,
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            word in "[ -~]{0,40}",
        ) {
            let _ = (tokens(status, None, &body), device_code(status, None, &body));
            let json = serde_json::json!({ "access_token": word, "expires_in": word, "id_token": word });
            if let Ok(read) = tokens(status, None, json.to_string().as_bytes()) {
                proptest::prop_assert!((200..300).contains(&status) && is_token(read.access.expose()));
            }
        }
    }

    #[test]
    fn what_is_no_answer_of_a_token_service_passes() {
        let passing = |status, body: &str| match tokens(status, Some(7), body.as_bytes()) {
            Err(Refusal::Passing { retry_after, .. }) => retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(passing(200, "<html>please log in</html>"), Some(7));
        assert_eq!(passing(429, r#"{"error":"too_many"}"#), Some(7));
        assert_eq!(passing(503, ""), Some(7));
        assert_eq!(passing(500, r#"{"error":"invalid_grant"}"#), Some(7));
        assert_eq!(passing(302, "{}"), Some(7));
        assert_eq!(passing(200, r#"{"token_type":"Bearer"}"#), None);
        assert_eq!(passing(200, "{\"access_token\":\"a b\"}"), None);
    }

    #[test]
    fn a_refusal_keeps_its_words_and_its_numbers() {
        let body = br#"{"error":"invalid_grant","error_description":"It is over.","error_codes":[50173]}"#;
        let Err(Refusal::Error { status, error, description }) = tokens(400, None, body) else { panic!("refused") };
        assert_eq!((status, error.as_str(), description.as_str()), (400, "invalid_grant", "AADSTS50173 It is over."));
        // Some services answer 200 with an error.
        assert!(matches!(tokens(200, None, br#"{"error":"x"}"#), Err(Refusal::Error { .. })));
    }

    #[test]
    fn device_codes_of_microsoft_and_google_are_read() {
        let body = br#"{"user_code":"B4C9","device_code":"BAQ","verification_uri":"https://microsoft.com/devicelogin","expires_in":900,"interval":5}"#;
        let code = device_code(200, None, body).unwrap();
        assert_eq!((code.user_code.as_str(), code.interval.as_secs(), code.lives.as_secs()), ("B4C9", 5, 900));
        let body =
            br#"{"user_code":"G-1","device_code":"x","verification_url":"https://www.google.com/device","interval":0}"#;
        let code = device_code(200, None, body).unwrap();
        assert_eq!((code.place.as_str(), code.interval.as_secs()), ("https://www.google.com/device", 1));
        assert!(matches!(device_code(200, None, b"{}"), Err(Refusal::Passing { .. })));
    }
}
