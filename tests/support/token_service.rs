//! A token service of our own: token and device end points over HTTP, with every fault that a real one was seen to have.
//!
//! Each new access token is set in the sandbox, where there is one, as the only one of its user. Refresh tokens rotate, or
//! stay, and the old ones stay good, as Microsoft's do, unless a test asks for the contrary. Not here: whether the grants are
//! those of the standards (a foreign service judges that).

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use yizhan::oauth::{Grant, OAuthSettings, ServiceUrl};
use yizhan::sandbox::Sandbox;
use yizhan::secret::Secret;

/// The program's id that is known.
pub const CLIENT: &str = "00001111-aaaa";
/// The refresh token that is good from the start.
pub const REFRESH: &str = "refresh-token-0";

/// What it does with the next question.
#[derive(Clone, Debug)]
pub enum Act {
    /// This status, these header lines, this body.
    Say(u16, &'static str, String),
    /// Closes.
    HangUp,
    /// Never answers.
    Hang,
}

impl Act {
    /// A refusal in JSON.
    pub fn refuse(error: &str, description: &str) -> Act {
        let body = serde_json::json!({ "error": error, "error_description": description });
        Act::Say(400, "", body.to_string())
    }
}

/// A question that came.
#[derive(Clone, Debug)]
pub struct Question {
    pub path: String,
    pub fields: HashMap<String, String>,
}

impl Question {
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// How it is set up; a test may change it at any time.
#[derive(Debug)]
pub struct Rules {
    /// What it does with the next questions.
    pub acts: VecDeque<Act>,
    /// What it does with all questions that none of those is for.
    pub always: Option<Act>,
    /// `expires_in`.
    pub life: serde_json::Value,
    /// Each answer has a new refresh token.
    pub rotates: bool,
    /// Refresh tokens that are good.
    pub good: Vec<String>,
    /// The length of an access token is filled up to this.
    pub length: usize,
    /// Tells who signed in.
    pub account: Option<String>,
    /// A person has typed the device code.
    pub approved: bool,
    /// The user whose token is set in the sandbox.
    pub user: String,
    seen: Vec<Question>,
    number: usize,
}

/// A running service.
pub struct TokenService {
    address: SocketAddr,
    https: bool,
    rules: Arc<Mutex<Rules>>,
    task: JoinHandle<()>,
}

impl TokenService {
    /// Starts it; tokens of `user` are set in `sandbox`.
    pub async fn start(user: &str, sandbox: Option<Arc<Sandbox>>) -> TokenService {
        TokenService::listen(user, sandbox, None).await
    }

    /// As [`TokenService::start`], over TLS.
    pub async fn over_tls(user: &str, sandbox: Option<Arc<Sandbox>>, acceptor: TlsAcceptor) -> TokenService {
        TokenService::listen(user, sandbox, Some(acceptor)).await
    }

    async fn listen(user: &str, sandbox: Option<Arc<Sandbox>>, acceptor: Option<TlsAcceptor>) -> TokenService {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let rules = Arc::new(Mutex::new(Rules {
            acts: VecDeque::new(),
            always: None,
            life: 3600.into(),
            rotates: true,
            good: vec![REFRESH.to_owned()],
            length: 0,
            account: None,
            approved: false,
            user: user.to_owned(),
            seen: Vec::new(),
            number: 0,
        }));
        let (shared, https) = (rules.clone(), acceptor.is_some());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("loopback works");
                let (rules, sandbox, acceptor) = (shared.clone(), sandbox.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, &rules, sandbox.as_deref()).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, &rules, sandbox.as_deref()).await;
                            }
                        }
                    }
                });
            }
        });
        TokenService { address, https, rules, task }
    }

    /// Its rules.
    pub fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().expect("no panic holds it")
    }

    /// What it does with the next question.
    pub fn next(&self, act: Act) {
        self.rules().acts.push_back(act);
    }

    /// The questions that came.
    pub fn seen(&self) -> Vec<Question> {
        self.rules().seen.clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of this path.
    pub fn url(&self, path: &str) -> String {
        format!("http{}://{}/{path}", if self.https { "s" } else { "" }, self.address)
    }

    /// The settings of an account that gets its tokens here.
    pub fn settings(&self, grant: Grant, user: &str, folder: &Path) -> OAuthSettings {
        let url = |path: &str| ServiceUrl::parse(&self.url(path)).expect("it is a URL");
        OAuthSettings {
            account: "office".to_owned(),
            user: user.to_owned(),
            grant,
            client_id: CLIENT.to_owned(),
            client_secret: None,
            key: None,
            refresh: None,
            authorize: Some(url("authorize")),
            token: url("token"),
            device: Some(url("device")),
            scope: "smtp offline_access".to_owned(),
            redirect_to_name: false,
            expires: None,
            proxy: None,
            ca: None,
            folder: folder.join("oauth"),
        }
    }
}

