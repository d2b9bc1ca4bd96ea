//! The way to the provider: the name, the ports, TLS.
//!
//! Not here: what is said over it (`dialogue`). Invariant: a certificate that rustls refused is never called good; the
//! remedies never advise to trust it blindly, because there is no way to do so.

use std::net::IpAddr;

use crate::cli::finding::{Finding, Words, words};
use crate::clock::Timestamp;

/// With fewer days than this left, somebody should have renewed the certificate.
const FEW_DAYS: u64 = 7;

/// The name has addresses. `public` says that it is a preset's own host, which cannot be in a private network.
pub(crate) fn name(host: &str, found: Result<&[IpAddr], &str>, public: bool) -> Finding {
    let found = match found {
        Ok(found) if !found.is_empty() => found,
        Ok(_) => return unknown(host, "it has no address"),
        Err(reason) => return unknown(host, reason),
    };
    if host.parse::<IpAddr>().is_ok() {
        return Finding::ok("name", words(format!("{host} is an address"), format!("{host} 是地址，无需解析")));
    }
    let six = found.iter().filter(|address| address.is_ipv6()).count();
    let four = found.len() - six;
    let what = words(
        format!("{host} has {four} IPv4 and {six} IPv6 addresses ({})", found[0]),
        format!("{host} 有 {four} 个 IPv4 和 {six} 个 IPv6 地址（{}）", found[0]),
    );
    match found.iter().find(|address| public && is_inside(**address)) {
        None => Finding::ok("name", what),
        Some(address) => Finding::warn(
            "name",
            words(format!("{host} is {address} here"), format!("{host} 在本机解析为 {address}")),
            words(
                "that is not an address of the internet: a proxy with fake addresses (198.18.x.x), a hosts file or a filter answers in place of the name server",
                "这不是公网地址：可能是代理的 fake-ip（198.18.x.x）、hosts 文件或过滤器在代答",
            ),
            words(
                format!(
                    "let {host} out of the proxy's fake addresses (fake-ip-filter), or check /etc/hosts and the name server"
                ),
                format!("在代理中把 {host} 加入 fake-ip-filter，或检查 /etc/hosts 与 DNS"),
            ),
        ),
    }
}

fn unknown(host: &str, reason: &str) -> Finding {
    Finding::fail(
        "name",
        words(format!("{host} cannot be looked up"), format!("无法解析 {host}")),
        words(reason, reason),
        words(
            "check the spelling of host, /etc/resolv.conf, and whether this machine (or container) may ask its name server",
            "检查 host 的拼写、/etc/resolv.conf，以及本机（或容器）能否访问 DNS",
        ),
    )
}

/// No address that a host of the internet could have: loopback, private, link-local, or 198.18.0.0/15 (RFC 2544).
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || (a == 198 && b & 0xfe == 18)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// One try to connect: the port, and milliseconds or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Try {
    /// The port.
    pub(crate) port: u16,
    /// Milliseconds until the connection stood.
    pub(crate) result: Result<u64, String>,
}

/// A port can be reached. The first one that can is the one that mail takes.
pub(crate) fn tcp(host: &str, tries: &[Try]) -> Finding {
    let opened = |one: &Try| one.result.as_ref().ok().map(|ms| (one.port, *ms));
    let open: Vec<(u16, u64)> = tries.iter().filter_map(opened).collect();
    let closed: Vec<&Try> = tries.iter().filter(|one| one.result.is_err()).collect();
    let list = |tries: &[&Try]| tries.iter().map(|one| one.port.to_string()).collect::<Vec<_>>().join(", ");
    let reasons: Vec<&str> = closed.iter().filter_map(|one| one.result.as_ref().err().map(String::as_str)).collect();
    let reasons = reasons.join("; ");
    if open.is_empty() {
        return Finding::fail(
            "tcp",
            words(
                format!("no port of {host} can be reached ({})", list(&closed)),
                format!("{host} 的端口都无法连接（{}）", list(&closed)),
            ),
            words(reasons.clone(), reasons),
            words(
                "a firewall, or a network without a way out; cloud machines often block 25 and 465: ask for it to be opened, or set another port",
                "可能是防火墙，或网络无法外联；云主机常封锁 25 和 465：请申请解封，或改用其他端口",
            ),
        );
    }
    let en = open.iter().map(|(port, ms)| format!("{port} in {ms} ms")).collect::<Vec<_>>().join(", ");
    let zh = open.iter().map(|(port, ms)| format!("{port}（{ms} 毫秒）")).collect::<Vec<_>>().join("，");
    if closed.is_empty() {
        return Finding::ok("tcp", words(format!("{host} answers at {en}"), format!("{host} 可连接：{zh}")));
    }
    let shut = list(&closed);
    Finding::warn(
        "tcp",
        words(format!("{host} answers at {en}, not at {shut}"), format!("{host} 可连接：{zh}；无法连接：{shut}")),
        words(reasons.clone(), reasons),
        words(
            format!(
                "mail goes another way, but each new connection may try {shut} first: open it in the firewall, or set port to one that answers"
            ),
            format!("邮件会走其他端口，但每次新连接可能先尝试 {shut}：在防火墙放行，或把 port 设为可用的端口"),
        ),
    )
}

