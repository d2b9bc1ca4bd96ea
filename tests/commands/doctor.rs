//! `yizhan doctor` as a child process: against the sandbox, against providers with one fault each, against Postfix.
//!
//! Each test looks at the findings by name (`--json`); the texts are held by two golden outputs. What a finding must be
//! for which facts is held by the unit tests beside the code. Invariant in all of them: nothing was sent, and no output
//! holds the secret.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;
use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, What};

use crate::support::branch;
use crate::support::ca::{Identity, TestCa};
use crate::support::folder::Folder;
use crate::support::office::{CODE, USER, provider};
use crate::support::ports::Reserved;
use crate::support::postfix::{Postfix, PostfixOptions, PostfixTls};
use crate::support::program::{QUICK, Ran, Site, finish, yizhan};
use crate::support::proxy::{Kind, Manners, TestProxy};
use crate::support::skip::need;

/// What the doctor found.
struct Report {
    good: bool,
    findings: Vec<Value>,
}

impl Report {
    /// Reads `--json`, and holds its schema: the same six keys in each finding, causes and remedies where it is not good.
    #[track_caller]
    fn of(ran: &Ran) -> Report {
        assert!(!ran.out.contains(CODE) && !ran.err.contains(CODE), "the secret is shown\n{}", ran.out);
        let value: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}\n{}\n{}", ran.out, ran.err));
        let findings = value["findings"].as_array().expect("a list").clone();
        for finding in &findings {
            let mut keys: Vec<&str> = finding.as_object().expect("an object").keys().map(String::as_str).collect();
            keys.sort_unstable();
            assert_eq!(keys, ["account", "cause", "check", "remedy", "state", "what"]);
            let bad = ["warn", "fail"].contains(&finding["state"].as_str().expect("a word"));
            assert_eq!(finding["cause"].is_string(), bad, "{finding}");
            assert_eq!(finding["remedy"].is_string(), bad, "{finding}");
        }
        let good = value["good"].as_bool().expect("yes or no");
        assert_eq!(ran.code, i32::from(!good), "{}", ran.out);
        Report { good, findings }
    }

    /// The only finding of this check.
    #[track_caller]
    fn one(&self, check: &str) -> &Value {
        let found: Vec<&Value> = self.findings.iter().filter(|one| one["check"] == check).collect();
        assert_eq!(found.len(), 1, "{check}: {:#?}", self.findings);
        found[0]
    }

    /// Fails unless the only finding of this check is in this state and has these words in it.
    #[track_caller]
    fn is(&self, check: &str, state: &str, words: &[&str]) {
        let one = self.one(check);
        assert_eq!(one["state"], state, "{one:#}");
        for word in words {
            assert!(one.to_string().contains(word), "no {word:?} in {one:#}");
        }
    }

    /// Whether there is a finding of this check.
    fn has(&self, check: &str) -> bool {
        self.findings.iter().any(|one| one["check"] == check)
    }

    /// The checks that are not good.
    fn bad(&self) -> Vec<String> {
        let bad = self.findings.iter().filter(|one| one["state"] == "warn" || one["state"] == "fail");
        bad.map(|one| one["check"].as_str().expect("a word").to_owned()).collect()
    }
}

/// The doctor, with the settings of a site, at a port that is certainly free.
fn doctor(site: &Site, arguments: &[&str]) -> Command {
    doctor_with(&site.config, arguments)
}

fn doctor_with(config: &Path, arguments: &[&str]) -> Command {
    let listen = format!("127.0.0.1:{}", Reserved::new().release());
    let mut command = yizhan(["doctor", "--listen", &listen, "--config"]);
    command.arg(config).args(arguments);
    command
}

async fn report(site: &Site, arguments: &[&str]) -> Report {
    let arguments = [&["--json"], arguments].concat();
    Report::of(&finish(doctor(site, &arguments)).await)
}

async fn site(name: &str) -> (Sandbox, Site) {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new(name, &sandbox, QUICK);
    (sandbox, site)
}

/// A site of one account, as `account` says it (lines of TOML), with a code that fits.
fn custom(name: &str, account: &str) -> (Folder, std::path::PathBuf) {
    let folder = Folder::new(name);
    let code = folder.secret("code", CODE);
    let text = format!(
        "hostname = \"relay.test\"\ndata_dir = \"{}\"\n{QUICK}[account.office]\nsecret = {{ file = \"{}\" }}\n{account}",
        folder.path().join("data").display(),
        code.display()
    );
    let config = folder.file("yizhan.toml", text);
    (folder, config)
}

