//! What the provider says: its greeting and clock, what EHLO offers, the log-in, and whether it takes our sender.
//!
//! Replies are understood by `provider::Catalogue`, as the relay understands them, so that doctor and relay cannot
//! disagree. Not here: the dialogue itself (`probe::talk`). Invariant: no finding advises to try a log-in again at once.

use crate::cli::finding::{Finding, Words, words};
use crate::cli::token_finding;
use crate::clock::Timestamp;
use crate::config::Account;
use crate::oauth::fault;
use crate::provider::{Catalogue, Group, Mechanism, Phase, Verdict};
use crate::smtp::client::Lost;

/// A clock that is off by more than this puts mail into the wrong order, and soon certificates out of their dates.
const SKEW_SECONDS: u64 = 300;

/// The time that a greeting gives, as Exim and Sendmail do: `220 mx ESMTP Exim 4.96 Sat, 21 Nov 2026 20:48:44 +0800`.
pub(crate) fn date_in(greeting: &str) -> Option<Timestamp> {
    let comma = greeting.find(", ")?;
    let start = greeting[..comma].rfind(' ').map_or(0, |blank| blank + 1);
    let date: Vec<&str> = greeting[start..].split_ascii_whitespace().take(6).collect();
    let instant = jiff::fmt::rfc2822::parse(&date.join(" ")).ok()?.timestamp();
    Some(Timestamp::from_millis(instant.as_millisecond()))
}

/// Our clock against the provider's.
pub(crate) fn clock(theirs: Timestamp, ours: Timestamp) -> Finding {
    let (apart, ahead) = if ours > theirs { (ours.since(theirs), true) } else { (theirs.since(ours), false) };
    let seconds = apart.as_secs();
    let what = words(
        format!("our clock is {seconds} s {} the provider's", if ahead { "ahead of" } else { "behind" }),
        format!("本机时钟比服务商{} {seconds} 秒", if ahead { "快" } else { "慢" }),
    );
    if seconds <= SKEW_SECONDS {
        return Finding::ok("clock", what);
    }
    Finding::warn(
        "clock",
        what,
        words("mail carries a wrong date, and certificates will be refused", "邮件日期会出错，证书也可能被拒"),
        words("set the clock: `timedatectl set-ntp true`", "校正时钟：`timedatectl set-ntp true`"),
    )
}

/// What EHLO offered, and what the preset and the settings expect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The largest message; none when the server does not say.
    pub(crate) size: Option<u64>,
    /// What the preset says.
    pub(crate) size_expected: Option<u64>,
    /// Every log-in mechanism it named, in capital letters.
    pub(crate) mechanisms: Vec<String>,
    /// Those that the account may use, best first.
    pub(crate) login: Vec<Mechanism>,
}

impl Offer {
    /// The mechanism that the relay will use.
    fn used(&self) -> Option<Mechanism> {
        let offered = |one: &&Mechanism| self.mechanisms.iter().any(|name| name.eq_ignore_ascii_case(one.word()));
        self.login.iter().find(offered).copied()
    }
}

/// The log-in mechanisms in the lines of an EHLO reply (RFC 4954 section 3, and the old form `AUTH=`), without doubles.
pub(crate) fn mechanisms<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in lines {
        let line = line.to_ascii_uppercase();
        let mut parts = line.split([' ', '=', '\t']).filter(|word| !word.is_empty());
        if parts.next() != Some("AUTH") {
            continue;
        }
        for word in parts {
            if !found.iter().any(|known| known == word) {
                found.push(word.to_owned());
            }
        }
    }
    found
}