/// A handshake that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Secured {
    /// Such as `TLS 1.3`.
    pub(crate) version: String,
    /// Milliseconds it took.
    pub(crate) millis: u64,
    /// When the certificate expires, if that could be read.
    pub(crate) valid_until: Option<Timestamp>,
}

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody we trust vouches for the certificate.
    UnknownIssuer,
    /// It is for other names.
    WrongName(Vec<String>),
    /// It ended at this time.
    Expired(Option<Timestamp>),
    /// It begins at this time.
    NotYet(Option<Timestamp>),
    /// What came was not TLS.
    NotTls,
    /// The server speaks no version from 1.2 on, or no cipher of ours.
    TooOld,
    /// The file of `account.NAME.ca` is no good.
    Ca(String),
    /// Anything else.
    Other(String),
}

/// TLS stands, and with the right one.
pub(crate) fn tls(host: &str, port: u16, found: Result<&Secured, &Trouble>) -> Finding {
    match found {
        Ok(secured) => Finding::ok(
            "tls",
            words(
                format!(
                    "{} with {host}:{port} in {} ms; the certificate is good for this name",
                    secured.version, secured.millis
                ),
                format!("与 {host}:{port} 建立 {}，{} 毫秒；证书与名称相符", secured.version, secured.millis),
            ),
        ),
        Err(trouble) => {
            let (cause, remedy) = explain(host, trouble);
            let what = words(
                format!("no TLS with {host}:{port}; nothing secret was sent"),
                format!("无法与 {host}:{port} 建立 TLS；未发送任何机密"),
            );
            Finding::fail("tls", what, cause, remedy)
        }
    }
}

fn explain(host: &str, trouble: &Trouble) -> (Words, Words) {
    let clock = || {
        words(
            "if the date of this machine is wrong, set the clock; otherwise the server's owner must renew the certificate",
            "如果本机日期不对，请校正时钟；否则须由服务器方更新证书",
        )
    };
    let date = |at: &Option<Timestamp>| at.map_or_else(String::new, |at| format!(" ({})", day(at)));
    match trouble {
        Trouble::UnknownIssuer => (
            words("nobody that this machine trusts has signed the certificate", "证书的签发者不受本机信任"),
            words(
                "a firewall or virus scanner that reads mail signs with its own authority: exempt this host from it. A server of your own: name its authority with ca = \"file.pem\". An old system: renew ca-certificates",
                "检查邮件的防火墙或杀毒软件会用自己的证书：请把该主机加入例外。自建服务器：用 ca = \"file.pem\" 指定其 CA。旧系统：更新 ca-certificates",
            ),
        ),
        Trouble::WrongName(names) => {
            let names = if names.is_empty() { "-".to_owned() } else { names.join(", ") };
            (
                words(format!("the certificate is for {names}"), format!("证书属于 {names}")),
                words(
                    format!(
                        "set host to the name that the provider documents; {host} may be an alias, or somebody stands in between"
                    ),
                    format!("把 host 设为服务商文档中的名称；{host} 可能是别名，或有人中间拦截"),
                ),
            )
        }
        Trouble::Expired(at) => {
            (words(format!("the certificate has expired{}", date(at)), format!("证书已过期{}", date(at))), clock())
        }
        Trouble::NotYet(at) => (
            words(format!("the certificate is not valid yet{}", date(at)), format!("证书尚未生效{}", date(at))),
            clock(),
        ),
        Trouble::NotTls => (
            words("what came back was not TLS", "对方的应答不是 TLS"),
            words(
                "the port speaks STARTTLS, or is no mail port: set tls = \"starttls\", or the right port",
                "该端口使用 STARTTLS，或不是邮件端口：设 tls = \"starttls\"，或改正端口",
            ),
        ),
        Trouble::TooOld => (
            words("the server has no TLS 1.2 or later in common with us", "服务器不支持 TLS 1.2 或更高版本"),
            words(
                "the server must be updated; older versions are not safe for a password",
                "须升级服务器；旧版本无法保护密码",
            ),
        ),
        Trouble::Ca(reason) => (
            words(reason.clone(), reason.clone()),
            words(
                "name a PEM file with the authority's certificate in ca, or remove the line",
                "在 ca 中指定 PEM 格式的 CA 证书，或删去该行",
            ),
        ),
        Trouble::Other(reason) => (
            words(reason.clone(), reason.clone()),
            words(
                "a firewall that cuts TLS looks like this too: try from another network",
                "截断 TLS 的防火墙也会有这种表现：换一个网络试试",
            ),
        ),
    }
}

/// The certificate lasts a while yet. The handshake has verified all else.
pub(crate) fn certificate(until: Option<Timestamp>, now: Timestamp) -> Finding {
    let Some(until) = until else {
        return Finding::skip("certificate", words("its dates cannot be read", "无法读取证书日期"));
    };
    let days = until.since(now).as_secs() / 86_400;
    let what = words(
        format!("good for {days} more days (until {})", day(until)),
        format!("还有 {days} 天到期（{}）", day(until)),
    );
    if days >= FEW_DAYS {
        return Finding::ok("certificate", what);
    }
    Finding::warn(
        "certificate",
        what,
        words("then no mail leaves until it is renewed", "到期后在更新之前无法发信"),
        words(
            "its owner must renew it: providers do so by themselves, your own server may need a push",
            "须由其所有者更新：服务商会自动更新，自建服务器请自行处理",
        ),
    )
}

/// The date of a time, without the hour: `2026-11-21`.
fn day(at: Timestamp) -> String {
    at.rfc3339().chars().take(10).collect()
}

#[cfg(test)]
mod tests;
