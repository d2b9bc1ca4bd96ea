//! An office whose relay has an HTTP face, and those who ask it: with the token, with the view token, with none.

use std::net::SocketAddr;

use yizhan::admin::AdminBind;
use yizhan::config::Settings;
use yizhan::mail::Id;
use yizhan::sandbox::SandboxLimits;
use yizhan::secret::{Secret, SecretSource};

use crate::support::office::Office;
use crate::support::web::{Answer, Ask, ask};

/// The view token of every desk.
pub(crate) const VIEW: &str = "view-token-of-at-least-32-characters";

/// An office with an HTTP face.
pub(crate) struct Desk {
    pub(crate) office: Office,
    pub(crate) addr: SocketAddr,
    pub(crate) token: String,
}

impl Desk {
    /// Opens it at a free port, with a token of the relay's own.
    pub(crate) async fn open(name: &str) -> Desk {
        Desk::with(name, |_| {}).await
    }

    /// As [`Desk::open`], after `change` has had a hand in the settings.
    pub(crate) async fn with(name: &str, change: impl FnOnce(&mut Settings)) -> Desk {
        let office = Office::with(name, SandboxLimits::default(), |settings| {
            settings.admin.bind = AdminBind::Tcp(([127, 0, 0, 1], 0).into());
            settings.admin.view_token = Some(SecretSource::Plain(Secret::new(VIEW)));
            change(settings);
        })
        .await;
        let addr = office.relay.page_address().expect("the page has an address");
        let file = office.settings.queue.data_dir.join("admin.token");
        let token = std::fs::read_to_string(file).expect("the token is made").trim().to_owned();
        Desk { office, addr, token }
    }

    /// A request with the token.
    pub(crate) async fn ask(&self, line: &str) -> Answer {
        ask(line).token(&self.token).at(self.addr).await
    }

    /// A request with the token and a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.request(&format!("POST {path}")).json(body).at(self.addr).await
    }

    /// A request with the token, to be completed.
    pub(crate) fn request(&self, line: &str) -> Ask {
        ask(line).token(&self.token)
    }

    /// A request with the view token.
    pub(crate) async fn view(&self, line: &str) -> Answer {
        ask(line).token(VIEW).at(self.addr).await
    }

    /// Pauses the account, so that mail stays in the queue.
    pub(crate) async fn pause(&self) {
        self.post("/api/v1/accounts/office/pause", &serde_json::json!({"reason": "a test"})).await.with_status(200);
    }

    /// A mail from a device, which stays in the queue after [`Desk::pause`].
    pub(crate) async fn mail(&self, to: &str, subject: &str) -> Id {
        let data = format!("From: scanner@lan.local\r\nSubject: {subject}\r\n\r\nwords of the body\r\n");
        self.office.send(&[to], data.as_bytes()).await
    }
}
