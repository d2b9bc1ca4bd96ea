//! Accounts with access tokens: what goes over the wire, when a token is asked for, and what each fault comes to.

use std::sync::Arc;
use std::time::Duration;

use crate::support::account::{Budget, deliver, delivered, line_trouble, send, send_with, settings, upstream};
use crate::support::ca::TestCa;
use crate::support::folder::Folder;
use crate::support::office::{Office, USER, provider, until};
use crate::support::proxy::{Act as ProxyAct, Kind, Manners, TestProxy};
use crate::support::token_service::{Act, CLIENT, REFRESH, TokenService};
use yizhan::clock::{Clock, Timestamp};
use yizhan::net::proxy::Proxy;
use yizhan::oauth::store::{SignIn, Store, new_id};
use yizhan::oauth::{Grant, OAuthSettings, ServiceUrl, TokenSource};
use yizhan::provider::{Action, Catalogue, Group, Mechanism};
use yizhan::queue::MessageState;
use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, TokenRefusal};
use yizhan::secret::{Secret, SecretSource};
use yizhan::upstream::{Condition, Report, UpstreamSettings};

/// A provider, a token service, and an account whose sign-in is `age` old.
struct Scene {
    sandbox: Arc<Sandbox>,
    service: TokenService,
    oauth: OAuthSettings,
    settings: UpstreamSettings,
    folder: Folder,
}

async fn scene(grant: Grant) -> Scene {
    let folder = Folder::new("oauth");
    let sandbox = Arc::new(provider(SandboxLimits::default()).await);
    let service = TokenService::start(USER, Some(sandbox.clone())).await;
    sandbox.set_token(USER, None);
    let oauth = service.settings(grant, USER, folder.path());
    let settings = UpstreamSettings { group: Group::Microsoft, ..settings(&sandbox, &folder) };
    let mut scene = Scene { sandbox, service, oauth, settings, folder };
    scene.with_source(Clock::system());
    scene
}

impl Scene {
    fn with_source(&mut self, clock: Clock) {
        self.settings.token = TokenSource::new(self.oauth.clone(), Catalogue::built_in(), clock);
        self.settings.login = Mechanism::FOR_TOKENS.to_vec();
    }

    fn store(&self) -> Store {
        Store::of(&self.oauth)
    }

    /// A person has signed in; the access token came `age` ago and lives for an hour.
    fn sign_in(&self, access: Option<&str>, age: Duration) -> SignIn {
        let now = Clock::system().now();
        let sign_in = SignIn {
            id: new_id().expect("there is chance"),
            refresh: Some(Secret::new(REFRESH)),
            access: access.map(Secret::new),
            obtained: now - age,
            expires: now - age + Duration::from_secs(3600),
            scope: String::new(),
            account: USER.to_owned(),
        };
        self.store().write(&sign_in).expect("the folder is writable");
        sign_in
    }

    fn stored(&self) -> SignIn {
        self.store().read().expect("it can be read").expect("it is there")
    }
}

const MINUTES: Duration = Duration::from_secs(60);

/// Why the account rests.
fn refused(report: &Report) -> (&'static str, Action) {
    match &report.condition {
        Condition::Account { verdict, .. } => (verdict.cause, verdict.action),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_token_is_asked_for_once_written_down_and_used_by_every_log_in() {
    let scene = scene(Grant::Device).await;
    scene.sign_in(None, MINUTES);
    for _ in 0..3 {
        let way = upstream(scene.settings.clone());
        deliver(&way).await;
        way.close_idle().await;
    }
    let seen = scene.service.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].field("grant_type"), seen[0].field("refresh_token")), ("refresh_token", REFRESH));
    assert_eq!(scene.sandbox.stats().logins_ok, 3);
    let stored = scene.stored();
    assert_eq!(stored.access, Some(Secret::new("access-token-1")));
    assert_eq!(stored.refresh, Some(Secret::new("refresh-token-1")), "it rotates");
}

