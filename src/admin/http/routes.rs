//! Which path is what.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::context::HttpContext;
use super::gate::gate;
use super::{changes, login, probes, reading, submit};

/// All paths, behind the gate.
pub(super) fn router(context: Arc<HttpContext>) -> Router {
    let api = Router::new()
        .route("/summary", get(reading::summary))
        .route("/messages", get(reading::messages).post(submit::submit))
        .route("/messages/{id}", get(reading::message).post(changes::change_many))
        .route("/messages/{id}/content", get(reading::content))
        .route("/messages/{id}/{change}", post(changes::change_one))
        .route("/accounts", get(reading::accounts))
        .route("/accounts/{name}/{change}", post(changes::change_account))
        .route("/clients", get(reading::clients))
        .route("/commands", get(reading::commands))
        .route("/reload", post(changes::reload));
    Router::new()
        .route("/healthz", get(probes::health))
        .route("/readyz", get(probes::ready))
        .route("/metrics", get(probes::metrics))
        .route("/login", get(login::login_by_code).post(login::login))
        .route("/logout", post(login::logout))
        .nest("/api/v1", api)
        .layer(from_fn_with_state(context.clone(), gate))
        .with_state(context)
}
