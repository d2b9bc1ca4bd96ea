//! `/healthz`, `/readyz` and `/metrics`.
//!
//! Reasons are for programs on this machine, and for those with a token: an orchestrator needs the status only.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::admin::settings::MetricsAccess;
use crate::admin::{AdminCommand, AdminReply, Caller, HealthStatus};
use crate::language::Words;
use crate::telemetry::counter;

use super::answer::{Problem, json_response};
use super::asker::Asker;
use super::context::HttpContext;
use super::reading;

/// `GET /healthz`: every part that is needed for mail runs.
pub(super) async fn health(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
) -> Result<Response, Problem> {
    let HealthStatus { alive, reasons, .. } = ask(&context).await?;
    Ok(probe(alive, ("ok", "broken"), &reasons, &asker))
}

/// `GET /readyz`: the relay takes mail. A paused account does not change it.
pub(super) async fn ready(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
) -> Result<Response, Problem> {
    let HealthStatus { ready, reasons, .. } = ask(&context).await?;
    Ok(probe(ready, ("ready", "not_ready"), &reasons, &asker))
}

async fn ask(context: &HttpContext) -> Result<HealthStatus, Problem> {
    // It is in no audit log: it changes nothing.
    let caller = Caller { who: "probe".to_owned(), from: String::new() };
    let answered = reading::carry_out(context, &caller, AdminCommand::Health {}).await?;
    let AdminReply::Health { health } = answered.reply else { return Err(Problem::fault()) };
    Ok(health)
}

fn probe(good: bool, (yes, no): (&str, &str), reasons: &[Words], asker: &Asker) -> Response {
    let (status, word) = if good { (StatusCode::OK, yes) } else { (StatusCode::SERVICE_UNAVAILABLE, no) };
    match asker.local || asker.is_known() {
        true => {
            let reasons: Vec<&str> = reasons.iter().map(|reason| reason.pick(asker.tongue)).collect();
            json_response(status, &json!({"status": word, "reasons": reasons}))
        }
        false => json_response(status, &json!({"status": word})),
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
) -> Result<Response, Problem> {
    let allowed = match context.metrics {
        MetricsAccess::Loopback => asker.local || asker.is_known(),
        MetricsAccess::Token => asker.is_known(),
        MetricsAccess::Open => true,
    };
    if !allowed {
        return Err(Problem::unauthorized());
    }
    Ok(([(header::CONTENT_TYPE, counter::CONTENT_TYPE)], context.admin.metrics(&context.intake.counters).await)
        .into_response())
}