/// EHLO offers what the account needs.
pub(crate) fn ehlo(offer: &Offer) -> Finding {
    let size = offer.size.map_or_else(|| "-".to_owned(), crate::cli::screen::size);
    let auth = if offer.mechanisms.is_empty() { "-".to_owned() } else { offer.mechanisms.join(" ") };
    let what = words(format!("SIZE {size}, AUTH {auth}"), format!("SIZE {size}，AUTH {auth}"));
    if offer.used().is_none() {
        let wanted: Vec<&str> = offer.login.iter().map(|one| one.word()).collect();
        let wanted = wanted.join(", ");
        return Finding::fail(
            "ehlo",
            what,
            words(
                format!("it offers no log-in that this account may use ({wanted})"),
                format!("没有提供本账号可用的登录方式（{wanted}）"),
            ),
            words(
                "some providers offer a log-in only after it was switched on for the mailbox, some only OAuth2; a wrong port does this too",
                "有些服务商需先在邮箱中开启 SMTP 登录，有些只支持 OAuth2；端口错误也会如此",
            ),
        );
    }
    match (offer.size, offer.size_expected) {
        (Some(size), Some(expected)) if size < expected => Finding::warn(
            "ehlo",
            what,
            words(
                format!(
                    "the largest message is smaller than we know of this provider ({})",
                    crate::cli::screen::size(expected)
                ),
                format!("最大邮件小于该服务商的已知值（{}）", crate::cli::screen::size(expected)),
            ),
            words("set limits.message_size to no more than that", "把 limits.message_size 设为不超过该值"),
        ),
        (_, _) => Finding::ok("ehlo", what),
    }
}

/// How a step of the dialogue ended, when not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The provider said no: code, and the text in one line.
    Reply(u16, String),
    /// The line was lost.
    Lost(Lost),
    /// Something else is wrong with it: what came was no SMTP, or it could not be written.
    Line(String),
}

impl Refusal {
    fn shown(&self) -> Words {
        match self {
            Refusal::Reply(code, text) => {
                words(format!("the provider said: {code} {text}"), format!("服务商答复：{code} {text}"))
            }
            Refusal::Lost(Lost::Eof) => words("the server closed the connection", "服务器关闭了连接"),
            Refusal::Lost(Lost::Timeout) => words("the server did not answer in time", "服务器没有及时应答"),
            Refusal::Lost(Lost::Reset) => words("the connection was lost", "连接中断"),
            Refusal::Lost(Lost::Protocol) => words("the server's answer was not SMTP", "服务器的应答不是 SMTP"),
            Refusal::Line(text) => words(text.clone(), text.clone()),
        }
    }
}

/// It never came to a log-in: the greeting, EHLO or STARTTLS was refused.
pub(crate) fn opening(refusal: &Refusal) -> Finding {
    let remedy = match refusal {
        Refusal::Reply(..) => words(
            "when it speaks of frequency or of this address, wait an hour and send less; otherwise ask the provider",
            "若提到频率或 IP，请等待一小时并减少发送；否则询问服务商",
        ),
        Refusal::Lost(_) | Refusal::Line(_) => words(
            "the port may belong to another service, or something in between cuts mail: check host and port, try another network",
            "端口可能属于其他服务，或邮件被中途拦截：检查 host 与 port，换网络再试",
        ),
    };
    Finding::fail("ehlo", words("the dialogue ended before the log-in", "对话在登录前中断"), refusal.shown(), remedy)
}

/// STARTTLS is not offered, and without TLS nothing goes.
pub(crate) fn no_starttls() -> Finding {
    Finding::fail(
        "tls",
        words("the server offers no STARTTLS; nothing secret was sent", "服务器不提供 STARTTLS；未发送任何机密"),
        words("without TLS a password would go out in the clear", "没有 TLS，密码会以明文发送"),
        words(
            "use the port with implicit TLS: port = 465, tls = \"implicit\"; if the provider does offer STARTTLS, somebody in between removes it",
            "改用隐式 TLS 端口：port = 465，tls = \"implicit\"；若服务商确有 STARTTLS，说明被中途剥离",
        ),
    )
}