impl Drop for TokenService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, rules: &Mutex<Rules>, sandbox: Option<&Sandbox>) {
    let Some(question) = read(&mut stream).await else { return };
    let answer = {
        let mut rules = rules.lock().expect("no panic holds it");
        rules.seen.push(question.clone());
        let act = rules.acts.pop_front().or_else(|| rules.always.clone());
        match act {
            Some(act) => act,
            None => rules.answer(&question, sandbox),
        }
    };
    match answer {
        Act::HangUp => {}
        Act::Hang => std::future::pending::<()>().await,
        Act::Say(status, head, body) => {
            let text = format!(
                "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{head}Connection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    }
}

impl Rules {
    fn answer(&mut self, question: &Question, sandbox: Option<&Sandbox>) -> Act {
        if question.field("client_id") != CLIENT && question.field("assertion").is_empty() {
            return Act::refuse("invalid_client", "The OAuth client was not found.");
        }
        if question.path == "/device" {
            let body = serde_json::json!({ "device_code": "device-code-1", "user_code": "ABCD-EFGH",
                "verification_uri": "https://id.test/device", "expires_in": 900, "interval": 1 });
            return Act::Say(200, "", body.to_string());
        }
        match question.field("grant_type") {
            "refresh_token" if !self.good.iter().any(|good| good == question.field("refresh_token")) => {
                return Act::refuse(
                    "invalid_grant",
                    "AADSTS50173: The provided grant has expired due to it being revoked",
                );
            }
            "urn:ietf:params:oauth:grant-type:device_code" if !self.approved => {
                return Act::refuse("authorization_pending", "AADSTS70016: pending");
            }
            "authorization_code" if question.field("code_verifier").len() != 43 => {
                return Act::refuse("invalid_grant", "the verifier is wrong");
            }
            _ => {}
        }
        self.number += 1;
        let number = self.number;
        let access = format!("access-token-{number}{}", "x".repeat(self.length));
        let mut body = serde_json::json!({ "token_type": "Bearer", "access_token": access, "expires_in": self.life });
        let by_a_program = matches!(
            question.field("grant_type"),
            "client_credentials" | "urn:ietf:params:oauth:grant-type:jwt-bearer"
        );
        if !by_a_program && (self.rotates || question.field("grant_type") != "refresh_token") {
            let refresh = format!("refresh-token-{number}");
            body["refresh_token"] = refresh.clone().into();
            self.good.push(refresh);
        }
        if let Some(account) = &self.account {
            use base64::Engine as _;
            let claims = serde_json::json!({ "preferred_username": account }).to_string();
            let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
            body["id_token"] = format!("e30.{claims}.sig").into();
        }
        if let Some(sandbox) = sandbox {
            sandbox.set_token(&self.user, Some(Secret::new(&access)));
        }
        Act::Say(200, "", body.to_string())
    }
}

/// Reads one request: its path and the fields of its form.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Question> {
    let mut input = Vec::new();
    loop {
        if let Some(head) = memchr::memmem::find(&input, b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&input[..head]).into_owned();
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if input.len() >= head + 4 + length.unwrap_or(0) {
                let path = text.split(' ').nth(1).unwrap_or("").to_owned();
                let body = String::from_utf8_lossy(&input[head + 4..]).into_owned();
                let fields = body.split('&').filter_map(|pair| pair.split_once('='));
                let fields = fields.map(|(name, value)| (name.to_owned(), unescaped(value))).collect();
                return Some(Question { path, fields });
            }
        }
        if stream.read_buf(&mut input).await.ok()? == 0 {
            return None;
        }
    }
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        if octet == b'%' {
            let digits: Vec<u8> = octets.by_ref().take(2).collect();
            let digits = std::str::from_utf8(&digits).expect("two digits");
            out.push(u8::from_str_radix(digits, 16).expect("two digits"));
        } else {
            out.push(octet);
        }
    }
    String::from_utf8(out).expect("UTF-8")
}