#[tokio::test]
async fn the_old_refresh_token_stays_where_the_service_gives_no_new_one() {
    let scene = scene(Grant::Device).await;
    scene.service.rules().rotates = false;
    scene.service.rules().life = "3599".into();
    scene.service.rules().length = 6000;
    scene.sign_in(None, MINUTES);
    deliver(&upstream(scene.settings.clone())).await;
    assert_eq!(scene.stored().refresh, Some(Secret::new(REFRESH)));
    let lives = scene.stored().expires.since(scene.stored().obtained);
    assert_eq!(lives, Duration::from_secs(3599), "a number as a text");
}

#[tokio::test]
async fn a_token_with_less_than_ten_minutes_is_replaced_and_a_living_one_is_used_while_the_service_is_away() {
    let scene = scene(Grant::Device).await;
    scene.sign_in(Some("the-token-of-before"), 51 * MINUTES);
    scene.sandbox.set_token(USER, Some(Secret::new("the-token-of-before")));
    scene.service.rules().always = Some(Act::HangUp);
    let way = upstream(scene.settings.clone());
    deliver(&way).await;
    assert_eq!(scene.service.seen().len(), 1, "it was asked for");
    scene.service.rules().always = None;
    let mut fresh = scene;
    fresh.with_source(Clock::system());
    deliver(&upstream(fresh.settings.clone())).await;
    assert_eq!(fresh.stored().access, Some(Secret::new("access-token-1")));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_unless_it_is_young() {
    for (form, text) in [(TokenRefusal::AtOnce, "OA-S6"), (TokenRefusal::Challenge, "OA-S7")] {
        let scene = scene(Grant::Device).await;
        scene.sandbox.set_token_refusal(form);
        scene.sign_in(Some("a-token-that-was-revoked"), 2 * MINUTES);
        let budget = Budget::of(10);
        delivered(&send_with(&upstream(scene.settings.clone()), &budget).await);
        assert_eq!((budget.asked(), scene.sandbox.stats().logins_refused), (2, 1), "both log-ins count");
        // The next one is refused as well: it is young by now.
        scene.sandbox.set_token(USER, None);
        let report = send(&upstream(scene.settings.clone())).await;
        assert_eq!(refused(&report), (text, Action::Cool15ThenPause), "{report:?}");
        assert_eq!(scene.service.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_refusal_that_no_token_mends_asks_for_none() {
    let off = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit \
        https://aka.ms/smtp_auth_disabled";
    let scene = scene(Grant::Device).await;
    scene.sign_in(Some("a-token-that-is-good"), 5 * MINUTES);
    scene.sandbox.fault(Fault::last_reply(Stage::Auth, off));
    let report = send(&upstream(scene.settings.clone())).await;
    assert_eq!(refused(&report), ("OA-S2", Action::Pause));
    assert!(scene.service.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_cannot_read_so_long_a_line_is_asked_in_two_steps() {
    let scene = scene(Grant::Device).await;
    scene.service.rules().length = 4000;
    scene.sandbox.set_longest_auth_line(2048);
    scene.sign_in(None, MINUTES);
    deliver(&upstream(scene.settings.clone())).await;
    assert_eq!(scene.sandbox.stats().logins_refused, 0);
}

#[tokio::test]
async fn oauthbearer_goes_where_nothing_else_is_offered() {
    let scene = scene(Grant::Device).await;
    scene.sign_in(None, MINUTES);
    scene.sandbox.fault(Fault::reply(Stage::Ehlo, "250-x\r\n250-8BITMIME\r\n250 AUTH PLAIN OAUTHBEARER"));
    deliver(&upstream(scene.settings.clone())).await;
}

#[tokio::test]
async fn a_service_that_is_away_is_trouble_of_the_line() {
    let scene = scene(Grant::Device).await;
    scene.sign_in(None, MINUTES);
    let way = upstream(scene.settings.clone());
    let html = Act::Say(200, "", "<html>please log in</html>".to_owned());
    let busy = Act::Say(503, "", "{}".to_owned());
    let passing = Act::refuse("invalid_grant", "AADSTS90033: A transient error has occurred.");
    for act in [Act::HangUp, html, busy, passing] {
        scene.service.next(act.clone());
        let text = line_trouble(&send(&way).await).to_owned();
        assert!(text.contains("token service"), "{act:?}: {text}");
    }
    // It asks to be left alone for a while, and is.
    scene.service.next(Act::Say(429, "Retry-After: 60\r\n", "{}".to_owned()));
    line_trouble(&send(&way).await);
    let before = scene.service.seen().len();
    line_trouble(&send(&way).await);
    assert_eq!(scene.service.seen().len(), before);
    assert_eq!(scene.sandbox.stats().logins_refused, 0, "no log-in was tried");
}

#[tokio::test]
async fn what_the_service_refuses_pauses_with_its_remedy() {
    for (error, description, cause) in [
        ("invalid_grant", "AADSTS700082: The refresh token has expired due to inactivity.", "OA-G1"),
        ("invalid_grant", "AADSTS50173: The provided grant has expired due to it being revoked", "OA-G2"),
        ("invalid_grant", "Token has been expired or revoked.", "OA-G15"),
        ("invalid_client", "AADSTS7000222: The provided client secret keys are expired.", "OA-G7"),
        ("invalid_request", "AADSTS90002: Tenant 'nowhere' not found.", "OA-G11"),
    ] {
        let scene = scene(Grant::Device).await;
        scene.sign_in(None, MINUTES);
        scene.service.next(Act::refuse(error, description));
        let report = send(&upstream(scene.settings.clone())).await;
        assert_eq!(refused(&report), (cause, Action::Pause), "{description}");
        assert!(!format!("{report:?}").contains(REFRESH));
    }
}

#[tokio::test]
async fn an_unknown_refusal_is_doubted_at_first() {
    let scene = scene(Grant::Device).await;
    scene.sign_in(None, MINUTES);
    scene.service.rules().always = Some(Act::refuse("invalid_grant", "AADSTS9999999: not known yet"));
    let way = upstream(scene.settings.clone());
    for _ in 0..3 {
        line_trouble(&send(&way).await);
    }
    assert_eq!(scene.service.seen().len(), 1, "not asked within the minute");
}

#[tokio::test]
async fn an_account_without_a_sign_in_of_its_own_says_so() {
    let scene = scene(Grant::Device).await;
    let report = send(&upstream(scene.settings.clone())).await;
    assert_eq!(refused(&report), ("not-signed-in", Action::Pause));
    let other = OAuthSettings { user: "other@qq.com".to_owned(), ..scene.oauth.clone() };
    let sign_in = scene.sign_in(None, MINUTES);
    Store::of(&other).write(&sign_in).expect("it is writable");
    let report = send(&upstream(scene.settings.clone())).await;
    assert_eq!(refused(&report), ("other-sign-in", Action::Pause));
    std::fs::write(scene.store().path(), "{").expect("it is writable");
    let report = send(&upstream(scene.settings.clone())).await;
    assert_eq!(refused(&report), ("token-file", Action::Cool15));
    assert!(scene.service.seen().is_empty());
}

#[tokio::test]
async fn a_sign_in_without_a_refresh_token_ends_with_its_token() {
    let scene = scene(Grant::Device).await;
    let sign_in = scene.sign_in(None, MINUTES);
    scene.store().write(&SignIn { refresh: None, ..sign_in }).expect("it is writable");
    let report = send(&upstream(scene.settings.clone())).await;
    assert_eq!(refused(&report), ("no-refresh-token", Action::Pause));
}

#[tokio::test]
async fn a_program_signs_in_by_itself() {
    let mut scene = scene(Grant::Client).await;
    scene.oauth.client_secret = Some(SecretSource::File(scene.folder.secret("app", "app~secret.1")));
    scene.with_source(Clock::system());
    deliver(&upstream(scene.settings.clone())).await;
    let seen = scene.service.seen();
    assert_eq!((seen[0].field("grant_type"), seen[0].field("client_secret")), ("client_credentials", "app~secret.1"));
    assert_eq!(scene.stored().refresh, None);
    std::fs::remove_file(scene.folder.path().join("app")).expect("it is there");
    let report = send(&upstream(scene.settings.clone())).await;
    assert_eq!(refused(&report), ("client-secret", Action::Cool15));
}

#[cfg(feature = "aws-lc")]
#[tokio::test]
async fn a_service_account_signs_a_statement() {
    let mut scene = scene(Grant::ServiceAccount).await;
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).expect("a key");
    let file = serde_json::json!({ "type": "service_account", "client_email": "relay@x.iam.gserviceaccount.com",
        "private_key_id": "k1", "private_key": key.serialize_pem() });
    scene.oauth.key = Some(SecretSource::File(scene.folder.secret("key.json", file.to_string())));
    scene.with_source(Clock::system());
    deliver(&upstream(scene.settings.clone())).await;
    let seen = scene.service.seen();
    assert_eq!(seen[0].field("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_eq!(seen[0].field("assertion").split('.').count(), 3);
}

#[tokio::test]
async fn two_processes_ask_once_and_both_go_on() {
    let scene = scene(Grant::Device).await;
    scene.sign_in(None, MINUTES);
    let one = || TokenSource::new(scene.oauth.clone(), Catalogue::built_in(), Clock::system()).expect("it is built in");
    let (first, second) = (one(), one());
    let (a, b, c) = tokio::join!(first.token(), second.token(), first.token());
    let tokens: Vec<String> =
        [a, b, c].into_iter().map(|token| token.expect("a token").secret().expose().to_owned()).collect();
    assert_eq!(tokens, ["access-token-1"; 3]);
    assert_eq!(scene.service.seen().len(), 1);
}

#[tokio::test]
async fn a_process_that_died_before_it_wrote_leaves_a_sign_in_that_works() {
    let scene = scene(Grant::Device).await;
    scene.sign_in(None, MINUTES);
    let before = std::fs::read(scene.store().path()).expect("it is there");
    deliver(&upstream(scene.settings.clone())).await;
    std::fs::write(scene.store().path(), before).expect("it is writable");
    // What a kill in the middle of writing leaves beside it.
    std::fs::write(scene.oauth.folder.join(".office.1.new"), "{\"v\":1").expect("it is writable");
    let again = TokenSource::new(scene.oauth.clone(), Catalogue::built_in(), Clock::system()).expect("it is built in");
    assert_eq!(again.token().await.expect("a token").secret().expose(), "access-token-2");
    assert_eq!(scene.service.seen()[1].field("refresh_token"), REFRESH);
}

#[tokio::test]
async fn a_disk_that_takes_no_writes_keeps_no_mail_and_loses_no_sign_in() {
    let scene = scene(Grant::Device).await;
    scene.sign_in(None, MINUTES);
    let block = scene.oauth.folder.join(format!(".office.{}.new", std::process::id()));
    std::fs::create_dir(&block).expect("it is writable");
    let way = upstream(scene.settings.clone());
    deliver(&way).await;
    assert_eq!(scene.stored().refresh, Some(Secret::new(REFRESH)), "nothing was written");
    way.close_idle().await;
    std::fs::remove_dir(&block).expect("it is ours");
    deliver(&way).await;
    assert_eq!(scene.stored().refresh, Some(Secret::new("refresh-token-1")), "it was written later");
    assert_eq!(scene.service.seen().len(), 1);
}

#[tokio::test]
async fn a_clock_that_jumps_costs_one_token_at_most() {
    let mut scene = scene(Grant::Device).await;
    let clock = Clock::manual(Clock::system().now());
    scene.with_source(clock.clone());
    scene.sign_in(None, MINUTES);
    let source = scene.settings.token.clone().expect("it is there");
    let mut tokens = Vec::new();
    for jump in [0_i64, 365 * 86_400, -730 * 86_400, 0] {
        let now = clock.now();
        clock.set(Timestamp::from_millis(now.millis() + jump * 1000));
        tokens.push(source.token().await.expect("a token").secret().expose().to_owned());
    }
    assert_eq!(tokens[0], "access-token-1");
    assert_eq!(tokens[1], "access-token-2", "a year ahead it may have ended");
    assert_eq!(tokens[2..], ["access-token-2", "access-token-2"], "set back, the monotonic clock counts");
    assert_eq!(scene.service.seen().len(), 2);
}

#[tokio::test]
async fn the_token_service_is_reached_through_the_accounts_proxy() {
    let ca = TestCa::new();
    let acceptor = tokio_rustls::TlsAcceptor::from(ca.issue(&["login.test"]).server_config());
    let folder = Folder::new("oauth-proxy");
    let service = TokenService::over_tls(USER, None, acceptor).await;
    let names = vec![("login.test:443".to_owned(), service.address())];
    for kind in [Kind::Socks5, Kind::Http] {
        let manners = Manners { login: None, names: names.clone(), act: ProxyAct::Serve };
        let proxy = TestProxy::start(kind, manners).await;
        let oauth = OAuthSettings {
            client_secret: Some(SecretSource::Plain(Secret::new("app-secret"))),
            token: ServiceUrl::parse("https://login.test/token").expect("it is a URL"),
            proxy: Some(Proxy::parse(&proxy.url()).expect("it is a proxy")),
            ca: Some(ca.file().to_owned()),
            account: format!("{kind:?}").to_lowercase(),
            ..service.settings(Grant::Client, USER, folder.path())
        };
        let source = TokenSource::new(oauth, Catalogue::built_in(), Clock::system()).expect("it is built in");
        source.token().await.expect("a token");
        assert_eq!(proxy.asked(), ["login.test:443"]);
    }
    assert_eq!(service.seen()[0].field("client_id"), CLIENT);
}

#[tokio::test]
async fn a_new_sign_in_resumes_the_account_and_a_refresh_does_not() {
    let folder = Folder::new("oauth-relay");
    let service = TokenService::start(USER, None).await;
    let oauth = service.settings(Grant::Device, USER, folder.path());
    let office = Office::with("oauth-office", SandboxLimits::default(), |settings| {
        settings.accounts[0].oauth = Some(oauth.clone());
        settings.accounts[0].login = Mechanism::FOR_TOKENS.to_vec();
    })
    .await;
    office.sandbox.set_token(USER, None);
    let id = office.send(&["a@else.test"], b"Subject: hello\r\n\r\nbody\r\n").await;
    let account = office.relay.accounts()[0].clone();
    let paused = async || {
        let snapshot = account.account.snapshot(Clock::system().now());
        snapshot.cooling.map(|cooling| cooling.cause)
    };
    assert_eq!(until("the account to rest", paused).await, "not-signed-in");
    office.wait_state(id, MessageState::Waiting).await;
    let now = Clock::system().now();
    let sign_in = |refresh: &str| SignIn {
        id: new_id().expect("there is chance"),
        refresh: Some(Secret::new(refresh)),
        access: None,
        obtained: now,
        expires: now,
        scope: String::new(),
        account: USER.to_owned(),
    };
    // A sign-in that the service has revoked: the account resumes, asks, and is paused again.
    let store = Store::of(&oauth);
    let revoked = sign_in("revoked-by-the-service");
    store.write(&revoked).expect("it is writable");
    let cause = async || paused().await.filter(|cause| cause == "OA-G2");
    until("the revoked sign-in to be refused", cause).await;
    // The same sign-in with another token, as a refresh writes it, is no reason to try again.
    let questions = service.seen().len();
    store.write(&SignIn { access: Some(Secret::new("another-access-token")), ..revoked }).expect("it is writable");
    office.relay.look_at_secrets();
    tokio::task::yield_now().await;
    store.write(&sign_in(REFRESH)).expect("it is writable");
    let resumed = async || (service.seen().len() > questions).then_some(());
    until("the new sign-in to be used", resumed).await;
    assert_eq!(service.seen()[questions].field("refresh_token"), REFRESH, "nothing was asked with the old one");
    office.sandbox.set_token(USER, Some(Secret::new("access-token-1")));
}

#[tokio::test]
async fn an_idle_sign_in_is_refreshed_once_a_week() {
    const DAY: Duration = Duration::from_secs(86_400);
    let scene = scene(Grant::Device).await;
    let source = scene.settings.token.clone().expect("it is there");
    source.keep().await;
    scene.sign_in(Some("the-token-of-before"), 6 * DAY);
    source.keep().await;
    assert!(scene.service.seen().is_empty(), "no sign-in, or a young one");
    scene.sign_in(Some("the-token-of-before"), 8 * DAY);
    source.keep().await;
    source.keep().await;
    assert_eq!(scene.service.seen().len(), 1);
    assert_eq!(scene.stored().refresh, Some(Secret::new("refresh-token-1")));
}

#[tokio::test]
async fn a_refresh_token_of_the_settings_is_the_begin_where_there_is_no_file() {
    let mut scene = scene(Grant::Device).await;
    scene.oauth.refresh = Some(SecretSource::File(scene.folder.secret("refresh", REFRESH)));
    scene.with_source(Clock::system());
    deliver(&upstream(scene.settings.clone())).await;
    assert_eq!(scene.stored().refresh, Some(Secret::new("refresh-token-1")));
}

#[tokio::test]
async fn no_debug_output_and_no_report_shows_a_token() {
    let scene = scene(Grant::Device).await;
    scene.sign_in(None, MINUTES);
    deliver(&upstream(scene.settings.clone())).await;
    let source = scene.settings.token.clone().expect("it is there");
    let token = source.token().await.expect("a token");
    let shown = format!("{token:?} {source:?} {:?} {:?} {:?}", scene.stored(), scene.settings, source.used());
    for secret in ["access-token-1", "refresh-token-1", REFRESH] {
        assert!(!shown.contains(secret), "{shown}");
    }
    // A server that repeats the token in its refusal.
    scene.sandbox.fault(Fault::last_reply(Stage::Auth, "535 5.7.8 Authentication failed for access-token-1"));
    let report = format!("{:?}", send(&upstream(scene.settings.clone())).await);
    assert!(report.contains("OA-S8") && !report.contains("access-token-1"), "{report}");
}

#[tokio::test]
async fn a_refresh_is_no_other_sign_in_and_a_new_one_is() {
    let mut scene = scene(Grant::Device).await;
    let source = scene.settings.token.clone().expect("it is there");
    assert_eq!((source.mark().await, source.used()), (None, None), "no sign-in, no mark");
    scene.sign_in(None, MINUTES);
    let before = source.mark().await.expect("there is a sign-in");
    source.token().await.expect("a token");
    assert_eq!(scene.stored().access, Some(Secret::new("access-token-1")));
    assert_eq!((source.mark().await, source.used()), (Some(before.clone()), Some(before.clone())));
    scene.sign_in(None, MINUTES);
    assert!(source.mark().await.expect("there is a sign-in") != before);
    // Of a program it is the secret that tells.
    let file = scene.folder.secret("app", "app~secret.1");
    scene.oauth.client_secret = Some(SecretSource::File(file.clone()));
    scene.oauth.grant = Grant::Client;
    scene.with_source(Clock::system());
    let source = scene.settings.token.clone().expect("it is there");
    let before = source.mark().await.expect("there is a program");
    source.token().await.expect("a token");
    assert_eq!((source.mark().await, source.used()), (Some(before.clone()), Some(before.clone())));
    std::fs::write(file, "app~secret.2").expect("it is writable");
    assert!(source.mark().await.expect("there is a program") != before);
}
