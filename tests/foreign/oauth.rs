//! Foreign judges of the grants and of the wire: npm's oidc-provider (certified), Dovecot's submission server, npm's smtp-server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::ca::TestCa;
use crate::support::folder::Folder;
use crate::support::office::{Device, PATIENCE};
use crate::support::peers::{node_modules, program};
use crate::support::process::{Process, poll};
use crate::support::program::{Program, QUICK, finish, yizhan};
use crate::support::sink::SmtpSink;
use crate::support::skip::{Missing, need};
use crate::support::submission::Submission;
use yizhan::clock::Clock;
use yizhan::oauth::store::{SignIn, Store};
use yizhan::oauth::{Grant, OAuthSettings, ServiceUrl, TokenSource};
use yizhan::provider::Catalogue;
use yizhan::secret::Secret;

const USER: &str = "relay@company.test";

/// A script of Node from `tests/peers`, which prints its port first.
struct Script {
    process: Process,
    port: u16,
}

impl Script {
    fn start(name: &str, package: &str, arguments: &[&str], folder: &Path) -> Result<Script, Missing> {
        let (node, modules) = (program("node")?, node_modules(package)?);
        // Node looks for packages beside the script.
        let script = script(name, &modules);
        let process = Process::spawn(
            name,
            &node,
            |command| {
                command.arg(&script).args(arguments).current_dir(&modules);
            },
            folder,
        );
        let port = poll(Duration::from_secs(20), || process.output().lines().find_map(|line| line.parse().ok()));
        let port = port.unwrap_or_else(|| panic!("{name} names no port:\n{}", process.output()));
        Ok(Script { process, port })
    }
}

fn script(name: &str, modules: &Path) -> PathBuf {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name), modules.join(name));
    let beside = modules.join(format!(".{name}.{}", std::process::id()));
    std::fs::copy(from, &beside).and_then(|_| std::fs::rename(beside, &to)).expect("the folder is ours");
    to
}

/// A person who opens the address and accepts. Gives the last address that the browser was sent to.
async fn person(modules: &Path, address: &str, code: &str) -> String {
    let mut command = Command::new(program("node").expect("it was there"));
    command.arg(script("person.mjs", modules)).args([address, code, USER]).current_dir(modules);
    finish(command).await.with_code(0).trim().to_owned()
}

struct Scene {
    provider: Script,
    folder: Folder,
    modules: PathBuf,
}

impl Scene {
    fn new() -> Result<Scene, Missing> {
        let folder = Folder::new("oidc");
        let provider = Script::start("oidc.mjs", "oidc-provider", &[], folder.path())?;
        Ok(Scene { provider, modules: node_modules("oidc-provider")?, folder })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.provider.port)
    }

    /// Settings of an account at this server, and the file with them.
    fn settings(&self, grant: &str, place: u16, ca: &Path) -> PathBuf {
        let text = format!(
            "hostname = \"relay.test\"\ndata_dir = \"{}\"\n[listener.local]\nbind = [\"127.0.0.1:2525\"]\n[account.office]\n\
             provider = \"custom\"\nuser = \"{USER}\"\nhost = \"127.0.0.1\"\nport = {place}\ntls = \"implicit\"\nca = \"{}\"\n\
             [account.office.oauth]\nclient_id = \"relay\"\ngrant = \"{grant}\"\nscope = \"openid email offline_access\"\n\
             token_url = \"{}\"\ndevice_url = \"{}\"\nauthorize_url = \"{}\"\n{QUICK}",
            self.folder.dir("data", 0o755).display(),
            ca.display(),
            self.url("token"),
            self.url("device/auth"),
            self.url("auth"),
        );
        self.folder.file("yizhan.toml", text)
    }

    fn oauth(&self) -> OAuthSettings {
        let url = |path: &str| ServiceUrl::parse(&self.url(path)).expect("it is a URL");
        OAuthSettings {
            account: "office".to_owned(),
            user: USER.to_owned(),
            grant: Grant::Device,
            client_id: "relay".to_owned(),
            client_secret: None,
            key: None,
            refresh: None,
            authorize: None,
            token: url("token"),
            device: None,
            scope: String::new(),
            redirect_to_name: false,
            expires: None,
            proxy: None,
            ca: None,
            folder: self.folder.path().join("data/oauth"),
        }
    }
}

/// The word behind this in the line.
fn behind(line: &str, what: &str) -> Option<String> {
    line.split_whitespace().find(|word| word.starts_with(what)).map(str::to_owned)
}