/// The log-in with an access token was refused: it is told whether the token, the tenant or the mailbox is the cause.
pub(crate) fn token_refused(account: &Account, refusal: &Refusal) -> Finding {
    let user = &account.user;
    let Refusal::Reply(code, text) = refusal else { return login(user, account.preset.group, Err(refusal)) };
    let verdict = fault::of_log_in(&Catalogue::built_in(), account.preset.group, *code, text);
    let what = words(format!("the log-in of {user} with the token was refused"), format!("{user} 用令牌登录被拒"));
    let shown = refusal.shown();
    let said = words(format!("{} ({})", shown.en, verdict.cause), format!("{}（{}）", shown.zh, verdict.cause));
    let remedy = token_finding::remedy(verdict.remedy, &account.name);
    Finding::fail("login", what, said, remedy)
}

/// The log-in. One try was made.
pub(crate) fn login(user: &str, group: Group, result: Result<(), &Refusal>) -> Finding {
    let refusal = match result {
        Ok(()) => return Finding::ok("login", words(format!("{user} is logged in"), format!("{user} 登录成功"))),
        Err(refusal) => refusal,
    };
    let what = words(format!("the log-in of {user} was refused"), format!("{user} 登录被拒"));
    match refusal {
        Refusal::Lost(_) | Refusal::Line(_) => Finding::fail(
            "login",
            words("the line was lost during the log-in", "登录过程中连接中断"),
            refusal.shown(),
            later(),
        ),
        Refusal::Reply(code, text) => {
            let verdict = Catalogue::built_in().classify(group, Phase::Auth, *code, text);
            let shown = refusal.shown();
            let said = words(format!("{} ({})", shown.en, verdict.cause), format!("{}（{}）", shown.zh, verdict.cause));
            Finding::fail("login", what, said, advice(verdict))
        }
    }
}

fn later() -> Words {
    words(
        "wait 15 minutes before you try again: providers count log-ins, and answer too many with the same words as a wrong code",
        "15 分钟后再试：服务商会统计登录次数，过于频繁时的答复与密码错误相同",
    )
}

/// What the owner should do about a refused log-in; and nothing at once, whatever it is.
fn advice(verdict: Verdict) -> Words {
    let wait = later();
    let (en, zh) = match verdict.is_known() {
        true => (verdict.remedy.en, verdict.remedy.zh),
        false => (
            "check user and secret, and whether the mailbox allows SMTP with a code or app password",
            "检查 user 和 secret，以及邮箱是否允许用授权码或应用专用密码登录 SMTP",
        ),
    };
    // A remedy of the catalogue is one sentence or two, with their full stops.
    let (en, zh) = (en.trim_end_matches('.'), zh.trim_end_matches('。'));
    words(format!("{en}; {}", wait.en), format!("{zh}；{}", wait.zh))
}

/// The log-in was left out.
pub(crate) fn login_skipped(why: Words) -> Finding {
    Finding::skip("login", why)
}

/// The provider takes our address in MAIL. Nothing was sent.
pub(crate) fn sender(address: &str, group: Group, result: Result<(), &Refusal>) -> Finding {
    let refusal = match result {
        Ok(()) => {
            let what = words(
                format!("<{address}> is taken as the sender; nothing was sent"),
                format!("可用 <{address}> 作为发件人；没有发送任何邮件"),
            );
            return Finding::ok("sender", what);
        }
        Err(refusal) => refusal,
    };
    let what = words(format!("<{address}> was not taken as the sender"), format!("<{address}> 不能作为发件人"));
    let remedy = match refusal {
        Refusal::Reply(code, text) => match Catalogue::built_in().classify(group, Phase::Mail, *code, text).cause {
            "QQ-M1" => words(
                "the sender must be the address that logs in: set user to it",
                "发件人必须与登录地址一致：把 user 设为该地址",
            ),
            _ => words(
                "when it speaks of frequency, wait; otherwise log in to the mailbox on the web and look for a notice",
                "若提到频率，请等待；否则在网页登录该邮箱，查看是否有通知",
            ),
        },
        Refusal::Lost(_) | Refusal::Line(_) => later(),
    };
    Finding::fail("sender", what, refusal.shown(), remedy)
}

#[cfg(test)]
mod tests;
