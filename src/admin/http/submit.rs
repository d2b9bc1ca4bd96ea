//! `POST /api/v1/messages`: hands in a mail, as JSON or as `message/rfc822`, through the admission that SMTP uses.
//!
//! A mail is never in memory as a whole: its octets go to the queue as they come. 201 is said only when it is durable.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::admin::token_file::random_text;
use crate::intake::refusal::Refusal;
use crate::intake::submission::Submission;
use crate::language::words;
use crate::mail::{Address, Id, ReversePath};
use crate::message::composed::{Parts, compose};

use super::answer::{Problem, json_response};
use super::asker::Asker;
use super::context::HttpContext;
use super::input::{self, JSON, Parameters};

const MAIL: &str = "message/rfc822";
/// The longest subject, in characters.
const LONGEST_SUBJECT: usize = 500;
/// For the next octets of a mail.
const PIECE: Duration = Duration::from_secs(60);
/// For all of it.
const WHOLE: Duration = Duration::from_secs(600);

/// A mail as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    cc: Vec<String>,
    #[serde(default)]
    bcc: Vec<String>,
    #[serde(default)]
    reply_to: Option<String>,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    html: Option<String>,
}

/// `POST /api/v1/messages`.
pub(super) async fn submit(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Result<Response, Problem> {
    asker.commander()?;
    let ids = match input::media_type(request.headers()).as_str() {
        JSON => from_json(&context, &asker, request).await?,
        MAIL => from_octets(&context, &asker, request).await?,
        _ => return Err(Problem::unsupported_type("application/json` or `message/rfc822")),
    };
    let ids: Vec<String> = ids.iter().map(Id::to_string).collect();
    Ok(json_response(StatusCode::CREATED, &json!({"ids": ids})))
}

async fn from_json(context: &HttpContext, asker: &Asker, request: Request) -> Result<Vec<Id>, Problem> {
    Parameters::of(request.uri())?.end()?;
    let draft: Draft = input::json(request).await?;
    let owner = &context.intake.owner.mailbox;
    let from = draft.from.as_deref().map(|text| address("from", text)).transpose()?.unwrap_or_else(|| owner.clone());
    let reply_to = draft.reply_to.as_deref().map(|text| address("reply_to", text)).transpose()?;
    let (to, cc, bcc) = (addresses("to", &draft.to)?, addresses("cc", &draft.cc)?, addresses("bcc", &draft.bcc)?);
    if draft.subject.chars().count() > LONGEST_SUBJECT || draft.subject.chars().any(char::is_control) {
        return Err(Problem::bad_body(words(
            format!("`subject` has control characters, or more than {LONGEST_SUBJECT} characters"),
            format!("`subject` 含有控制字符，或超过 {LONGEST_SUBJECT} 个字符"),
        )));
    }
    let id = random_text().map_err(|_| Problem::fault())?;
    let date = context.intake.clock.now().rfc5322();
    let mail = compose(&Parts {
        from: &from,
        to: &to,
        cc: &cc,
        reply_to: reply_to.as_ref(),
        subject: &draft.subject,
        text: draft.text.as_deref(),
        html: draft.html.as_deref(),
        date: &date,
        id: &id,
    });
    let envelope = [to, cc, bcc].concat();
    let mut submission = begin(context, asker, from, envelope, Some(mail.len() as u64))?;
    submission.chunk(&Bytes::from(mail)).await.map_err(refused)?;
    submission.end().await.map_err(refused)
}

async fn from_octets(context: &HttpContext, asker: &Asker, request: Request) -> Result<Vec<Id>, Problem> {
    let mut query = Parameters::of(request.uri())?;
    let (from, to) = (query.one("from")?, query.all("to"));
    query.end()?;
    let owner = &context.intake.owner.mailbox;
    let from = from.map(|text| address("from", &text)).transpose()?.unwrap_or_else(|| owner.clone());
    let to = addresses("to", &to)?;
    let mut submission = begin(context, asker, from, to, announced(request.headers()))?;
    let (mut body, end, mut empty) = (request.into_body(), Instant::now() + WHOLE, true);
    loop {
        let limit = end.min(Instant::now() + PIECE);
        let frame = timeout_at(limit, body.frame()).await.map_err(|_| Problem::late())?;
        let Some(frame) = frame else { break };
        let broken = |_| Problem::bad_body(words("the mail broke off", "邮件内容中断"));
        if let Ok(piece) = frame.map_err(broken)?.into_data() {
            empty &= piece.is_empty();
            submission.chunk(&piece).await.map_err(refused)?;
        }
    }
    if empty {
        return Err(Problem::bad_body(words("there is no mail in the body", "请求内容中没有邮件")));
    }
    submission.end().await.map_err(refused)
}

fn begin(
    context: &HttpContext,
    asker: &Asker,
    from: Address,
    to: Vec<Address>,
    size: Option<u64>,
) -> Result<Submission, Problem> {
    Submission::begin(context.intake.clone(), asker.peer.addr, ReversePath::Address(from), to, size).map_err(refused)
}

/// The size that a body announces.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn addresses(field: &str, texts: &[String]) -> Result<Vec<Address>, Problem> {
    texts.iter().map(|text| address(field, text)).collect()
}

/// An address with a domain.
fn address(field: &str, text: &str) -> Result<Address, Problem> {
    let wrong = || {
        let shown: String = text.chars().take(100).collect();
        let shown = shown.escape_debug();
        Problem::bad_body(words(
            format!("`{shown}` in `{field}` is not a mail address such as user@example.com"),
            format!("`{field}` 中的 `{shown}` 不是邮件地址（例如 user@example.com）"),
        ))
    };
    Address::parse(text.trim()).ok().filter(Address::is_qualified).ok_or_else(wrong)
}

/// A refusal of the admission: what time will mend is 503, or 429 for a rate; what it will not, 400 and the like.
fn refused(Refusal { reply, reason }: Refusal) -> Problem {
    let status = match (reason, reply.code() / 100) {
        ("message_size", _) => StatusCode::PAYLOAD_TOO_LARGE,
        ("recipients", _) => StatusCode::BAD_REQUEST,
        ("client_sender" | "client_recipient" | "sender", _) => StatusCode::FORBIDDEN,
        ("queue_size" | "disk_free" | "inodes_free" | "disk_full", _) => StatusCode::INSUFFICIENT_STORAGE,
        (_, 4) if reply.code() == 450 => StatusCode::TOO_MANY_REQUESTS,
        (_, 4) => StatusCode::SERVICE_UNAVAILABLE,
        (..) => StatusCode::BAD_REQUEST,
    };
    let text = String::from_utf8_lossy(reply.text()).into_owned();
    let remedy = match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        true => words("hand it in again later; nothing was stored", "请稍后重新提交；没有保存任何内容"),
        false => {
            words("correct the mail and hand it in again; nothing was stored", "请修正后重新提交；没有保存任何内容")
        }
    };
    Problem::new(status, reason, words(format!("the mail is refused: {text}"), format!("邮件被拒绝：{text}")), remedy)
}
