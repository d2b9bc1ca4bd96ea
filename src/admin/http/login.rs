//! Sessions of browsers: `POST /login` with a token, `GET /login?code=` with a one-time code, `POST /logout`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Form};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::language::words;

use super::answer::Problem;
use super::asker::{Asker, Proof};
use super::context::HttpContext;
use super::input::{self, Parameters};
use super::sessions;
use super::tokens::Rights;

const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginForm {
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogoutForm {
    form: String,
}

/// `POST /login`: a form with the token begins a session.
pub(super) async fn login(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Result<Response, Problem> {
    let LoginForm { token } = form(request).await?;
    match context.tokens.rights(token.trim()).await {
        Some(rights) => begin(&context, &asker, rights),
        None => Err(context.wrong_token(asker.peer.addr).await),
    }
}

/// `GET /login?code=`: the URL that `yizhan open` prints.
pub(super) async fn login_by_code(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::of(&uri)?;
    let code = parameters.one("code")?;
    parameters.end()?;
    match code {
        Some(code) if context.codes().redeem(&code, Instant::now()) => begin(&context, &asker, Rights::Full),
        Some(_) => Err(context.wrong_token(asker.peer.addr).await),
        None => Err(Problem::unauthorized()),
    }
}

/// `POST /logout`: ends the session. The form carries the text of the session.
pub(super) async fn logout(
    State(context): State<Arc<HttpContext>>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Result<Response, Problem> {
    let Proof::Session(_, id) = &asker.proof else { return Err(Problem::unauthorized()) };
    let LogoutForm { form: text } = form(request).await?;
    let session = context.sessions.find(id, Instant::now()).ok_or_else(Problem::unauthorized)?;
    if !session.is_own_form(&text) {
        return Err(Problem::cross_site());
    }
    context.sessions.end(id);
    let cookie = sessions::set_cookie(None, context.tls.is_some());
    Ok((StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie.as_str()), (header::LOCATION, "/login")]).into_response())
}

fn begin(context: &HttpContext, asker: &Asker, rights: Rights) -> Result<Response, Problem> {
    let id = context.sessions.begin(rights, Instant::now()).map_err(|error| {
        tracing::error!(event = "session_refused", "{error}");
        Problem::fault()
    })?;
    asker.peer.place.prove();
    tracing::info!(event = "logged_in", listener = "http", addr = %asker.peer.addr, view = rights == Rights::View);
    let cookie = sessions::set_cookie(Some(&id), context.tls.is_some());
    Ok((StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie.as_str()), (header::LOCATION, "/")]).into_response())
}

/// The fields of a form. An unknown one is a mistake.
async fn form<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    if input::media_type(request.headers()) != FORM {
        return Err(Problem::unsupported_type(FORM));
    }
    let mut whole = Request::new(Body::from(input::whole_body(request).await?));
    *whole.method_mut() = Method::POST;
    whole.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
    match Form::<T>::from_request(whole, &()).await {
        Ok(Form(fields)) => Ok(fields),
        Err(_) => {
            Err(Problem::bad_body(words("the form lacks a field, or has an unknown one", "表单缺少字段或含有未知字段")))
        }
    }
}
