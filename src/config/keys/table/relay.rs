//! The part of the table that is of the relay as a whole: limits, queue, notices, log.
//!
//! Not here: what there may be many of, such as accounts and clients (that is `table`, with the rules for every row).

use crate::config::key::{Key, Kind};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Its rows, in the order of the reference file.
pub(super) const KEYS: &[Key] = &[
    Key::fixed("limits.connections", Kind::Whole(1, 100_000), "500", "connections of all clients together"),
    Key::fixed("limits.connections_per_client", Kind::Whole(1, 100_000), "50", "connections of one client address"),
    Key::fixed(
        "limits.messages_per_connection",
        Kind::Whole(1, 1_000_000_000),
        "100000",
        "messages of one connection; the next MAIL is answered 421, and the client connects again",
    ),
    Key::fixed(
        "limits.messages_per_client",
        Kind::Rate,
        r#""10000/min""#,
        "messages of one client address: N/s, N/min or N/h",
    ),
    Key::fixed(
        "limits.recipients_per_client",
        Kind::Rate,
        r#""30000/min""#,
        "recipients of one client address, of all its messages together",
    ),
    Key::fixed(
        "limits.bytes_per_client",
        Kind::Flow,
        r#""8GiB/h""#,
        "mail of one client address: SIZE/s, SIZE/min or SIZE/h",
    ),
    Key::fixed(
        "limits.failures_per_client",
        Kind::Rate,
        r#""100/min""#,
        "refused commands of one client address: bad ones, log-ins, senders, recipients. Beyond it its mail is put off with \
         450, and no log-in is looked at",
    ),
    Key::open(
        "limits.messages_per_sender",
        Kind::Rate,
        r#""300/min""#,
        "messages of one envelope sender, whichever client they come from; default: not counted",
    ),
    Key::fixed("limits.recipients", Kind::Whole(1, 10_000), "100", "recipients of one message"),
    // RFC 5321 section 4.5.3.1.7: every server must take 64 KiB.
    Key::fixed("limits.message_size", Kind::Size(64 * KIB), r#""50MiB""#, "the largest message"),
    Key::fixed("limits.queue_size", Kind::Size(MIB), r#""5GiB""#, "what the queue may hold"),
    Key::fixed(
        "limits.queue_size_per_client",
        Kind::Size(MIB),
        r#""2GiB""#,
        "what messages of one client address may hold of it, so that there is room for the others",
    ),
    Key::fixed("limits.disk_free", Kind::Size(0), r#""200MiB""#, "what stays free on the disk"),
    Key::fixed(
        "queue.url",
        Kind::Word(&["sqlite"], &["postgres://", "postgresql://"]),
        r#""sqlite""#,
        "sqlite: a file in data_dir",
    ),
    Key::fixed(
        "queue.retry",
        Kind::Times,
        r#"["1m", "5m", "15m", "1h", "2h", "4h"]"#,
        "waits between tries; then the last one again and again",
    ),
    Key::fixed("queue.expire", Kind::Time(1), r#""5d""#, "after this long a message has failed"),
    Key::open(
        "queue.keep_delivered",
        Kind::Time(0),
        r#""7d""#,
        "the older name of history.keep; set one of them; default: not set",
    ),
    Key::fixed(
        "queue.keep_failed",
        Kind::Time(0),
        r#""30d""#,
        "how long the content of a failed message is kept, so that it can be sent again",
    ),
    Key::fixed(
        "history.keep",
        Kind::Time(0),
        r#""180d""#,
        "how long the record of a delivered or failed message is kept, without its body; about 1 kB a message",
    ),
    Key::fixed(
        "history.subject",
        Kind::Flag,
        "true",
        "whether records keep the decoded subject, at most 200 characters, so that `yizhan history --subject` finds it",
    ),
    Key::fixed(
        "notice.to",
        Kind::Notice,
        r#""self""#,
        "failure notices go to: self (the account's own mailbox) | sender (if a `sender` list names it) | an address | none",
    ),
    Key::open(
        "notice.webhook",
        Kind::Webhook,
        r#"{ file = "/run/secrets/webhook" }"#,
        "the URL that alerts are posted to; it carries a token, so it is written like `secret`; default: none",
    ),
    Key::fixed(
        "notice.format",
        Kind::Word(&["json", "wecom", "dingtalk", "feishu", "slack"], &[]),
        r#""json""#,
        "what is posted there: json | wecom | dingtalk | feishu | slack",
    ),
    Key::open(
        "notice.ca",
        Kind::Path,
        r#""certs/ca.pem""#,
        "PEM file with an authority to trust for the webhook beside the system's",
    ),
    Key::open(
        "notice.sign",
        Kind::Secret,
        r#"{ file = "/run/secrets/webhook-sign" }"#,
        "the secret with which calls to a dingtalk (加签) or feishu (签名校验) robot are signed; written like `secret`; \
         default: not signed",
    ),
    Key::open(
        "notice.language",
        Kind::Word(&["en", "zh", "both"], &[]),
        r#""both""#,
        "en | zh | both, of notices and alarms; default: zh where $LC_ALL, $LC_MESSAGES or $LANG says so, else en",
    ),
    Key::fixed(
        "notice.oldest",
        Kind::Time(0),
        r#""4h""#,
        "an alert goes out when a message has waited longer than this for a reason other than a budget; 0: never",
    ),
    Key::fixed(
        "notice.failed",
        Kind::Whole(0, 1_000_000),
        "5",
        "an alert goes out when this many messages failed within an hour; 0: never",
    ),
    Key::fixed(
        "notice.disk_free",
        Kind::Size(0),
        r#""1GiB""#,
        "an alert goes out when the disk of data_dir has less free; more than limits.disk_free, below which mail is refused; \
         0: never",
    ),
    Key::fixed(
        "admin.bind",
        Kind::AdminBind,
        r#""127.0.0.1:8025""#,
        "page, API, metrics and probes over HTTP: an address, \"unix:/run/yizhan/admin.sock\" (mode 0600), or \"\" or \"off\" for none; where \
         the default address is busy the relay runs without",
    ),
    Key::open(
        "admin.token",
        Kind::Secret,
        r#"{ file = "/run/secrets/admin" }"#,
        "the token for page and API, at least 32 characters; default: data_dir/admin.token, made at the first start; `yizhan \
         token` prints it",
    ),
    Key::open(
        "admin.view_token",
        Kind::Secret,
        r#"{ file = "/run/secrets/view" }"#,
        "a second token, which reads all but content and gives no orders; default: none",
    ),
    Key::open(
        "admin.names",
        Kind::Hosts,
        r#"["relay.example.lan"]"#,
        "host names in the address bar, beside IP addresses, localhost and `hostname`; other names are refused",
    ),
    Key::fixed(
        "admin.metrics",
        Kind::Word(&["loopback", "token", "open"], &[]),
        r#""loopback""#,
        "who may read /metrics without a token: loopback (programs on this machine) | token (none) | open (everyone)",
    ),
    Key::fixed(
        "admin.tls",
        Kind::Word(&["off", "on"], &[]),
        r#""off""#,
        "off | on, with certificate and key; beyond loopback tokens cross the network in the clear without it",
    ),
    Key::open(
        "admin.certificate",
        Kind::Path,
        r#""certs/relay.pem""#,
        "PEM file with the certificate and those above it, for tls; read again when it changes",
    ),
    Key::open(
        "admin.key",
        Kind::Path,
        r#""certs/relay.key""#,
        "PEM file with its private key; read again when it changes",
    ),
    Key::fixed("log.format", Kind::Word(&["text", "json"], &[]), r#""text""#, "text | json"),
    Key::fixed(
        "log.level",
        Kind::Word(&["error", "warn", "info", "debug", "trace"], &[]),
        r#""info""#,
        "error | warn | info | debug | trace",
    ),
    Key::fixed(
        "log.subject",
        Kind::Flag,
        "false",
        "whether accepted has the decoded subject of the mail, at most 200 characters: it is what people write, and a log \
         is read by many",
    ),
];
