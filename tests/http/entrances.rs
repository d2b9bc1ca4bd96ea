//! The ways in: token file, sessions, one-time codes, the Unix socket, TLS, a busy port.

use std::os::unix::fs::PermissionsExt as _;

use tokio::net::{TcpStream, UnixStream};
use yizhan::admin::{AdminBind, AdminCommand, AdminReply, control};

use super::desk::{Desk, VIEW};
use crate::support::ca::TestCa;
use crate::support::folder::Folder;
use crate::support::office::PATIENCE;
use crate::support::ports::Reserved;
use crate::support::web::{Ask, ask};

const FORM: &str = "application/x-www-form-urlencoded";

/// The cookie that an answer sets, as a request sends it.
fn cookie(answer: &crate::support::web::Answer) -> String {
    let field = answer.field("set-cookie").expect("a session begins");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(field.contains(attribute), "{field}");
    }
    field.split(';').next().unwrap().to_owned()
}

fn log_in(token: &str) -> Ask {
    ask("POST /login").body(FORM, format!("token={token}").as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_begins_a_session_that_ends_at_logout() {
    let desk = Desk::open("http-session").await;
    let file = desk.office.settings.queue.data_dir.join("admin.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(desk.token.len(), 43);
    let begun = log_in(&desk.token).at(desk.addr).await.with_status(303);
    let cookie = cookie(&begun);
    let with = |line: &str| ask(line).with("Cookie", &cookie);
    with("GET /api/v1/summary").at(desk.addr).await.with_status(200);
    with("POST /api/v1/accounts/office/pause").json(&serde_json::json!({})).at(desk.addr).await.with_status(200);
    let commands = with("GET /api/v1/commands").at(desk.addr).await.json();
    assert_eq!(commands["commands"][0]["who"], "page:session");
    // Another site cannot know the text that the forms of this session carry.
    assert_eq!(with("POST /logout").body(FORM, b"form=guess").at(desk.addr).await.error(403), "cross_site");
    with("GET /api/v1/summary").at(desk.addr).await.with_status(200);
    assert_eq!(log_in("wrong").at(desk.addr).await.error(401), "unauthorized");
    assert_eq!(ask("POST /login").body("text/plain", b"token=x").at(desk.addr).await.error(415), "unsupported_type");
    assert_eq!(log_in(&format!("{}&next=//evil.example", desk.token)).at(desk.addr).await.error(400), "bad_body");
    // The view token begins a session that only reads.
    let view = self::cookie(&log_in(VIEW).at(desk.addr).await.with_status(303));
    let order = ask("POST /api/v1/accounts/office/resume").with("Cookie", &view).json(&serde_json::json!({}));
    assert_eq!(order.at(desk.addr).await.error(403), "view_only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_the_control_socket_opens_the_page_once() {
    let desk = Desk::open("http-code").await;
    let reply = control::ask(&desk.office.settings.queue.data_dir, &AdminCommand::OpenCode {}).await.unwrap();
    let AdminReply::Page { url, seconds: 120 } = reply else { panic!("{reply:?}") };
    let path = url.strip_prefix(&format!("http://{}", desk.addr)).expect("the address of the page");
    let begun = ask(&format!("GET {path}")).at(desk.addr).await.with_status(303);
    assert_eq!(begun.field("location"), Some("/"));
    ask("GET /api/v1/summary").with("Cookie", &cookie(&begun)).at(desk.addr).await.with_status(200);
    assert_eq!(ask(&format!("GET {path}")).at(desk.addr).await.error(401), "unauthorized", "a code is good once");
    let commands = desk.ask("GET /api/v1/commands").await.json();
    assert_eq!(commands["commands"][0]["command"], "open");
    assert!(!commands.to_string().contains(path.rsplit('=').next().unwrap()), "no code is in the audit log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_in_the_file_counts_without_a_restart() {
    let desk = Desk::open("http-rotate").await;
    let new = "a-new-token-that-has-at-least-32-characters";
    std::fs::write(desk.office.settings.queue.data_dir.join("admin.token"), new).unwrap();
    // Right answers are never delayed, so the old token is asked for, and not the new one.
    crate::support::office::until("the old token to count no more", async || {
        (desk.ask("GET /api/v1/summary").await.status == 401).then_some(())
    })
    .await;
    ask("GET /api/v1/summary").token(new).at(desk.addr).await.with_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unix_socket_is_for_its_owner_and_counts_as_this_machine() {
    let folder = Folder::new("http-unix");
    let path = folder.path().join("admin.sock");
    let office = crate::support::office::Office::with("http-unix-office", Default::default(), |settings| {
        settings.admin.bind = AdminBind::Unix(path.clone());
    })
    .await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let connect = async || UnixStream::connect(&path).await.unwrap();
    ask("GET /metrics").over(connect().await).await.with_status(200);
    assert_eq!(ask("GET /api/v1/summary").over(connect().await).await.error(401), "unauthorized");
    let token = std::fs::read_to_string(office.settings.queue.data_dir.join("admin.token")).unwrap();
    let order = ask("POST /api/v1/accounts/office/pause").token(token.trim());
    order.over(connect().await).await.with_status(200);
    let commands = ask("GET /api/v1/commands").token(token.trim()).over(connect().await).await.json();
    assert_eq!(commands["commands"][0]["from"], "unix");
    office.relay.stop(PATIENCE).await;
    assert!(!path.exists(), "the socket goes with its relay");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_cookie_is_bound_to_it() {
    let authority = TestCa::new();
    let pair = authority.issue(&["localhost"]);
    let folder = Folder::new("http-tls");
    let (certificate, key) = (folder.file("cert.pem", pair.certificate), folder.file("key.pem", pair.key));
    let identity = yizhan::net::tls::identity::Identity::open(&certificate, &key).unwrap();
    let desk = Desk::with("http-tls-desk", |settings| settings.admin.tls = Some(std::sync::Arc::new(identity))).await;
    let connector = yizhan::net::tls::connector(Some(authority.file())).unwrap();
    let connect = async || {
        let stream = TcpStream::connect(desk.addr).await.unwrap();
        yizhan::net::tls::handshake(&connector, "localhost", stream).await.unwrap()
    };
    let begun = log_in(&desk.token).over(connect().await).await.with_status(303);
    let cookie = cookie(&begun);
    assert!(cookie.starts_with("__Host-yz=") && begun.field("set-cookie").unwrap().contains("Secure"));
    ask("GET /api/v1/summary").with("Cookie", &cookie).over(connect().await).await.with_status(200);
    let plain = cookie.replace("__Host-yz", "yz");
    assert_eq!(
        ask("GET /api/v1/summary").with("Cookie", &plain).over(connect().await).await.error(401),
        "unauthorized"
    );
    let stream = TcpStream::connect(desk.addr).await.unwrap();
    let answer = crate::support::web::exchange(stream, &ask("GET /healthz").octets()).await;
    assert!(answer.is_none(), "nothing is said in the clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_default_is_a_warning_and_a_busy_address_of_the_settings_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = AdminBind::Tcp(taken.local_addr().unwrap());
    let desk = Desk::open("http-busy").await;
    let mut settings = desk.office.settings.clone();
    desk.office.relay.stop(PATIENCE).await;
    settings.admin.bind = bind;
    settings.admin.named = true;
    let error = yizhan::app::Relay::start(&settings, yizhan::clock::Clock::system()).unwrap_err().to_string();
    assert!(error.contains("cannot listen on 127.0.0.1") && error.contains("admin.bind"), "{error}");
    settings.admin.named = false;
    let relay = yizhan::app::Relay::start(&settings, yizhan::clock::Clock::system()).unwrap();
    assert_eq!(relay.page_address(), None);
    let reply = control::ask(&settings.queue.data_dir, &AdminCommand::OpenCode {}).await.unwrap();
    let AdminReply::Refused { error } = reply else { panic!("{reply:?}") };
    assert_eq!(error.code.name(), "no_page");
    relay.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_can_be_guessed_ends_the_start() {
    let desk = Desk::open("http-short").await;
    let settings = desk.office.settings.clone();
    desk.office.relay.stop(PATIENCE).await;
    std::fs::write(settings.queue.data_dir.join("admin.token"), "hunter2hunter2").unwrap();
    let error = yizhan::app::Relay::start(&settings, yizhan::clock::Clock::system()).unwrap_err().to_string();
    assert!(error.contains("admin.token") && error.contains("32"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_prints_the_token_and_an_address_that_opens_the_page() {
    let sandbox = crate::support::office::provider(Default::default()).await;
    let port = Reserved::new().release();
    let more = format!("[admin]\nbind = \"127.0.0.1:{}\"\n", port);
    let site = crate::support::program::Site::new("http-program", &sandbox, &more);
    let program = site.start().await;
    program.event("admin_listening").await;
    let printed = site.ask(&["token"]).await;
    let token = printed.out.trim().to_owned();
    printed.with_code(0);
    let addr = format!("127.0.0.1:{}", port).parse().unwrap();
    ask("GET /api/v1/summary").token(&token).at(addr).await.with_status(200);
    let opened = site.ask(&["open"]).await.with_code(0);
    let url = opened.lines().next().unwrap();
    let path = url.strip_prefix(&format!("http://{addr}")).expect("an address of the page").to_owned();
    ask(&format!("GET {path}")).at(addr).await.with_status(303);
    let lines = program.stop().await.join("\n");
    assert!(!lines.contains(&token) && !lines.contains(path.rsplit('=').next().unwrap()), "no secret is in the log");
    let text = site.ask(&["open"]).await.with_code(1);
    assert!(text.contains("does not run"), "{text}");
}