#[tokio::test]
async fn all_is_good_and_nothing_was_sent() {
    let (sandbox, site) = site("doc").await;
    let found = report(&site, &[]).await;
    assert!(found.good, "{:#?}", found.findings);
    found.is("tls", "ok", &["TLS 1.3", "127.0.0.1"]);
    found.is("certificate", "ok", &["good for"]);
    found.is("ehlo", "ok", &["SIZE 70.0 MiB", "LOGIN PLAIN"]);
    found.is("login", "ok", &[USER, "office"]);
    found.is("sender", "ok", &[USER, "nothing was sent"]);
    found.is("port", "ok", &["is free"]);
    found.is("data", "ok", &["yizhan run"]);
    assert!(!found.has("spf"), "qq.com is not the owner's to publish for");
    let stats = sandbox.stats();
    assert_eq!((stats.accepted, stats.refused, stats.recipients_refused), (0, 0, 0), "{stats:?}");
    assert_eq!(
        (stats.connections, stats.resets, stats.quits),
        (1, 0, 1),
        "one connection, QUIT, and no RSET: {stats:?}"
    );
    assert_eq!(stats.logins_ok, 1, "one log-in, no more: {stats:?}");
    assert!(!site.data.exists(), "looking makes no data folder");
}

#[tokio::test]
async fn an_account_behind_a_proxy_is_looked_at_through_it() {
    let sandbox = provider(SandboxLimits::default()).await;
    let proxy = TestProxy::start(Kind::Socks5, Manners::default()).await;
    let site = Site::new("doc-proxy", &sandbox, &format!("proxy = \"{}\"\n{QUICK}", proxy.url()));
    let found = report(&site, &[]).await;
    assert!(found.good, "{:#?}", found.findings);
    let door = sandbox.implicit_addr().expect("it is open").to_string();
    assert_eq!(proxy.asked(), [door], "nothing went beside it");
    assert_eq!((sandbox.stats().connections, sandbox.stats().logins_ok), (1, 1));
}

#[tokio::test]
async fn a_log_in_can_be_left_out() {
    let (sandbox, site) = site("nolog").await;
    let found = report(&site, &["--no-login"]).await;
    assert!(found.good, "what was skipped is no fault");
    found.is("login", "skip", &["--no-login"]);
    assert!(found.has("ehlo") && !found.has("sender"));
    assert_eq!(sandbox.stats().logins_ok, 0);
}

#[tokio::test]
async fn a_wrong_secret_is_tried_once_and_named() {
    let (sandbox, site) = site("wrong").await;
    site.folder.secret("code", "ponmlkjihgfedcba");
    let found = report(&site, &[]).await;
    assert_eq!(found.bad(), ["login"]);
    found.is("login", "fail", &["QQ-A3", "login frequency limited", "15 minutes"]);
    assert_eq!(sandbox.stats().logins_refused, 1, "one log-in, no more");
}

#[tokio::test]
async fn a_password_instead_of_a_code_is_noticed_before_the_log_in() {
    let (sandbox, site) = site("shape").await;
    site.folder.secret("code", "Hunter-2");
    let ran = finish(doctor(&site, &["--json"])).await;
    assert!(!ran.out.contains("Hunter-2"), "{}", ran.out);
    let found = Report::of(&ran);
    found.is("secret", "warn", &["16 lower-case letters", "8 characters"]);
    site.folder.secret("code", "ａｂｃｄefghijklmnop");
    let found = report(&site, &[]).await;
    found.is("secret", "fail", &["full-width"]);
    found.is("login", "skip", &["cannot be right"]);
    assert_eq!(sandbox.stats().logins_refused, 1, "the first of the two only");
    std::fs::remove_file(&site.code).unwrap();
    let found = report(&site, &[]).await;
    found.findings.iter().find(|one| one["check"] == "secret" && one["state"] == "fail").expect("it cannot be read");
}

