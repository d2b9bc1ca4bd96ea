//! What the API changes: one message, many messages, an account.
//!
//! Invariant: a command that was begun is carried out and recorded, whatever becomes of the connection that gave it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::admin::{AdminCommand, AdminReply, Caller, MessageChange, MessageConditions, Selection};
use crate::language::words;
use crate::telemetry::panic;

use super::answer::{self, Problem, json_response, status};
use super::asker::Asker;
use super::context::HttpContext;
use super::{input, reading};

/// The body of a change of one message, and of an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneChange {
    #[serde(default)]
    reason: Option<String>,
}

/// The body of a change of many messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManyChange {
    filter: MessageConditions,
    #[serde(default)]
    expect: Option<u64>,
    #[serde(default)]
    reason: Option<String>,
}

/// `POST /api/v1/messages/{id}/{change}`.
pub(super) async fn change_one(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    Path((id, change)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = asker.commander()?;
    let change = change_of(&change)?;
    let OneChange { reason } = input::json(request).await?;
    let which = Selection::Ids(vec![id.clone()]);
    let reply = order(&context, caller, AdminCommand::Change { change, which, expect: None, reason }).await?;
    match reply {
        // For one message a reason to skip it is a refusal.
        AdminReply::Changed { changed: 0, skipped, .. } if skipped.len() == 1 => {
            let skipped = skipped.into_iter().next().ok_or_else(Problem::fault)?;
            let remedy =
                words("GET /api/v1/messages/{id} shows the message", "GET /api/v1/messages/{id} 可查看这封邮件");
            Err(Problem::new(status(skipped.code), &skipped.code.name(), skipped.message, remedy))
        }
        reply => Ok(json_response(StatusCode::OK, &answer::reply(reply, asker.tongue)?)),
    }
}

/// `POST /api/v1/messages/{change}`: all messages that a filter finds, if they are as many as expected.
pub(super) async fn change_many(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    Path(change): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = asker.commander()?;
    let change = change_of(&change)?;
    let ManyChange { filter, expect, reason } = input::json(request).await?;
    let which = Selection::Filter(filter);
    let reply = order(&context, caller, AdminCommand::Change { change, which, expect, reason }).await?;
    Ok(json_response(StatusCode::OK, &answer::reply(reply, asker.tongue)?))
}

/// `POST /api/v1/accounts/{name}/{pause,resume}`.
pub(super) async fn change_account(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    Path((name, change)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = asker.commander()?;
    let OneChange { reason } = input::json(request).await?;
    let command = match change.as_str() {
        "pause" => AdminCommand::PauseAccount { name, reason },
        "resume" => AdminCommand::ResumeAccount { name },
        _ => return Err(no_path()),
    };
    let reply = order(&context, caller, command).await?;
    Ok(json_response(StatusCode::OK, &answer::reply(reply, asker.tongue)?))
}

/// `POST /api/v1/reload`.
pub(super) async fn reload(Extension(asker): Extension<Asker>) -> Result<Response, Problem> {
    asker.commander()?;
    Err(Problem::new(
        StatusCode::NOT_IMPLEMENTED,
        "not_in_this_version",
        words("this version cannot read its settings again while it runs", "此版本不能在运行中重新读取配置"),
        words("restart the relay; no mail is lost", "请重启中继；邮件不会丢失"),
    ))
}

fn change_of(name: &str) -> Result<MessageChange, Problem> {
    MessageChange::ALL.into_iter().find(|change| change.name() == name).ok_or_else(no_path)
}

fn no_path() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_path",
        words("there is no such path", "没有这个路径"),
        words("docs/api.md lists the paths and their methods", "docs/api.md 列出了路径和方法"),
    )
}

/// Carries out a command on a task of its own.
async fn order(context: &Arc<HttpContext>, caller: Caller, command: AdminCommand) -> Result<AdminReply, Problem> {
    let context = context.clone();
    let work = async move {
        let _here = context.intake.drain.hold("a command over HTTP");
        let counters = context.intake.counters.clone();
        let carried = panic::confined("order", &counters, reading::carry_out(&context, &caller, command));
        carried.await.unwrap_or_else(|| Err(Problem::fault()))
    };
    // The task ends by itself: its panic is confined, and a stop waits for it.
    let answered = tokio::spawn(work).await.map_err(|_| Problem::fault())??;
    Ok(answered.reply)
}
