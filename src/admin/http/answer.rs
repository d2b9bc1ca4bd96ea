//! Answers: JSON, errors in the language of the reader, and the headers that every answer has.
//!
//! Invariant: no answer leaves without the security headers, and none has a CORS header.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::admin::{AdminError, AdminReply, ErrorCode};
use crate::language::{Tongue, Words, words};

/// No inline code, nothing from elsewhere, in no frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Every answer has these, unless it has them already.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Why a request is refused: `{"error":{"code","message","remedy"}}`, once the gate knows the language.
#[derive(Clone, Debug)]
pub(super) struct Problem(Box<Refused>);

/// The parts of a [`Problem`].
#[derive(Clone, Debug)]
struct Refused {
    status: StatusCode,
    code: String,
    message: Words,
    remedy: Words,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, message: Words, remedy: Words) -> Problem {
        Problem(Box::new(Refused { status, code: code.to_owned(), message, remedy }))
    }

    /// No token, or a wrong one.
    pub(super) fn unauthorized() -> Problem {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            words("a token is needed, and this request has no right one", "需要令牌，而该请求没有正确的令牌"),
            words(
                "send `Authorization: Bearer TOKEN`; `yizhan token` prints the token",
                "请发送 `Authorization: Bearer 令牌`；`yizhan token` 会显示令牌",
            ),
        )
    }

    /// Too many wrong tokens from this address.
    pub(super) fn locked_out() -> Problem {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "locked_out",
            words("too many wrong tokens came from this address", "来自该地址的错误令牌过多"),
            words("send the right token; it is never refused", "请发送正确的令牌；正确的令牌始终有效"),
        )
    }

    /// The view token asks for what it may not have.
    pub(super) fn view_only() -> Problem {
        Problem::new(
            StatusCode::FORBIDDEN,
            "view_only",
            words(
                "the view token reads everything but content, and gives no orders",
                "只读令牌可以查看除邮件内容以外的信息，不能执行操作",
            ),
            words("use the token that `yizhan token` prints", "请使用 `yizhan token` 显示的令牌"),
        )
    }

    /// The request asks for a host that is not this relay.
    pub(super) fn wrong_host() -> Problem {
        Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "wrong_host",
            words("the Host of the request is not a name of this relay", "请求的 Host 不是这个中继的名称"),
            words(
                "use its IP address or localhost, or add the name to admin.names",
                "请使用 IP 地址或 localhost，或把该名称加入 admin.names",
            ),
        )
    }

    /// A browser was led here by another site.
    pub(super) fn cross_site() -> Problem {
        Problem::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            words("the request was made by a page of another site", "该请求来自其他网站的页面"),
            words("open the page of the relay and repeat it there", "请打开中继自己的页面，在那里重新操作"),
        )
    }

    /// The query has a name or a value that is not understood.
    pub(super) fn bad_query(message: Words) -> Problem {
        let remedy =
            words("docs/openapi.yaml lists the parameters of each path", "docs/openapi.yaml 列出了每个路径的参数");
        Problem::new(StatusCode::BAD_REQUEST, "bad_query", message, remedy)
    }

    /// The body is not understood.
    pub(super) fn bad_body(message: Words) -> Problem {
        let remedy =
            words("docs/openapi.yaml describes the body of each path", "docs/openapi.yaml 说明了每个路径的请求内容");
        Problem::new(StatusCode::BAD_REQUEST, "bad_body", message, remedy)
    }

    /// The body is larger than this path takes.
    pub(super) fn too_large(most: u64) -> Problem {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            words(format!("the body has more than {most} octets"), format!("请求内容超过 {most} 个字节")),
            words("send less", "请减少内容"),
        )
    }

    /// The body is of another type than this path takes.
    pub(super) fn unsupported_type(wanted: &str) -> Problem {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_type",
            words("the type of the body is not one that this path takes", "该路径不接受这种类型的请求内容"),
            words(format!("send `Content-Type: {wanted}`"), format!("请发送 `Content-Type: {wanted}`")),
        )
    }

    /// The body, or the answer, took too long.
    pub(super) fn late() -> Problem {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            words("the request took too long", "请求耗时过长"),
            words(
                "repeat it; `yizhan status` shows whether the relay is busy",
                "请重试；`yizhan status` 显示中继是否繁忙",
            ),
        )
    }

    /// A mistake in the relay.
    pub(super) fn fault() -> Problem {
        Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What the router, or a library under it, refuses.
    fn of_status(status: StatusCode) -> Problem {
        let docs = || words("docs/api.md lists the paths and their methods", "docs/api.md 列出了路径和方法");
        match status {
            StatusCode::NOT_FOUND => {
                Problem::new(status, "no_path", words("there is no such path", "没有这个路径"), docs())
            }
            StatusCode::METHOD_NOT_ALLOWED => Problem::new(
                status,
                "wrong_method",
                words("the path has no such method", "该路径不支持这个方法"),
                docs(),
            ),
            StatusCode::INTERNAL_SERVER_ERROR => Problem::new(
                status,
                "internal",
                words("the relay has made a mistake with this request", "中继处理该请求时出错"),
                words("the log of the relay says more; please report it", "详情见中继的日志；请报告这个问题"),
            ),
            other => {
                Problem::new(other, "bad_request", words("the request was not understood", "请求无法识别"), docs())
            }
        }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Problem {
        let AdminError { code, message, remedy } = error;
        Problem::new(status(code), &code.name(), message, remedy)
    }
}

/// The status of a refusal.
pub(super) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadCommand
        | ErrorCode::BadId
        | ErrorCode::BadState
        | ErrorCode::BadTime
        | ErrorCode::BadFilter
        | ErrorCode::BadCursor
        | ErrorCode::BadLimit
        | ErrorCode::BadText
        | ErrorCode::BadPath
        | ErrorCode::CountNeeded => StatusCode::BAD_REQUEST,
        ErrorCode::NotFound | ErrorCode::NoAccount | ErrorCode::NoPage => StatusCode::NOT_FOUND,
        ErrorCode::NoContent => StatusCode::GONE,
        ErrorCode::WrongState
        | ErrorCode::Held
        | ErrorCode::Busy
        | ErrorCode::TooMany
        | ErrorCode::CountDiffers
        | ErrorCode::FileExists => StatusCode::CONFLICT,
        ErrorCode::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Stopping | ErrorCode::InUse => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::UnknownCommand => StatusCode::NOT_IMPLEMENTED,
        ErrorCode::NotPermitted | ErrorCode::NotWritten | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The gate writes the error: only it knows the language.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// An answer with a JSON body.
pub(super) fn json_response(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => Problem::fault().into_response(),
    }
}