#[tokio::test]
async fn an_unknown_authority_and_a_wrong_name_are_told_apart() {
    let (sandbox, _site) = site("tls").await;
    let port = sandbox.implicit_addr().unwrap().port();
    let account =
        format!("provider = \"qq\"\nuser = \"{USER}\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"implicit\"\n");
    let (_folder, config) = custom("ca", &account);
    let found = Report::of(&finish(doctor_with(&config, &["--json"])).await);
    found.is("tls", "fail", &["nobody that this machine trusts", "nothing secret was sent"]);
    assert!(!found.has("login"));

    let ca = TestCa::new();
    let door = secure(ca.issue(&["other.test"]), "220 x\r\n").await;
    let found = against(&ca, door, "implicit").await;
    found.is("tls", "fail", &["other.test", "host"]);
    let door = secure(ca.issue_expired(&["127.0.0.1"]), "220 x\r\n").await;
    let found = against(&ca, door, "implicit").await;
    found.is("tls", "fail", &["expired (2020-01-01)", "clock"]);
    assert_eq!(sandbox.stats().logins_ok + sandbox.stats().logins_refused, 0);
}

/// A server with this certificate that greets and hangs up at the first command.
async fn secure(identity: Identity, greeting: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(identity.server_config());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.write_all(greeting.as_bytes()).await;
                let _ = stream.read(&mut [0u8; 512]).await;
            }
        }
    });
    door
}

/// A server without TLS that says `reply` to whatever comes.
async fn plain(greeting: &'static str, reply: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(greeting.as_bytes()).await;
                let (read, mut write) = stream.split();
                let mut lines = BufReader::new(read).split(b'\n');
                while let Ok(Some(_)) = lines.next_segment().await {
                    let _ = write.write_all(reply.as_bytes()).await;
                }
            });
        }
    });
    door
}

async fn against(ca: &TestCa, door: SocketAddr, tls: &str) -> Report {
    let account = format!(
        "provider = \"custom\"\nuser = \"a@own.test\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"{tls}\"\nca = \"{}\"\n",
        door.port(),
        ca.file().display()
    );
    let (_folder, config) = custom("door", &account);
    Report::of(&finish(doctor_with(&config, &["--json"])).await)
}

#[tokio::test]
async fn a_server_without_tls_gets_no_secret() {
    let ca = TestCa::new();
    let door = plain("220 old ESMTP\r\n", "250 fine\r\n").await;
    against(&ca, door, "starttls").await.is("tls", "fail", &["no STARTTLS", "nothing secret was sent"]);
    against(&ca, door, "implicit").await.is("tls", "fail", &["not TLS", "starttls"]);
    let door = plain("554 go away\r\n", "554 no\r\n").await;
    against(&ca, door, "starttls").await.is("ehlo", "fail", &["554 go away"]);
}

#[tokio::test]
async fn a_greeting_with_a_date_shows_a_skewed_clock() {
    let ca = TestCa::new();
    let door = secure(ca.issue(&["127.0.0.1"]), "220 mx ESMTP Exim 4.96 Sat, 21 Nov 2020 20:48:44 +0800\r\n").await;
    let found = against(&ca, door, "implicit").await;
    let skew = found.findings.iter().find(|one| one["check"] == "clock" && one["account"] == "office").unwrap();
    assert_eq!(skew["state"], "warn");
    assert!(skew["what"].as_str().unwrap().contains("ahead of"), "{skew}");
    found.is("ehlo", "fail", &["closed the connection"]);
}

#[tokio::test]
async fn a_closed_port_says_who_may_be_in_the_way() {
    let closed = Reserved::new().release();
    let account =
        format!("provider = \"qq\"\nuser = \"{USER}\"\nhost = \"127.0.0.1\"\nport = {closed}\ntls = \"implicit\"\n");
    let (_folder, config) = custom("closed", &account);
    let found = Report::of(&finish(doctor_with(&config, &["--json"])).await);
    found.is("tcp", "fail", &[&closed.to_string(), "firewall"]);
    assert!(!found.has("tls") && !found.has("login"));
}

#[tokio::test]
async fn a_blocked_465_with_an_open_587_is_a_warning() {
    // The preset's own ports, on an address of this machine that nobody else uses; both are below 1024.
    let sandbox = match bound_587().await {
        Ok(sandbox) => sandbox,
        Err(missing) => return crate::support::skip::skip(missing),
    };
    let account = format!("provider = \"qq\"\nuser = \"{USER}\"\nhost = \"127.44.5.87\"\n");
    let (folder, config) = custom("blocked", &account);
    let ca = folder.file("ca.pem", sandbox.ca_pem());
    let text = std::fs::read_to_string(&config).unwrap() + &format!("ca = \"{}\"\n", ca.display());
    std::fs::write(&config, text).unwrap();
    let found = Report::of(&finish(doctor_with(&config, &["--json"])).await);
    assert_eq!(found.bad(), ["tcp"], "{:#?}", found.findings);
    found.is("tcp", "warn", &["answers at 587", "not at 465", "firewall"]);
    found.is("tls", "ok", &["127.44.5.87:587"]);
    found.is("login", "ok", &[]);
}

