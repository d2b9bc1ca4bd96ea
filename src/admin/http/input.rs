//! What a request brings: its query and its JSON body, read strictly. An unknown name is a mistake, not noise.

use std::time::Duration;

use axum::extract::{Query, Request};
use axum::http::{HeaderMap, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::language::words;

use super::answer::Problem;

/// Octets of a body that is not a mail.
pub(super) const LARGEST_BODY: u64 = 64 * 1024;
/// For such a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The type of JSON.
pub(super) const JSON: &str = "application/json";

/// The parameters of a query, each with its value, in their order.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// It is not UTF-8 after decoding.
    pub(super) fn of(uri: &Uri) -> Result<Parameters, Problem> {
        let read = Query::<Vec<(String, String)>>::try_from_uri(uri);
        read.map(|Query(pairs)| Parameters(pairs)).map_err(|_| {
            Problem::bad_query(words("the query of the path was not understood", "路径中的查询参数无法识别"))
        })
    }

    /// Takes every value of `name`.
    pub(super) fn all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// Takes the value of `name`.
    ///
    /// # Errors
    /// There are several.
    pub(super) fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut all = self.all(name);
        let first = all.pop();
        if !all.is_empty() {
            let message = words(format!("`{name}` stands twice in the query"), format!("查询中重复出现 `{name}`"));
            return Err(Problem::bad_query(message));
        }
        Ok(first)
    }

    /// Takes the number `name`.
    ///
    /// # Errors
    /// There are several, or it is not a whole number.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<usize>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            Problem::bad_query(words(format!("`{name}` is not a whole number"), format!("`{name}` 不是整数")))
        })
    }

    /// Every parameter was taken.
    ///
    /// # Errors
    /// The first that was not is unknown.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(40).collect();
                let name = name.escape_debug();
                Err(Problem::bad_query(words(
                    format!("the path has no parameter `{name}`"),
                    format!("该路径没有参数 `{name}`"),
                )))
            }
        }
    }
}

/// The media type of a body, without its parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let field = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The body of a request as JSON; `{}` where it is empty.
///
/// # Errors
/// It is too large, too late, of another type, or has unknown fields.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let kind = media_type(request.headers());
    let body = whole_body(request).await?;
    if kind != JSON && !(body.is_empty() && kind.is_empty()) {
        return Err(Problem::unsupported_type(JSON));
    }
    let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
    serde_json::from_slice(text).map_err(|error| {
        let error = error.to_string();
        let error = error.escape_debug();
        Problem::bad_body(words(format!("the JSON was not understood: {error}"), format!("JSON 无法识别：{error}")))
    })
}

/// The body of a request that is small.
///
/// # Errors
/// It is too large, too late, or the connection broke.
pub(super) async fn whole_body(request: Request) -> Result<Bytes, Problem> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|octets| octets > LARGEST_BODY) {
        return Err(Problem::too_large(LARGEST_BODY));
    }
    let body = Limited::new(request.into_body(), LARGEST_BODY as usize).collect();
    match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::too_large(LARGEST_BODY)),
        Ok(Err(_)) => Err(Problem::bad_body(words("the body broke off", "请求内容中断"))),
        Err(_) => Err(Problem::late()),
    }
}
