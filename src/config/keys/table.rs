//! The one table of settings: every key with its kind, its default and its comment.
//!
//! From it come the check of the file, the names of environment variables, the text of `conf/yizhan.toml` and what
//! `yizhan check` prints. A key that is not here does not exist. Not here: what the kinds are (that is `keys`).
//!
//! Invariant: every default and every example reads without fault (a test does it).

use crate::config::key::{Key, Kind};

mod relay;

/// A limit of a window.
const BUDGET: Kind = Kind::Whole(1, 10_000_000);

/// Every setting of this version, in the order of the reference file.
pub(in crate::config) static KEYS: &[Key] = &joined::<{ SECTIONS.len() + relay::KEYS.len() }>(SECTIONS, relay::KEYS);

/// One table of two, one behind the other; `N` is the sum of their lengths.
const fn joined<const N: usize>(first: &[Key], second: &[Key]) -> [Key; N] {
    let mut all = [first[0]; N];
    let mut n = 0;
    while n < N {
        all[n] = if n < first.len() { first[n] } else { second[n - first.len()] };
        n += 1;
    }
    all
}

/// The machine, and everything of which there may be many: listeners, users, accounts, clients, routes, replies.
const SECTIONS: &[Key] = &[
    Key::open(
        "hostname",
        Kind::Hostname,
        r#""relay.example.lan""#,
        "the name in EHLO and Received; default: the machine's name",
    ),
    Key::open(
        "data_dir",
        Kind::Path,
        r#""/var/lib/yizhan""#,
        "queue and state; default: $STATE_DIRECTORY, else $XDG_STATE_HOME/yizhan, else ~/.local/state/yizhan",
    ),
    Key::fixed("listener.*.bind", Kind::Sockets, r#"["127.0.0.1:25"]"#, "addresses to listen on, with the port"),
    Key::fixed(
        "listener.*.tls",
        Kind::Word(&["off", "starttls", "implicit"], &[]),
        r#""off""#,
        "off | starttls (offered; many clients give up when they do not trust the certificate) | implicit (from the first \
         octet, usually at port 465)",
    ),
    Key::open(
        "listener.*.certificate",
        Kind::Path,
        r#""certs/relay.pem""#,
        "PEM file with the certificate and those above it, for tls; read again when it changes",
    ),
    Key::open(
        "listener.*.key",
        Kind::Path,
        r#""certs/relay.key""#,
        "PEM file with its private key; read again when it changes",
    ),
    Key::fixed(
        "listener.*.auth",
        Kind::Word(&["off", "accept-any", "verify"], &[]),
        r#""off""#,
        "off | accept-any (any user name and password will do; it allows nobody who is not in `allow`) | verify (by \
         [user.NAME]; who logs in may send from anywhere)",
    ),
    Key::fixed(
        "listener.*.allow",
        Kind::Networks,
        r#"["127.0.0.0/8", "::1/128"]"#,
        "client networks; everybody else is refused with 554 5.7.1, unless auth is verify",
    ),
    Key::open(
        "listener.*.proxy_from",
        Kind::Networks,
        r#"["10.0.0.5"]"#,
        "load balancers that say who the client is (PROXY protocol 1 and 2): from these addresses a connection must begin \
         with such a header, and `allow` is asked about the client in it; default: none",
    ),
    Key::fixed(
        "listener.*.profile",
        Kind::Word(&["strict", "tolerant", "legacy"], &[]),
        r#""tolerant""#,
        "how much broken SMTP is put up with: strict | tolerant | legacy (dangerous outside a network of one's own); of a \
         [client.NAME] that says it, its own",
    ),
    Key::open(
        "user.*.password",
        Kind::Password,
        r#"{ file = "/run/secrets/scanner" }"#,
        "what `yizhan hash-password` prints, or { file = \"..\" }, { env = \"..\" } with that or with the password, or the password \
         itself (warned about)",
    ),
    Key::open("user.*.login", Kind::User, r#""scanner@office.lan""#, "the name it logs in with; default: its NAME"),
    Key::open(
        "user.*.client",
        Kind::Names,
        r#""scanner""#,
        "a NAME of [client.NAME], which it then is wherever it comes from, for repairs and routes; default: found by its address",
    ),
    Key::open(
        "user.*.account",
        Kind::Names,
        r#""office""#,
        "a NAME of [account.NAME], through which its mail leaves, whatever the routes say; default: as the routes say",
    ),
    Key::open(
        "user.*.sender",
        Kind::Patterns,
        r#"["scanner@example.com"]"#,
        "whom it may send as, in MAIL FROM; * stands for any characters; one or a list; default: anybody",
    ),
    Key::open(
        "account.*.provider",
        Kind::Provider,
        r#""qq""#,
        "one of {providers} (cpanel, custom and ses need `host`)",
    ),
    Key::open(
        "account.*.user",
        Kind::User,
        r#""10000@qq.com""#,
        "the log-in name, which for most providers is the address",
    ),
    Key::open(
        "account.*.address",
        Kind::Mailbox,
        r#""office@example.com""#,
        "the mailbox to send as, where `user` is no address; default: `user`",
    ),
    Key::open(
        "account.*.aliases",
        Kind::Mailboxes,
        r#"["sales@example.com"]"#,
        "other addresses of this mailbox: mail that has one of them in From: keeps it. The provider must know them",
    ),
    Key::open(
        "account.*.keep_dkim",
        Kind::Flag,
        "true",
        "whether a DKIM-Signature stays that the account's From breaks; default: false",
    ),
    Key::open(
        "account.*.secret",
        Kind::Secret,
        r#"{ file = "/run/secrets/qq" }"#,
        "the authorization code: { file = \"..\" }, { env = \"..\" }, or the code itself (warned about)",
    ),
    Key::open("account.*.host", Kind::Host, r#""smtp.qq.com""#, "default: the provider's"),
    Key::open("account.*.port", Kind::Whole(1, 65535), "465", "default: the provider's, else 465 and then 587"),
    Key::open(
        "account.*.tls",
        Kind::Word(&["implicit", "starttls"], &[]),
        r#""implicit""#,
        "implicit | starttls; default: what belongs to the port. There is no way without TLS",
    ),
    Key::open(
        "account.*.login",
        Kind::Words(&["login", "plain"], &[]),
        r#"["login", "plain"]"#,
        "log-in mechanisms for a password, best first; default: the provider's. With [account.NAME.oauth] it is XOAUTH2 or OAUTHBEARER",
    ),
    Key::open(
        "account.*.ca",
        Kind::Path,
        r#""certs/ca.pem""#,
        "PEM file with an authority to trust beside the system's",
    ),
    Key::open(
        "account.*.proxy",
        Kind::Proxy,
        r#""socks5://127.0.0.1:1080""#,
        "the way to the provider: socks5://host:port or http://host:port, with user:password@ in front of the host if it \
         asks for them; default: none",
    ),
    Key::open(
        "account.*.budget.messages_per_minute",
        BUDGET,
        "15",
        "most messages in a minute; default: the provider's",
    ),
    Key::open("account.*.budget.messages_per_hour", BUDGET, "100", "most messages in an hour; default: the provider's"),
    Key::open("account.*.budget.messages_per_day", BUDGET, "500", "most messages in a day; default: the provider's"),
    Key::open(
        "account.*.budget.recipients_per_minute",
        BUDGET,
        "30",
        "most recipients in a minute, of all messages together; default: the provider's",
    ),
    Key::open(
        "account.*.budget.recipients_per_hour",
        BUDGET,
        "100",
        "most recipients in an hour, of all messages together; default: the provider's",
    ),
    Key::open(
        "account.*.budget.recipients_per_day",
        BUDGET,
        "500",
        "most recipients in a day, of all messages together; default: the provider's",
    ),
    Key::open(
        "account.*.budget.logins_per_minute",
        BUDGET,
        "2",
        "most log-ins in a minute, refused ones as well; default: the provider's",
    ),
    Key::open(
        "account.*.budget.logins_per_hour",
        BUDGET,
        "20",
        "most log-ins in an hour, refused ones as well; default: the provider's",
    ),
    Key::open(
        "account.*.budget.logins_per_day",
        BUDGET,
        "100",
        "most log-ins in a day, refused ones as well; default: the provider's",
    ),
    Key::open(
        "account.*.budget.connections",
        Kind::Whole(1, 100),
        "1",
        "most connections at a time; default: the provider's",
    ),
    Key::open(
        "account.*.oauth.client_id",
        Kind::Phrase,
        r#""00001111-aaaa-2222-bbbb-3333cccc4444""#,
        "access tokens instead of a password (docs/oauth.md): the id of an app that you registered",
    ),
    Key::open(
        "account.*.oauth.grant",
        Kind::Word(&["device", "browser", "client", "service-account"], &[]),
        r#""device""#,
        "device | browser (a person signs in once: `yizhan login NAME`) | client (the app itself, with client_secret) | \
         service-account (Google Workspace, with key); default: device, for Google browser",
    ),
    Key::open(
        "account.*.oauth.tenant",
        Kind::Phrase,
        r#""contoso.onmicrosoft.com""#,
        "Microsoft: consumers | organizations | common | the organisation's domain or ID; default: the provider's",
    ),
    Key::open(
        "account.*.oauth.client_secret",
        Kind::Secret,
        r#"{ file = "/run/secrets/relay-app" }"#,
        "the app's secret, where it has one: { file = \"..\" } or { env = \"..\" }",
    ),
    Key::open(
        "account.*.oauth.key",
        Kind::Secret,
        r#"{ file = "/run/secrets/service-account.json" }"#,
        "the JSON key of a service account",
    ),
    Key::open(
        "account.*.oauth.expires",
        Kind::Phrase,
        r#""2028-01-31""#,
        "the day on which the client secret ends; warned about 30 days before",
    ),
    Key::open(
        "account.*.oauth.cloud",
        Kind::Word(&["public", "usgov", "china"], &[]),
        r#""public""#,
        "Microsoft's cloud: public | usgov | china (21Vianet); default: public",
    ),
    Key::open(
        "account.*.oauth.scope",
        Kind::Sentence,
        r#""https://outlook.office.com/SMTP.Send offline_access""#,
        "what is asked for; default: the provider's",
    ),
    Key::open(
        "account.*.oauth.token_url",
        Kind::Sentence,
        r#""https://id.example.com/token""#,
        "where tokens are given out; default: the provider's",
    ),
    Key::open(
        "account.*.oauth.authorize_url",
        Kind::Sentence,
        r#""https://id.example.com/authorize""#,
        "where a person signs in; default: the provider's",
    ),
    Key::open(
        "account.*.oauth.device_url",
        Kind::Sentence,
        r#""https://id.example.com/device""#,
        "where device codes come from; default: the provider's",
    ),
    Key::open(
        "client.*.from",
        Kind::AnyNetworks,
        r#"["192.168.1.20", "10.0.0.0/8"]"#,
        "its addresses and networks; the narrowest that fits counts. It allows nobody who is not in `allow`",
    ),
    Key::open("client.*.display", Kind::Phrase, r#""Scanner 2F""#, "the name in From: when the mail brings none"),
    Key::open(
        "client.*.charset",
        Kind::Charset,
        r#""gb18030""#,
        "the charset of text that is not UTF-8 and names none; default: found by looking at it",
    ),
    Key::open(
        "client.*.reply_to",
        Kind::Mailbox,
        r#""reception@example.com""#,
        "where answers go when the mail does not say; default: its own sender",
    ),
    Key::open("client.*.subject_prefix", Kind::Phrase, r#""[scan]""#, "what stands before every subject"),
    Key::open(
        "client.*.repair",
        Kind::Word(&["full", "minimal"], &[]),
        r#""full""#,
        "full | minimal (only what the provider would refuse); default: full",
    ),
    Key::open(
        "client.*.drop_cron_env",
        Kind::Flag,
        "true",
        "whether the X-Cron-Env fields go in which cron tells its environment; default: false",
    ),
    Key::open(
        "client.*.profile",
        Kind::Word(&["strict", "tolerant", "legacy"], &[]),
        r#""legacy""#,
        "how much broken SMTP is put up with: strict | tolerant | legacy (a message may end at LF.LF, EHLO is answered in one \
         line); default: the listener's",
    ),
    Key::open(
        "client.*.idle",
        Kind::Time(5),
        r#""1h""#,
        "how long it may stay connected without a word, for those that keep a connection for later; default: 5m",
    ),
    Key::open(
        "client.*.lane",
        Kind::Word(&["alarm", "normal", "bulk"], &[]),
        r#""alarm""#,
        "alarm (goes first, and has a part of the budget to itself) | normal | bulk (waits for the others); default: normal",
    ),
    Key::open(
        "client.*.sender",
        Kind::Patterns,
        r#"["*@corp.example", "alarm@example.com"]"#,
        "envelope senders it may use, others are refused with 553: a mailbox, *@domain (no subdomain), name@ (without a \
         domain) or *; default: any",
    ),
    Key::open(
        "client.*.null_sender",
        Kind::Flag,
        "false",
        "whether it may use the null sender <> (bounces, receipts), which is in no list; default: true",
    ),
    Key::open(
        "client.*.recipient",
        Kind::Patterns,
        r#"["*@corp.example"]"#,
        "envelope recipients it may write to, others are refused with 550; as `sender`; default: any",
    ),
    Key::open(
        "route.*.client",
        Kind::Names,
        r#""scanner""#,
        "for mail of this client, a NAME of [client.NAME], or of several",
    ),
    Key::open(
        "route.*.sender",
        Kind::Patterns,
        r#""*@example.com""#,
        "and with this envelope sender: an address, \"*@domain\" for all of a domain, \"printer@\" for one without a domain; one or a list",
    ),
    Key::open(
        "route.*.recipient",
        Kind::Patterns,
        r#"["*@example.com", "boss@example.org"]"#,
        "and to these recipients; one or a list",
    ),
    Key::open(
        "route.*.account",
        Kind::Names,
        r#"["office"]"#,
        "by this account, a NAME of [account.NAME], or by several in this order: overflow and failover",
    ),
    Key::open("route.*.spread", Kind::Flag, "false", "whether several accounts take turns instead; default: false"),
    Key::open(
        "reply.*.provider",
        Kind::Provider,
        r#""qq""#,
        "whose reply it is, a name as in [account.NAME]; default: anybody's",
    ),
    Key::open(
        "reply.*.phase",
        Kind::Phases,
        r#""DATA""#,
        "what was answered: CONNECT | EHLO | STARTTLS | AUTH | MAIL | RCPT | DATA | RSET | QUIT | ANY; one or a list; \
         default: ANY",
    ),
    Key::open(
        "reply.*.pattern",
        Kind::Sentence,
        r"'^550\b.*mailbox is being moved'",
        "a regular expression for code and text of the reply, upper and lower case alike",
    ),
    Key::open(
        "reply.*.action",
        Kind::Action,
        r#""RETRY_HOUR""#,
        "what follows: {actions}; with +ALERT behind it the owner is told",
    ),
    Key::open(
        "reply.*.scope",
        Kind::Word(&["session", "account", "host", "domain", "config", "message", "recipient"], &[]),
        r#""account""#,
        "what it is said of: session | account | host | domain | config | message | recipient; default: what goes with the action",
    ),
    Key::open(
        "reply.*.remedy",
        Kind::Sentence,
        r#""The provider is moving mailboxes; it will be over tonight.""#,
        "what the owner reads, in notices and in `yizhan explain`",
    ),
];