/// A sandbox at port 587 of an address that is this machine's own.
async fn bound_587() -> Result<Sandbox, crate::support::skip::Missing> {
    let settings = yizhan::sandbox::SandboxSettings {
        implicit: None,
        starttls: Some("127.44.5.87:587".parse().unwrap()),
        accounts: vec![(USER.to_owned(), yizhan::secret::Secret::new(CODE))],
        limits: SandboxLimits::default(),
        keep: 10,
        reply_delay: std::time::Duration::ZERO,
    };
    let started = Sandbox::start(settings, yizhan::clock::Clock::system(), yizhan::drain::Drain::default()).await;
    started.map_err(|error| crate::support::skip::Missing(format!("the right to port 587: {error}")))
}

#[tokio::test]
async fn a_refused_sender_and_a_limit_are_named() {
    let (sandbox, site) = site("mail").await;
    sandbox.fault(Fault::once(Stage::Mail, What::Reply(b"550 Ip frequency limited\r\n".to_vec())));
    report(&site, &[]).await.is("sender", "fail", &["Ip frequency limited", "wait"]);
    sandbox.fault(Fault::once(Stage::Auth, What::Close));
    report(&site, &[]).await.is("login", "fail", &["line was lost"]);
    sandbox.fault(Fault::once(Stage::Connect, What::Reply(b"550 Connection frequency limited\r\n".to_vec())));
    report(&site, &[]).await.is("ehlo", "fail", &["Connection frequency limited"]);
}

