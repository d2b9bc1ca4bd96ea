//! Good settings: the reference file against the code, the layers, and what comes out of them.
//!
//! Broken settings are in `tests/commands/bad_config.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use yizhan::config::{FileSource, Loaded, Overrides, Sources, load, reference};
use yizhan::intake::User;
use yizhan::message::Level;
use yizhan::provider::{Endpoint, Mechanism, Tls};
use yizhan::report::NoticeTo;
use yizhan::secret::SecretSource;
use yizhan::smtp::server::{AuthMode, Profile};
use yizhan::telemetry::log::LineFormat;

fn sources(text: &str, env: &[(&str, &str)]) -> Sources {
    let mut all = BTreeMap::from([("HOME".to_owned(), "/home/relay".to_owned())]);
    all.extend(env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
    Sources {
        file: FileSource::Text { name: "yizhan.toml".into(), text: text.to_owned() },
        env: all,
        overrides: Overrides::default(),
        machine: "relay-1".to_owned(),
        can_ask: false,
    }
}

fn good(text: &str, env: &[(&str, &str)]) -> Loaded {
    load(sources(text, env)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn complaint(text: &str, env: &[(&str, &str)]) -> String {
    load(sources(text, env)).unwrap_err().to_string()
}

/// A folder of this test's own; nothing else writes there.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("settings-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

const ACCOUNT: &str = "[account.office]\nprovider = \"qq\"\nuser = \"10000@qq.com\"\nsecret = { env = \"CODE\" }\n";

#[test]
fn the_reference_file_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/yizhan.toml");
    let beside = path.with_extension("toml.failed");
    if fs::read_to_string(&path).unwrap_or_default() == reference() {
        let _ = fs::remove_file(beside);
    } else {
        fs::write(&beside, reference()).unwrap();
        panic!("conf/yizhan.toml differs from the table of keys; what it should be is in {}", beside.display());
    }
}

#[test]
fn the_reference_file_says_the_same_as_no_file() {
    let with = good(&reference(), &[]);
    let without = good("", &[]);
    assert_eq!(with.settings, without.settings);
    assert!(with.warnings.is_empty() && without.warnings.is_empty());
    assert!(without.origins.values().all(|origin| origin.starts_with("default")), "{:?}", without.origins);
}

#[test]
fn every_example_in_the_reference_file_can_be_switched_on() {
    let on: Vec<String> = reference()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            // The older name of a key that is there.
            Some(rest) if rest.starts_with("keep_delivered") => line.to_owned(),
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    let home = folder("examples");
    fs::create_dir(home.join("certs")).unwrap();
    fs::write(home.join("certs/ca.pem"), "").unwrap();
    let mut sources = sources("", &[]);
    sources.file = FileSource::Text { name: home.join("yizhan.toml"), text: on.join("\n") };
    let loaded = load(sources).unwrap_or_else(|problems| panic!("{problems}"));
    let account = &loaded.settings.accounts[0];
    assert_eq!((account.name.as_str(), account.user.as_str()), ("office", "10000@qq.com"));
    assert_eq!(account.ca, Some(home.join("certs/ca.pem")));
    assert_eq!(loaded.settings.hostname, "relay.example.lan");
    // Every key of the table was there, none of them by default.
    assert!(loaded.origins.values().all(|origin| origin.contains("yizhan.toml:")), "{:?}", loaded.origins);
}

#[test]
fn records_are_kept_by_the_newer_name_or_the_older_one_but_not_both() {
    let keep = |text: &str| good(text, &[]).settings.queue.retention.keep_records;
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(keep("[queue]\nkeep_delivered = \"3d\""), day * 3);
    assert_eq!(keep("[history]\nkeep = \"4d\""), day * 4);
    let both = "[queue]\nkeep_delivered = \"3d\"\n[history]\nkeep = \"4d\"";
    let problems = load(sources(both, &[])).unwrap_err().to_string();
    assert!(problems.contains("queue.keep_delivered") && problems.contains("older name of history.keep"), "{problems}");
}

#[test]
fn the_defaults_are_those_of_the_manual() {
    let settings = good("", &[]).settings;
    assert_eq!((settings.hostname.as_str(), settings.accounts.len(), settings.listeners.len()), ("relay-1", 0, 1));
    assert!(settings.clients.is_empty());
    let local = &settings.listeners[0];
    assert_eq!((local.name.as_str(), local.profile, local.auth), ("local", Profile::Tolerant, AuthMode::Off));
    assert_eq!(local.bind, ["127.0.0.1:25".parse().unwrap()]);
    assert_eq!(local.allow, ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    let limits = &settings.limits;
    assert_eq!(limits.messages_per_connection, 100_000);
    assert_eq!((limits.connections, limits.connections_per_client, limits.recipients), (500, 50, 100));
    assert_eq!((limits.message_size, limits.queue_size, limits.disk_free), (50 << 20, 5 << 30, 200 << 20));
    assert_eq!(
        (limits.messages_per_client.count.get(), limits.messages_per_client.per),
        (10_000, Duration::from_secs(60))
    );
    assert_eq!(
        (limits.recipients_per_client.count.get(), limits.recipients_per_client.per),
        (30_000, Duration::from_secs(60))
    );
    assert_eq!((limits.bytes_per_client.octets, limits.bytes_per_client.per), (8 << 30, Duration::from_secs(3600)));
    assert_eq!(
        (limits.failures_per_client.count.get(), limits.failures_per_client.per),
        (100, Duration::from_secs(60))
    );
    assert_eq!((limits.messages_per_sender, limits.queue_size_per_client), (None, 2 << 30));
    assert!(local.proxy_from.is_empty());
    let minutes: Vec<u64> = settings.queue.schedule.retry.iter().map(|wait| wait.as_secs() / 60).collect();
    assert_eq!(minutes, [1, 5, 15, 60, 120, 240]);
    let day = Duration::from_secs(86_400);
    let (queue, keep) = (&settings.queue, &settings.queue.retention);
    assert_eq!((queue.schedule.expire, keep.keep_records, keep.keep_failed), (day * 5, day * 180, day * 30));
    assert_eq!(queue.data_dir, Path::new("/home/relay/.local/state/yizhan"));
    assert_eq!(settings.notice.to, NoticeTo::Account);
    assert_eq!((settings.log.format, settings.log.level), (LineFormat::Text, LevelFilter::INFO));
}

#[test]
fn each_layer_wins_over_the_one_below() {
    let file = "data_dir = \"/file\"\n[log]\nlevel = \"warn\"\nformat = \"json\"\n";
    let env = [("YIZHAN_LOG", "debug"), ("YIZHAN_DATA_DIR", "/env"), ("YIZHAN__LIMITS__CONNECTIONS", "7")];
    let mut sources = sources(file, &env);
    sources.overrides.data_dir = Some("/argument".into());
    let loaded = load(sources).unwrap();
    assert_eq!(loaded.settings.queue.data_dir, Path::new("/argument"));
    assert_eq!((loaded.settings.log.level, loaded.settings.log.format), (LevelFilter::DEBUG, LineFormat::Json));
    assert_eq!(loaded.settings.limits.connections, 7);
    for (key, origin) in [
        ("data_dir", "--data-dir"),
        ("log.level", "$YIZHAN_LOG"),
        ("log.format", "yizhan.toml:4"),
        ("limits.connections", "$YIZHAN__LIMITS__CONNECTIONS"),
        ("limits.recipients", "default"),
        ("hostname", "default (the machine's name)"),
    ] {
        assert_eq!(loaded.origins[key], origin, "{key}");
    }
}

#[test]
fn one_account_needs_no_file() {
    let env = [
        ("YIZHAN_PROVIDER", "qq"),
        ("YIZHAN_USER", "10000@qq.com"),
        ("YIZHAN_SECRET", "abcdefghijklmnop"),
        ("YIZHAN_LISTEN", "0.0.0.0:2525,[::1]:2525"),
        ("YIZHAN_ALLOW", "10.0.0.0/8, 192.168.1.20"),
        ("YIZHAN_HOSTNAME", "relay.example.lan"),
    ];
    let mut sources = sources("", &env);
    sources.file = FileSource::Search(Vec::new());
    let loaded = load(sources).unwrap();
    assert!(loaded.warnings.is_empty() && loaded.file.is_none());
    let account = &loaded.settings.accounts[0];
    assert_eq!((account.name.as_str(), account.preset.name.as_str()), ("main", "qq"));
    // The code stays in the environment: a copy could be shown by mistake.
    assert_eq!(account.secret, Some(SecretSource::Env("YIZHAN_SECRET".into())));
    let host = "smtp.qq.com".to_owned();
    let implicit = Endpoint { host: host.clone(), port: 465, tls: Tls::Implicit };
    assert_eq!(account.endpoints, [implicit, Endpoint { host, port: 587, tls: Tls::StartTls }]);
    assert_eq!((account.login.as_slice(), account.connections), ([Mechanism::Login, Mechanism::Plain].as_slice(), 1));
    assert_eq!(loaded.settings.listeners[0].bind.len(), 2);
    assert_eq!(loaded.settings.listeners[0].allow[1], "192.168.1.20/32".parse().unwrap());
    assert!(!loaded.effective().contains("abcdefghijklmnop"));
}

#[test]
fn the_command_line_does_the_same() {
    let mut sources = sources("", &[("YIZHAN_SECRET_FILE", "/run/secrets/qq"), ("YIZHAN_USER", "other@qq.com")]);
    sources.overrides = Overrides {
        provider: Some("exmail".into()),
        user: Some("a@example.com".into()),
        listen: vec!["127.0.0.1:0".into()],
        allow: vec!["127.0.0.1".into(), "10.1.0.0/16".into()],
        ..Overrides::default()
    };
    let loaded = load(sources).unwrap();
    let account = &loaded.settings.accounts[0];
    assert_eq!((account.user.as_str(), account.preset.name.as_str()), ("a@example.com", "exmail"));
    assert_eq!(account.secret, Some(SecretSource::File("/run/secrets/qq".into())));
    assert_eq!(loaded.settings.listeners[0].allow.len(), 2);
    // The file is not there yet: a warning, because it is read at each log-in.
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
fn a_missing_secret_is_no_mistake_for_somebody_who_can_ask() {
    let mut sources = sources("", &[("YIZHAN_PROVIDER", "qq"), ("YIZHAN_USER", "10000@qq.com")]);
    assert!(load(sources.clone()).is_err());
    sources.can_ask = true;
    assert_eq!(load(sources).unwrap().settings.accounts[0].secret, None);
}

#[test]
fn secrets_keep_their_form() {
    // Nothing may guess that 007 is a number.
    let file = ACCOUNT.replace("{ env = \"CODE\" }", "\"007\"");
    let loaded = good(&file, &[]);
    let secret = loaded.settings.accounts[0].secret.as_ref().unwrap().read().unwrap();
    assert_eq!(secret.expose(), "007");
    assert!(loaded.warnings[0].contains("account.office.secret (yizhan.toml:4)"), "{:?}", loaded.warnings);
    assert!(!loaded.warnings[0].contains("007"));

    let layered = good(&file, &[("YIZHAN__ACCOUNT__OFFICE__SECRET__FILE", "/run/secrets/x")]);
    assert_eq!(layered.settings.accounts[0].secret, Some(SecretSource::File("/run/secrets/x".into())));
    let layered = good(&file, &[("YIZHAN__ACCOUNT__OFFICE__SECRET", "8")]);
    let name = "YIZHAN__ACCOUNT__OFFICE__SECRET".to_owned();
    assert_eq!(layered.settings.accounts[0].secret, Some(SecretSource::Env(name)));
}

#[test]
fn what_is_shown_can_be_read_and_hides_secrets() {
    let file = format!("{ACCOUNT}[account.second]\nprovider = \"qq\"\nuser = \"2@qq.com\"\nsecret = \"hunter2\"\n");
    let loaded = good(&file, &[("CODE", "hunter2"), ("YIZHAN_LOG", "debug")]);
    let text = loaded.effective();
    assert!(!text.contains("hunter2") && !format!("{loaded:?}").contains("hunter2"), "{text}");
    for line in [
        "# settings file: yizhan.toml",
        "[listener.local]",
        "bind = [\"127.0.0.1:25\"]  # default",
        "[account.office]",
        "# connects to smtp.qq.com:465 implicit, then smtp.qq.com:587 starttls",
        "# logs in with login, else plain; at most 1 connection(s)",
        "provider = \"qq\"  # yizhan.toml:2",
        "secret = { env = \"CODE\" }  # yizhan.toml:4",
        "secret = \"[secret]\"  # yizhan.toml:8",
        "level = \"debug\"  # $YIZHAN_LOG",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
    // It is a settings file again, with the same meaning but for the hidden secret.
    let mut again = good(&text, &[("CODE", "x")]).settings;
    again.accounts[1].secret = loaded.settings.accounts[1].secret.clone();
    assert_eq!(again, loaded.settings);
}

#[test]
fn a_named_listener_replaces_the_default_one() {
    let loaded =
        good("[listener.lan]\nbind = [\"192.168.1.2:25\"]\nauth = \"accept-any\"\nprofile = \"legacy\"\n", &[]);
    assert_eq!(loaded.settings.listeners.len(), 1);
    let lan = &loaded.settings.listeners[0];
    assert_eq!((lan.name.as_str(), lan.auth, lan.profile), ("lan", AuthMode::AcceptAny, Profile::Legacy));
    // It fails closed: without `allow` it is loopback that may send.
    assert_eq!(lan.allow.len(), 2);
    let loaded = good("[listener.lan]\n", &[("YIZHAN_ALLOW", "10.0.0.0/8")]);
    assert_eq!(loaded.settings.listeners[0].allow, ["10.0.0.0/8".parse().unwrap()]);
}

#[test]
fn accounts_keep_the_order_of_the_file() {
    let account = |name: &str| ACCOUNT.replace("office", name);
    let file = ["zebra", "apple", "1"].map(account).concat();
    let names: Vec<String> = good(&file, &[("CODE", "x")]).settings.accounts.into_iter().map(|a| a.name).collect();
    assert_eq!(names, ["zebra", "apple", "1"]);
}

#[test]
fn clients_say_what_is_known_of_them() {
    let file = "[client.scanner]\nfrom = [\"192.168.1.20\", \"10.1.2.3/8\"]\ndisplay = \"扫描仪 2F\"\ncharset = \"gb2312\"\n\
        reply_to = \"reception@example.com\"\nsubject_prefix = \"[scan] \"\nrepair = \"minimal\"\ndrop_cron_env = true\n\
        [client.all]\nfrom = [\"0.0.0.0/0\", \"::/0\"]\n";
    let env = [
        ("YIZHAN__CLIENT__UPS__FROM", "192.168.1.21, fc00::/7"),
        ("YIZHAN__CLIENT__UPS__DROP_CRON_ENV", "true"),
        ("YIZHAN__CLIENT__ALL__CHARSET", "big5"),
    ];
    let loaded = good(file, &env);
    let [scanner, all, ups] = &loaded.settings.clients[..] else { panic!("{loaded:?}") };
    assert_eq!((scanner.name.as_str(), all.name.as_str(), ups.name.as_str()), ("scanner", "all", "ups"));
    assert_eq!(scanner.from, ["192.168.1.20/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()]);
    assert_eq!((scanner.display.as_deref(), scanner.subject_prefix.as_deref()), (Some("扫描仪 2F"), Some("[scan]")));
    assert_eq!(scanner.charset.map(|charset| charset.name()), Some("GBK"));
    assert_eq!(scanner.reply_to.as_ref().map(|address| address.as_str()), Some("reception@example.com"));
    assert_eq!((scanner.level, ups.level), (Level::Minimal, Level::Full));
    assert_eq!((scanner.drop_cron_env, all.drop_cron_env, ups.drop_cron_env), (true, false, true));
    assert_eq!((all.display.as_deref(), all.charset.map(|charset| charset.name())), (None, Some("Big5")));
    assert_eq!((all.from.len(), ups.from.len()), (2, 2));
    // An entry lets nobody in.
    assert_eq!(loaded.settings.listeners[0].allow, good("", &[]).settings.listeners[0].allow);
    let text = loaded.effective();
    assert!(text.contains("[client.scanner]\nfrom = [\"192.168.1.20\", \"10.1.2.3/8\"]  # yizhan.toml:2\n"), "{text}");
    assert!(text.contains("charset = \"big5\"  # $YIZHAN__CLIENT__ALL__CHARSET\n"), "{text}");
    assert_eq!(good(&text, &[]).settings, loaded.settings);
}

#[test]
fn a_client_may_have_a_profile_and_a_patience_of_its_own() {
    let file = "[listener.lan]\nprofile = \"strict\"\n[client.plc]\nfrom = [\"10.0.0.5\"]\nprofile = \"legacy\"\nidle = \"1h\"\n\
        [client.erp]\nfrom = [\"10.0.0.6\"]\n[client.login]\nprofile = \"tolerant\"\nidle = \"10m\"\n\
        [user.erp]\npassword = { env = \"PASSWORD\" }\nclient = \"login\"\n";
    let env = [("YIZHAN__CLIENT__ERP__PROFILE", "strict"), ("PASSWORD", "x")];
    let loaded = good(file, &env);
    let said: Vec<_> = loaded.settings.clients.iter().map(|one| (one.name.as_str(), one.profile, one.idle)).collect();
    let minutes = |n: u64| Some(Duration::from_secs(n * 60));
    let expected = [
        ("plc", Some(Profile::Legacy), minutes(60)),
        ("erp", Some(Profile::Strict), None),
        ("login", Some(Profile::Tolerant), minutes(10)),
    ];
    let sorted = |mut all: Vec<(&'static str, _, _)>| {
        all.sort_by_key(|(name, ..)| *name);
        all
    };
    let found = said.iter().map(|(name, profile, idle)| {
        (expected.iter().find(|one| one.0 == *name).expect("no other").0, *profile, *idle)
    });
    assert_eq!(sorted(found.collect()), sorted(expected.to_vec()));
    let text = loaded.effective();
    for line in [
        "profile = \"legacy\"  # yizhan.toml:5",
        "idle = \"1h\"  # yizhan.toml:6",
        "profile = \"strict\"  # $YIZHAN__CLIENT__ERP__PROFILE",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
    assert_eq!(good(&text, &env).settings, loaded.settings);
    // Who is only known by its log-in was greeted before that.
    for key in ["profile", "idle"] {
        let path = format!("client.login.{key} (");
        assert!(loaded.warnings.iter().any(|warning| warning.starts_with(&path)), "{:?}", loaded.warnings);
    }
    let about_clients = loaded.warnings.iter().filter(|warning| warning.starts_with("client.")).count();
    assert_eq!(about_clients, 2, "{:?}", loaded.warnings);
}

#[test]
fn an_account_may_send_as_another_address_than_it_logs_in_with() {
    let custom = ACCOUNT.replace("\"qq\"", "\"custom\"") + "host = \"mail.example.com\"\n";
    let cloud = custom.replace("10000@qq.com", "apikey") + "address = \"relay@example.com\"\n";
    let one = |text: &str| good(text, &[("CODE", "x")]).settings.accounts.remove(0);
    let account = one(&cloud);
    assert_eq!((account.user.as_str(), account.address.as_str()), ("apikey", "relay@example.com"));
    assert_eq!(one(&custom).address.as_str(), "10000@qq.com");
    let other = one(&format!("{ACCOUNT}address = \"other@qq.com\"\n"));
    assert_eq!((other.user.as_str(), other.address.as_str()), ("10000@qq.com", "other@qq.com"));
    // Each once, and the account's own is none.
    let aliases = one(&format!("{ACCOUNT}aliases = [\"a@qq.com\", \"10000@QQ.com\", \"A@qq.com\", \"b@qq.com\"]\n"));
    let texts: Vec<&str> = aliases.aliases.iter().map(|alias| alias.as_str()).collect();
    assert_eq!(texts, ["a@qq.com", "b@qq.com"]);
    let env = [("CODE", "x"), ("YIZHAN__ACCOUNT__OFFICE__ALIASES", "a@qq.com, b@qq.com")];
    let loaded = good(ACCOUNT, &env);
    assert_eq!(loaded.settings.accounts[0].aliases.len(), 2);
    let text = loaded.effective();
    assert!(text.contains("# sends as 10000@qq.com, or as a@qq.com, b@qq.com\n"), "{text}");
}

#[test]
fn host_port_and_tls_replace_what_the_preset_says() {
    let places = |lines: &str| {
        let file = format!("{}{lines}", ACCOUNT.replace("\"qq\"", "\"custom\""));
        let loaded = good(&file, &[("CODE", "x")]);
        let show = |e: &Endpoint| format!("{}:{} {}", e.host, e.port, e.tls.word());
        loaded.settings.accounts[0].endpoints.iter().map(show).collect::<Vec<_>>().join(", ")
    };
    let host = "host = \"mail.example.com\"\n";
    assert_eq!(places(host), "mail.example.com:465 implicit, mail.example.com:587 starttls");
    assert_eq!(places(&format!("{host}port = 587")), "mail.example.com:587 starttls");
    assert_eq!(places(&format!("{host}port = 25")), "mail.example.com:25 starttls");
    assert_eq!(places(&format!("{host}tls = \"starttls\"")), "mail.example.com:587 starttls");
    assert_eq!(places(&format!("{host}port = 994\ntls = \"implicit\"")), "mail.example.com:994 implicit");
    let login = good(&format!("{ACCOUNT}login = \"plain\"\nbudget = {{ connections = 3 }}\n"), &[("CODE", "x")]);
    assert_eq!(login.settings.accounts[0].login, [Mechanism::Plain]);
    assert_eq!(login.settings.accounts[0].connections, 3);
}

#[test]
fn the_file_is_found_where_the_manual_says() {
    let home = folder("lookup");
    let write = |name: &str, level: &str| {
        fs::write(home.join(name), format!("[log]\nlevel = \"{level}\"\n")).unwrap();
        home.join(name)
    };
    let (first, second) = (write("first.toml", "error"), write("second.toml", "warn"));
    let (by_env, by_argument) = (write("env.toml", "debug"), write("argument.toml", "trace"));
    let mut sources = sources("", &[]);
    let level = |sources: &Sources| load(sources.clone()).unwrap().settings.log.level;

    sources.file = FileSource::Search(vec![home.join("none.toml"), first, second.clone()]);
    assert_eq!(level(&sources), LevelFilter::ERROR);
    sources.file = FileSource::Search(vec![home.join("none.toml"), second]);
    assert_eq!(level(&sources), LevelFilter::WARN);
    sources.env.insert("YIZHAN_CONFIG".into(), by_env.display().to_string());
    assert_eq!(level(&sources), LevelFilter::DEBUG);
    sources.overrides.config = Some(by_argument.clone());
    assert_eq!(level(&sources), LevelFilter::TRACE);
    assert_eq!(load(sources.clone()).unwrap().file, Some(by_argument));
    // A file that somebody named must exist.
    sources.overrides.config = Some(home.join("none.toml"));
    assert!(load(sources).unwrap_err().to_string().starts_with("1 mistake in the settings\n\n--config"));
}

#[test]
fn files_of_windows_editors() {
    assert_eq!(good("\u{feff}[log]\r\nlevel = \"warn\"\r\n", &[]).settings.log.level, LevelFilter::WARN);
    let home = folder("encoding");
    fs::write(home.join("gbk.toml"), b"# one\n# \xd6\xd0\xce\xc4\n").unwrap();
    let mut sources = sources("", &[]);
    sources.overrides.config = Some(home.join("gbk.toml"));
    let text = load(sources).unwrap_err().to_string();
    assert!(text.contains("is not UTF-8 (line 2)") && text.contains("save it as UTF-8"), "{text}");
}

#[test]
fn the_data_folder_has_four_homes() {
    let folder = |env: &[(&str, &str)]| good("", env).settings.queue.data_dir.display().to_string();
    let state = ("STATE_DIRECTORY", "/var/lib/yizhan:/var/lib/other");
    let xdg = ("XDG_STATE_HOME", "/xdg");
    assert_eq!(folder(&[state, xdg]), "/var/lib/yizhan");
    assert_eq!(folder(&[xdg]), "/xdg/yizhan");
    assert_eq!(folder(&[("XDG_STATE_HOME", "relative")]), "/home/relay/.local/state/yizhan");
    assert_eq!(folder(&[state, ("YIZHAN_DATA_DIR", "/mine")]), "/mine");
}

#[test]
fn paths_in_a_file_start_from_its_folder() {
    let mut sources = sources("", &[]);
    let text = "data_dir = \"data\"\n".to_owned();
    sources.file = FileSource::Text { name: "/etc/yizhan/yizhan.toml".into(), text };
    assert_eq!(load(sources.clone()).unwrap().settings.queue.data_dir, Path::new("/etc/yizhan/data"));
    sources.overrides.data_dir = Some("data".into());
    assert_eq!(load(sources).unwrap().settings.queue.data_dir, Path::new("data"));
}

#[test]
fn a_machine_without_a_usable_name_says_localhost() {
    let mut sources = sources("", &[]);
    for (machine, name) in [("3f2a9c", "3f2a9c"), ("办公室", "localhost"), ("", "localhost"), ("(none)", "localhost")]
    {
        sources.machine = machine.to_owned();
        assert_eq!(load(sources.clone()).unwrap().settings.hostname, name);
    }
}

#[test]
fn a_flat_file_is_told_where_its_keys_belong() {
    let text = complaint("provider = \"qq\"\nuser = \"10000@qq.com\"\nsecret = \"hunter2\"\n", &[]);
    for key in ["provider", "user", "secret"] {
        assert!(text.contains(&format!("did you mean `account.NAME.{key}`?")), "{text}");
    }
}

#[test]
fn no_message_shows_a_secret_wherever_it_was_put() {
    // One broken thing after another around a secret, and the secret in wrong places.
    let breaks = [
        "",
        "\"",
        "'",
        "]",
        "\\q\"",
        " = 1",
        "\u{1}",
        "\nsecret = \"hunter2\"",
        "\n[account.office.secret]\nx = \"hunter2\"",
    ];
    let heads = [
        "secret = hunter2",
        "secret = \"hunter2",
        "secret = {file = hunter2",
        "secret = {plain = \"hunter2\"}",
        "secret.x = \"hunter2\"",
        "password = \"hunter2\"",
        "secret = [\"file\", \"hunter2\"]",
        "secret = [[\"hunter2\"]]",
        "budget = \"hunter2\"",
        "secret = \"\"\"\nhunter2\n",
        "proxy = \"hunter2\"",
        "proxy = \"socks5://relay:hunter2@proxy:1080\"",
        "proxy = \"socks5://proxy:1080:relay:hunter2\"",
        "proxy = [\"http://relay:hunter2@proxy:1080\"]",
        "proxy.hunter2 = 1",
    ];
    for head in heads {
        for tail in breaks {
            let file = format!("{}{head}{tail}\n", ACCOUNT.replace("secret", "#"));
            let seen = match load(sources(&file, &[("CODE", "hunter2")])) {
                Ok(loaded) => format!("{loaded:?} {}", loaded.effective()),
                Err(problems) => format!("{problems} {problems:?}"),
            };
            assert!(!seen.contains("hunter2"), "{file}\n{seen}");
        }
    }
    // What was put in may not be printed by mistake either, nor a code that stands where a path should.
    let sources = sources(&ACCOUNT.replace("env = \"CODE\"", "file = \"hunter2\""), &[("YIZHAN_SECRET", "hunter2")]);
    assert!(!format!("{sources:?}").contains("hunter2"));
    let loaded = load(Sources { env: BTreeMap::from([("HOME".into(), "/".into())]), ..sources }).unwrap();
    assert!(!format!("{:?} {}", loaded.warnings, loaded.effective()).contains("hunter2"));
}

#[test]
fn a_message_larger_than_the_provider_takes_is_warned_about() {
    let loaded = good(&format!("{ACCOUNT}[limits]\nmessage_size = \"100MiB\"\n"), &[("CODE", "x")]);
    assert_eq!(loaded.warnings, ["limits.message_size = \"100MiB\" is more than QQ Mail takes (account.office)"]);
}

#[test]
fn users_say_who_may_log_in() {
    let hash = "$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG";
    let file = format!(
        "[listener.lan]\nauth = \"verify\"\n[client.scanner]\ndisplay = \"Scanner\"\n[user.scanner]\npassword = \"{hash}\"\n\
         login = \"scanner@office.lan\"\nclient = \"scanner\"\nsender = [\"scan@example.com\", \"*@lan.local\"]\n\
         [user.cron]\npassword = {{ env = \"CRON\" }}\n[user.plain]\npassword = \"hunter2\"\n"
    );
    let loaded = good(&file, &[("CRON", "x"), ("YIZHAN__USER__PLAIN__SENDER", "a@b.c, d@e.f")]);
    let [scanner, cron, plain] = &loaded.settings.users[..] else { panic!("{loaded:?}") };
    let client = |user: &User| user.client.as_ref().map(|client| client.name.clone());
    assert_eq!((scanner.login.as_str(), client(scanner).as_deref()), ("scanner@office.lan", Some("scanner")));
    assert_eq!((cron.login.as_str(), client(cron), cron.senders.len()), ("cron", None, 0));
    assert_eq!((scanner.senders.len(), plain.senders.len()), (2, 2));
    assert_eq!(loaded.settings.listeners[0].auth, AuthMode::Verify);
    // A client without an address, because a user is it.
    assert!(loaded.settings.clients[0].from.is_empty());
    // A hash may stand in the file; the password itself is warned about, and so is a log-in in the clear.
    let warned = |what: &str| loaded.warnings.iter().filter(|warning| warning.contains(what)).count();
    assert_eq!((warned("user."), warned("user.plain.password")), (1, 1), "{:?}", loaded.warnings);
    assert_eq!(warned("passwords cross the network in the clear"), 1, "{:?}", loaded.warnings);
    let text = loaded.effective();
    assert!(!text.contains("argon2") && !text.contains("hunter2") && text.contains("[user.scanner]"), "{text}");
}

#[test]
fn users_without_a_listener_that_asks_are_warned_about() {
    let loaded = good("[user.scanner]\npassword = { env = \"X\" }\n", &[("X", "x")]);
    assert!(loaded.warnings.iter().any(|warning| warning.contains("no listener has auth")), "{:?}", loaded.warnings);
}
