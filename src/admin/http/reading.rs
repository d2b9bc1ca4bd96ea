//! What the API reads: the summary, messages, one message and its content, accounts, clients, the audit log.
//!
//! Invariant: the view token gets no header block and no body.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::admin::{AdminCommand, AdminReply, Answered, Caller, MessageConditions, MessageContent, Order};
use crate::intake::Client;
use crate::language::words;

use super::answer::{self, Problem, json_response};
use super::asker::Asker;
use super::context::HttpContext;
use super::gate::Busy;
use super::input::Parameters;

/// For a reader of a download to take the next piece.
const TAKE: Duration = Duration::from_secs(60);
/// Clients of a page.
const CLIENTS: usize = 100;

/// `GET /api/v1/summary`: the state of the whole relay, and what the operator must do.
pub(super) async fn summary(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
) -> Result<Response, Problem> {
    let caller = asker.reader()?;
    let status = ask(&context, &asker, &caller, AdminCommand::Status {}).await?;
    Ok(json_response(StatusCode::OK, &status))
}

/// `GET /api/v1/messages`.
pub(super) async fn messages(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    uri: Uri,
) -> Result<Response, Problem> {
    let caller = asker.reader()?;
    let mut query = Parameters::of(&uri)?;
    let filter = MessageConditions {
        state: query.all("state"),
        client: query.one("client")?,
        from: query.one("from")?,
        to: query.one("to")?,
        subject: query.one("subject")?,
        account: query.one("account")?,
        since: query.one("since")?,
        until: query.one("until")?,
    };
    let order = match query.one("order")?.as_deref() {
        None | Some("newest") => Order::Newest,
        Some("oldest") => Order::Oldest,
        Some(_) => {
            return Err(Problem::bad_query(words(
                "`order` is neither `newest` nor `oldest`",
                "`order` 只能是 `newest` 或 `oldest`",
            )));
        }
    };
    let (cursor, limit) = (query.one("cursor")?, query.number("limit")?.unwrap_or(0));
    query.end()?;
    let page = ask(&context, &asker, &caller, AdminCommand::Messages { filter, order, cursor, limit }).await?;
    Ok(json_response(StatusCode::OK, &page))
}

/// `GET /api/v1/messages/{id}`.
pub(super) async fn message(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = asker.reader()?;
    let mut message = ask(&context, &asker, &caller, AdminCommand::Show { id }).await?;
    if !asker.sees_content()
        && let Value::Object(fields) = &mut message
    {
        fields.remove("header");
    }
    Ok(json_response(StatusCode::OK, &message))
}

/// `GET /api/v1/messages/{id}/content`: the mail as it would leave, as a file. A browser shows none of it.
pub(super) async fn content(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = asker.commander()?;
    let Answered { reply, content } = carry_out(&context, &caller, AdminCommand::Export { id }).await?;
    let (AdminReply::Export { export }, Some(content)) = (&reply, content) else {
        answer::reply(reply, asker.tongue)?;
        return Err(Problem::fault());
    };
    let name = format!("attachment; filename=\"{}.eml\"", export.id);
    let mut response = pumped(content, Busy::on(&asker.peer.place)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("message/rfc822"));
    headers.insert(header::CONTENT_LENGTH, export.octets.into());
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(&name).map_err(|_| Problem::fault())?);
    Ok(response)
}

/// A body that is read from the queue as its reader takes it. What breaks off is shorter than it was announced.
fn pumped(mut content: MessageContent, busy: Busy) -> Body {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, crate::queue::QueueError>>(1);
    tokio::spawn(async move {
        let _busy = busy;
        while let Some(piece) = content.next_chunk().await.transpose() {
            let broken = piece.is_err();
            // A reader that takes nothing for long, or is gone, ends it.
            if !matches!(timeout(TAKE, sender.send(piece)).await, Ok(Ok(()))) || broken {
                return;
            }
        }
    });
    Body::new(Pumped(receiver))
}

/// The reader's end of [`pumped`].
struct Pumped(mpsc::Receiver<Result<Bytes, crate::queue::QueueError>>);

impl hyper::body::Body for Pumped {
    type Data = Bytes;
    type Error = crate::queue::QueueError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(hyper::body::Frame::data)))
    }
}

/// `GET /api/v1/accounts`.
pub(super) async fn accounts(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
) -> Result<Response, Problem> {
    let caller = asker.reader()?;
    let accounts = ask(&context, &asker, &caller, AdminCommand::Accounts {}).await?;
    Ok(json_response(StatusCode::OK, &accounts))
}

/// `GET /api/v1/clients`: the entries of the settings by name, each with its newest message.
pub(super) async fn clients(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    uri: Uri,
) -> Result<Response, Problem> {
    let caller = asker.reader()?;
    let mut query = Parameters::of(&uri)?;
    let (after, limit) = (query.one("cursor")?, query.number("limit")?.unwrap_or(CLIENTS));
    query.end()?;
    if !(1..=CLIENTS).contains(&limit) {
        let message = words(format!("`limit` is not from 1 to {CLIENTS}"), format!("`limit` 不在 1 到 {CLIENTS} 之间"));
        return Err(Problem::bad_query(message));
    }
    let all = context.intake.clients.all();
    let total = all.len();
    let mut rest = all.into_iter().filter(|client| after.as_ref().is_none_or(|after| client.name > *after)).peekable();
    let mut clients = Vec::new();
    while clients.len() < limit
        && let Some(client) = rest.next()
    {
        clients.push(client_status(&context, &asker, &caller, &client).await?);
    }
    let next = rest.peek().and_then(|_| clients.last()).map(|last| last["name"].clone());
    Ok(json_response(StatusCode::OK, &json!({"clients": clients, "next": next, "total": total})))
}

async fn client_status(
    context: &HttpContext,
    asker: &Asker,
    caller: &Caller,
    client: &Client,
) -> Result<Value, Problem> {
    let filter = MessageConditions { client: Some(client.name.clone()), ..MessageConditions::default() };
    let command = AdminCommand::Messages { filter, order: Order::Newest, cursor: None, limit: 1 };
    let mut newest = ask(context, asker, caller, command).await?;
    Ok(json!({
        "name": client.name,
        "networks": client.from.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "messages": newest["total"].take(),
        "newest": newest["messages"].get_mut(0).map(Value::take),
    }))
}

/// `GET /api/v1/commands`: the audit log.
pub(super) async fn commands(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    uri: Uri,
) -> Result<Response, Problem> {
    let caller = asker.reader()?;
    let mut query = Parameters::of(&uri)?;
    let (since, until, cursor) = (query.one("since")?, query.one("until")?, query.one("cursor")?);
    let limit = query.number("limit")?.unwrap_or(0);
    query.end()?;
    let page = ask(&context, &asker, &caller, AdminCommand::Commands { since, until, cursor, limit }).await?;
    Ok(json_response(StatusCode::OK, &page))
}

/// The answer to a command that only reads, as JSON in the language of the asker.
pub(super) async fn ask(
    context: &HttpContext,
    asker: &Asker,
    caller: &Caller,
    command: AdminCommand,
) -> Result<Value, Problem> {
    let answered = carry_out(context, caller, command).await?;
    answer::reply(answered.reply, asker.tongue)
}

/// Carries out a command within its time.
pub(super) async fn carry_out(
    context: &HttpContext,
    caller: &Caller,
    command: AdminCommand,
) -> Result<Answered, Problem> {
    let patience = command.patience();
    let work = context.admin.carry_out(caller, command);
    match patience {
        Some(patience) => timeout(patience, work).await.map_err(|_| Problem::late()),
        None => Ok(work.await),
    }
}