#[tokio::test]
async fn a_provider_that_never_answers_ends_the_check() {
    let (sandbox, site) = site("stall").await;
    sandbox.fault(Fault::once(Stage::Auth, What::Stall));
    let begin = std::time::Instant::now();
    report(&site, &[]).await.is("login", "fail", &["line was lost", "did not answer in time"]);
    assert!(begin.elapsed().as_secs() < 25, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn the_port_of_somebody_else_names_him() {
    let (_sandbox, site) = site("taken").await;
    let other = plain("220 old.test ESMTP Exim\r\n", "250 ok\r\n").await;
    let mut command = yizhan(["doctor", "--json", "--no-login", "--listen", &other.to_string(), "--config"]);
    command.arg(&site.config);
    let found = Report::of(&finish(command).await);
    found.is("port", "fail", &["220 old.test ESMTP Exim", "another program", &std::process::id().to_string()]);
    let mut command = yizhan(["doctor", "--json", "--no-login", "--listen", "203.0.113.9:2525", "--config"]);
    command.arg(&site.config);
    Report::of(&finish(command).await).is("port", "fail", &["no such address"]);
}

#[tokio::test]
async fn it_works_while_the_relay_runs_and_afterwards() {
    let (sandbox, site) = site("runs").await;
    let relay = site.start().await;
    let mut command = yizhan(["doctor", "--json", "--listen", &relay.door().to_string(), "--config"]);
    command.arg(&site.config);
    let found = Report::of(&finish(command).await);
    assert!(found.good, "{:#?}", found.findings);
    found.is("relay", "ok", &["runs on this data folder"]);
    found.is("port", "ok", &["is open, and ours"]);
    // With other settings than the relay's, its port is not where it should be.
    report(&site, &["--no-login"]).await.is("port", "fail", &["although the relay runs"]);
    relay.stop().await;
    let found = report(&site, &[]).await;
    assert!(found.good, "{:#?}", found.findings);
    found.is("relay", "ok", &["no relay runs"]);
    found.is("data", "ok", &["can be written"]);
    assert!(crate::support::program::files(&site.data).iter().all(|path| !path.to_string_lossy().contains(".doctor")));
    assert_eq!(sandbox.stats().logins_ok, 2);
}

#[tokio::test]
async fn an_account_that_rests_is_left_alone() {
    let (sandbox, site) = site("rests").await;
    site.folder.secret("code", "ponmlkjihgfedcba");
    let relay = site.start().await;
    let mut courier = crate::support::load::Courier::connect(relay.door()).await.unwrap();
    courier.send(&crate::support::load::letter("rests", 100)).await.unwrap();
    relay.event("account_cooling").await;
    let tried = sandbox.stats().logins_refused;
    let found = report(&site, &[]).await;
    found.is("account", "warn", &["cooling until"]);
    found.is("login", "skip", &["--login"]);
    assert_eq!(sandbox.stats().logins_refused, tried, "no log-in without being asked");
    report(&site, &["--login"]).await.is("login", "fail", &["QQ-A3"]);
    assert_eq!(sandbox.stats().logins_refused, tried + 1);
    relay.stop().await;
}

#[tokio::test]
async fn settings_and_names_that_are_wrong_end_it_early() {
    let folder = Folder::new("bad");
    let config = folder.file("yizhan.toml", "hostnam = \"x\"\n");
    let found = Report::of(&finish(doctor_with(&config, &["--json"])).await);
    found.is("settings", "fail", &["hostnam", "hostname"]);
    assert_eq!(found.findings.len(), 1);
    let (sandbox, site) = site("names").await;
    let text = finish(doctor(&site, &["nobody"])).await.with_code(1);
    assert!(text.contains("`nobody`") && text.contains("office"), "{text}");
    assert!(report(&site, &["office"]).await.good);
    assert_eq!(sandbox.stats().logins_ok, 1);
    let (_folder, config) = (&folder, folder.file("empty.toml", "[log]\nlevel = \"info\"\n"));
    let data = folder.path().join("data").display().to_string();
    Report::of(&finish(doctor_with(&config, &["--json", "--data-dir", &data])).await).is(
        "account",
        "fail",
        &["YIZHAN_USER"],
    );
}

/// A name server on loopback that knows three names, and answers the first of them too long for a datagram.
async fn name_server() -> SocketAddr {
    // A port that is free for datagrams may be taken for streams.
    let (socket, listener) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (socket, listener);
        }
    };
    let addr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0u8; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let mut reply = answer(&buffer[..length]);
            if reply.len() > 512 {
                reply.truncate(length);
                reply[2] |= 0x02;
                reply[6..8].fill(0);
            }
            // First one that a stranger could have sent: it says that there is no such name, under another id.
            let mut forged = buffer[..length].to_vec();
            forged[0] ^= 0xff;
            (forged[2], forged[3]) = (0x81, 3);
            let _ = socket.send_to(&forged, from).await;
            let _ = socket.send_to(&reply, from).await;
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Ok(length) = stream.read_u16().await else { continue };
            let mut question = vec![0u8; usize::from(length)];
            if stream.read_exact(&mut question).await.is_ok() {
                let reply = answer(&question);
                let _ = stream.write_u16(reply.len() as u16).await;
                let _ = stream.write_all(&reply).await;
            }
        }
    });
    addr
}

fn answer(question: &[u8]) -> Vec<u8> {
    let starts = |name: &[u8]| question[12..].starts_with(name);
    let long = "x".repeat(250);
    let texts: Vec<Vec<&str>> = if starts(b"\x06_dmarc\x03own\x04test") {
        vec![vec!["v=DMARC1; p=quarantine"]]
    } else if starts(b"\x03own\x04test") {
        vec![vec![&long, &long], vec!["v=spf1 include:spf.ma", "il.qq.com ~all"]]
    } else {
        Vec::new()
    };
    let mut reply = question.to_vec();
    reply[2] |= 0x80;
    reply[3] = if texts.is_empty() { 3 } else { 0 };
    reply[7] = texts.len() as u8;
    for strings in texts {
        let data: Vec<u8> =
            strings.iter().flat_map(|text| std::iter::once(text.len() as u8).chain(text.bytes())).collect();
        reply.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
        reply.extend_from_slice(&(data.len() as u16).to_be_bytes());
        reply.extend_from_slice(&data);
    }
    reply
}

#[tokio::test]
async fn the_records_of_an_own_domain_are_looked_up() {
    let closed = Reserved::new().release();
    let place = format!("host = \"127.0.0.1\"\nport = {closed}\ntls = \"implicit\"\n");
    let server = name_server().await.to_string();
    let look = async |user: &str, server: &str| {
        let (_folder, config) = custom("dns", &format!("provider = \"exmail\"\nuser = \"{user}\"\n{place}"));
        Report::of(&finish(doctor_with(&config, &["--json", "--resolver", server])).await)
    };
    let found = look("a@own.test", &server).await;
    // The record comes by TCP, in two pieces, behind another text.
    found.is("spf", "ok", &["own.test"]);
    found.is("dkim", "skip", &["selector"]);
    found.is("dmarc", "ok", &["quarantine"]);
    let found = look("a@other.test", &server).await;
    found.is("spf", "warn", &["v=spf1 include:spf.mail.qq.com ~all"]);
    found.is("dmarc", "warn", &["_dmarc.other.test"]);
    let dead = format!("127.0.0.1:{closed}");
    look("a@own.test", &dead).await.is("spf", "warn", &["could not be looked up"]);
    assert!(!look("10000@qq.com", &server).await.has("spf"));
}