async fn sign_in_by_device(scene: &Scene, config: &Path) {
    let mut command = yizhan(["login", "office", "--json"]);
    command.arg("--config").arg(config);
    let login = Program::spawn(command);
    let address = login.line("the address", |line| behind(line, "http://127.0.0.1")).await;
    let is_code = |word: &str| word.len() == 9 && word.as_bytes()[4] == b'-';
    let code = login.line("the code", |line| Some(line.trim().to_owned()).filter(|word| is_code(word))).await;
    person(&scene.modules, &address, &code).await;
    let (status, lines) = login.end().await;
    assert!(status.success(), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dovecot_takes_the_token_that_a_certified_provider_gave_for_a_device_code() {
    for mechanisms in ["xoauth2 oauthbearer", "oauthbearer"] {
        let scene = need!(Scene::new());
        let sink = need!(SmtpSink::start(&[]));
        let server = need!(Submission::start(mechanisms, scene.provider.port, sink.port()));
        let config = scene.settings("device", server.port, server.ca());
        sign_in_by_device(&scene, &config).await;
        let mut command = yizhan(["run", "--listen", "127.0.0.1:0"]);
        command.arg("--config").arg(&config);
        let relay = Program::start(command).await;
        let mut device = Device::connect(relay.door()).await;
        device.send("device@lan.local", &["a@else.test"], b"Subject: by token\r\n\r\nbody\r\n").await;
        relay.event("delivered").await;
        let method = if mechanisms.starts_with("xoauth2") { "method=XOAUTH2" } else { "method=OAUTHBEARER" };
        assert!(server.log().contains(method), "{}", server.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_and_a_rotating_refresh_token_pass_the_certified_provider() {
    let scene = need!(Scene::new());
    let sink = need!(SmtpSink::start(&[]));
    let server = need!(Submission::start("xoauth2", scene.provider.port, sink.port()));
    let config = scene.settings("browser", server.port, server.ca());
    let mut command = yizhan(["login", "office", "--json"]);
    command.arg("--config").arg(&config);
    let login = Program::spawn(command);
    let address =
        login.line("the address", |line| behind(line, "http://127.0.0.1").filter(|word| word.contains('?'))).await;
    let back = person(&scene.modules, &address, "-").await;
    let place = back.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an address");
    let mut browser = tokio::net::TcpStream::connect(place.0).await.expect("the relay waits there");
    use tokio::io::AsyncWriteExt as _;
    browser.write_all(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", place.1).as_bytes()).await.expect("it reads");
    let (status, lines) = login.end().await;
    assert!(status.success(), "{lines:#?}");

    // The access token ends; two refreshes one after the other, each with the token that the one before brought.
    let oauth = scene.oauth();
    let store = Store::of(&oauth);
    let mut seen: Vec<Secret> = Vec::new();
    for _ in 0..3 {
        let stored = store.read().expect("it can be read").expect("it is there");
        seen.push(stored.refresh.clone().expect("a refresh token"));
        store.write(&SignIn { access: None, obtained: Clock::system().now(), ..stored }).expect("it is writable");
        let source = TokenSource::new(oauth.clone(), Catalogue::built_in(), Clock::system()).expect("it is built in");
        tokio::time::timeout(PATIENCE, source.token()).await.expect("in time").expect("a token");
    }
    assert!(seen[0] != seen[1] && seen[1] != seen[2], "it rotates");
    // An old one is theft to this provider: it ends the sign-in, and the relay says so and pauses.
    let stored = store.read().expect("it can be read").expect("it is there");
    let old = SignIn { access: None, refresh: Some(seen[0].clone()), ..stored };
    store.write(&old).expect("it is writable");
    let source = TokenSource::new(oauth, Catalogue::built_in(), Clock::system()).expect("it is built in");
    let error = source.token().await.expect_err("it was used before").to_string();
    assert!(error.contains("invalid_grant") && !error.contains(seen[0].expose()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn smtp_server_of_npm_takes_the_token_and_its_refusal_is_heard_to_the_end() {
    let folder = Folder::new("npm-smtp");
    let ca = TestCa::new();
    let identity = ca.issue(&["127.0.0.1"]);
    let (cert, key) = (folder.file("cert.pem", identity.certificate), folder.file("key.pem", identity.key));
    let paths = [cert.display().to_string(), key.display().to_string()];
    let arguments = [paths[0].as_str(), paths[1].as_str(), USER, "access-token-1"];
    let server = need!(Script::start("xoauth2.mjs", "smtp-server", &arguments, folder.path()));
    let service = crate::support::token_service::TokenService::start(USER, None).await;
    let text = format!(
        "hostname = \"relay.test\"\ndata_dir = \"{}\"\n[listener.local]\nbind = [\"127.0.0.1:2525\"]\n[account.office]\n\
         provider = \"gmail\"\nuser = \"{USER}\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"implicit\"\nca = \"{}\"\n\
         secret = \"refresh-token-0\"\n[account.office.oauth]\nclient_id = \"{}\"\ntoken_url = \"{}\"\n{QUICK}",
        folder.dir("data", 0o755).display(),
        server.port,
        ca.file().display(),
        crate::support::token_service::CLIENT,
        service.url("token"),
    );
    let config = folder.file("yizhan.toml", text);
    let mut command = yizhan(["run", "--listen", "127.0.0.1:0"]);
    command.arg("--config").arg(&config);
    let relay = Program::start(command).await;
    let mut device = Device::connect(relay.door()).await;
    device.send("device@lan.local", &["a@else.test"], b"Subject: by token\r\n\r\nbody\r\n").await;
    relay.event("delivered").await;
    assert!(server.process.output().contains(&format!("mail {USER}")), "{}", server.process.output());
    drop(relay);
    // The next token is another one, which this server refuses: the reason in its 334 is answered and shown.
    std::fs::remove_file(folder.path().join("data/oauth/office.json")).expect("it was stored");
    let mut command = yizhan(["doctor", "office", "--json"]);
    command.arg("--config").arg(&config);
    let ran = finish(command).await;
    assert!(ran.out.contains("OA-S") && ran.out.contains("bearer mac"), "{}\n{}", ran.out, ran.err);
}