/// The answer to a command, in one language.
pub(super) fn reply(reply: AdminReply, tongue: Tongue) -> Result<serde_json::Value, Problem> {
    match reply {
        AdminReply::Refused { error } => Err((*error).into()),
        reply => reply.in_language(tongue).map_err(|_| Problem::fault()),
    }
}

/// The last step of every answer: the error as JSON, and the headers.
pub(super) fn finish(mut response: Response, tongue: Tongue) -> Response {
    let status = response.status();
    let problem = response.extensions_mut().remove::<Problem>();
    let is_json = |response: &Response| {
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == b"application/json")
    };
    let failed = status.is_client_error() || status.is_server_error();
    // What the router refuses has a text of its own.
    let problem = problem.or_else(|| (failed && !is_json(&response)).then(|| Problem::of_status(status)));
    if let Some(Problem(refused)) = problem {
        let Refused { status, code, message, remedy } = *refused;
        let text = json!({"error": {"code": code, "message": message.pick(tongue), "remedy": remedy.pick(tongue)}});
        *response.body_mut() = Body::from(text.to_string());
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"yizhan\""));
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// The language that a reader prefers; English where both are as good.
pub(super) fn tongue(headers: &HeaderMap) -> Tongue {
    let text = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut best = (Tongue::En, 0.0);
    for item in text.split(',') {
        let mut parts = item.split(';');
        let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        let spoken = match tag.split('-').next() {
            Some("zh") => Tongue::Zh,
            Some("en") => Tongue::En,
            Some(_) | None => continue,
        };
        if quality > best.1 {
            best = (spoken, quality);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_chooses_the_language() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, text.parse().unwrap());
            tongue(&headers)
        };
        assert_eq!(of("zh-CN,zh;q=0.9,en;q=0.8"), Tongue::Zh);
        assert_eq!(of("en-US,en;q=0.9,zh-CN;q=0.8"), Tongue::En);
        assert_eq!(of("de, zh;q=0.5"), Tongue::Zh);
        assert_eq!(of("en;q=0.1, zh;q=NaN, *"), Tongue::En);
        assert_eq!(of(""), Tongue::En);
        assert_eq!(tongue(&HeaderMap::new()), Tongue::En);
    }

    #[test]
    fn every_error_has_the_form_and_the_headers() {
        for response in [Problem::unauthorized().into_response(), StatusCode::NOT_FOUND.into_response()] {
            let response = finish(response, Tongue::Zh);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            assert!(
                response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'")
            );
            assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control")));
        }
    }
}