/// The output with what differs from run to run taken out.
fn normal(text: &str, site: &Site) -> String {
    let text = text.replace(&site.folder.path().display().to_string(), "FOLDER").replace("GiB", "MiB");
    let digits = |word: &str| {
        if word.bytes().any(|b| b.is_ascii_digit()) && !["IPv4", "IPv6", USER].iter().any(|keep| word.contains(keep)) {
            word.chars().fold(String::new(), |mut out, c| {
                if !(c.is_ascii_digit() && out.ends_with('N')) {
                    out.push(if c.is_ascii_digit() { 'N' } else { c });
                }
                out
            })
        } else {
            word.to_owned()
        }
    };
    text.lines().map(|line| line.split(' ').map(digits).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_texts_are_golden_in_both_languages() {
    let (_sandbox, site) = site("gold").await;
    for lang in ["en", "zh"] {
        site.folder.secret("code", CODE);
        let good = finish(doctor(&site, &["--lang", lang])).await.with_code(0);
        site.folder.secret("code", "ponmlkjihgfedcba");
        let bad = finish(doctor(&site, &["--lang", lang])).await.with_code(1);
        let text = format!("{}\n----\n{}\n", normal(&good, &site), normal(&bad, &site));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/doctor/{lang}.txt"));
        if std::env::var_os("YIZHAN_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, wanted, "YIZHAN_GOLDEN=1 writes {}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_is_good_and_a_wrong_password_is_not() {
    for tls in [PostfixTls::Implicit465, PostfixTls::Starttls587] {
        let postfix = need!(Postfix::start(PostfixOptions { tls, ..PostfixOptions::default() }));
        let account = branch::Account::at(&postfix);
        let lines = format!(
            "provider = \"custom\"\nuser = \"{}\"\nhost = \"localhost\"\nport = {}\ntls = \"{}\"\nca = \"{}\"\n",
            account.user,
            account.port,
            account.tls,
            account.ca.display()
        );
        let (folder, config) = custom("pf", &lines);
        folder.secret("code", account.code);
        let found = Report::of(&finish(doctor_with(&config, &["--json"])).await);
        assert!(found.good, "{:#?}\n{}", found.findings, postfix.log());
        found.is("ehlo", "ok", &["PLAIN LOGIN"]);
        found.is("sender", "ok", &["box@peer.test"]);
        folder.secret("code", "not-the-password");
        let found = Report::of(&finish(doctor_with(&config, &["--json"])).await);
        assert_eq!(found.bad(), ["login"]);
        found.is("login", "fail", &["535"]);
        assert!(postfix.delivered().is_empty());
    }
}

#[tokio::test]
async fn one_account_does_not_wait_for_another() {
    let (sandbox, site) = site("two").await;
    let door = sandbox.implicit_addr().unwrap();
    let text = std::fs::read_to_string(&site.config).unwrap();
    let second = format!(
        "[account.second]\nprovider = \"qq\"\nuser = \"{USER}\"\nsecret = {{ file = \"{}\" }}\nca = \"{}\"\n\
         host = \"{}\"\nport = {}\ntls = \"implicit\"\n",
        site.code.display(),
        site.folder.path().join("ca.pem").display(),
        door.ip(),
        door.port()
    );
    std::fs::write(&site.config, text + &second).unwrap();
    let ran = finish(doctor(&site, &["--json"])).await;
    let found = Report::of(&ran);
    assert!(found.good, "{:#?}", found.findings);
    let names: Vec<&str> = found.findings.iter().filter_map(|one| one["account"].as_str()).collect();
    let first = names.iter().filter(|name| **name == "office").count();
    assert!(first > 0 && names[..first].iter().all(|name| *name == "office"), "account by account: {names:?}");
    assert!(names[first..].iter().all(|name| *name == "second") && names.len() == 2 * first);
}
