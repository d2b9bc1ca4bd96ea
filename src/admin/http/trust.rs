//! May a request be believed? The host it asks for, the site it comes from, and whether a proxy has passed it on.
//!
//! Pure. A browser of the operator may be led here by any web page: by DNS rebinding (`Host` is a foreign name then), or by
//! a form or script of another site (`Sec-Fetch-Site` and `Origin` say so; the rule is that of Go's CrossOriginProtection).

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, Method, Uri, header};

/// The host that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// An address, or `localhost`.
    Literal,
    /// A name of the settings.
    Named,
}

/// The host of a request, if it is one of ours: an IP literal, `localhost`, or one of `names`, with any port.
pub(super) fn host(headers: &HeaderMap, uri: &Uri, names: &[String]) -> Option<Host> {
    let mut fields = headers.get_all(header::HOST).iter();
    let (field, second) = (fields.next()?, fields.next());
    let of_field = known(field.to_str().ok()?, names)?;
    // An absolute target goes before the field (RFC 9112 section 3.2.2).
    let of_target = match uri.authority() {
        Some(authority) => known(authority.as_str(), names)?,
        None => of_field,
    };
    (second.is_none() && of_target == of_field).then_some(of_field)
}

fn known(authority: &str, names: &[String]) -> Option<Host> {
    let name = without_port(authority)?;
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let literal = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<Ipv4Addr>().is_ok() || name.eq_ignore_ascii_case("localhost"),
    };
    match literal {
        true => Some(Host::Literal),
        false => names.iter().any(|own| own.eq_ignore_ascii_case(name)).then_some(Host::Named),
    }
}

/// The authority without `:port`.
fn without_port(authority: &str) -> Option<&str> {
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[end..].find(':') {
        None => Some(authority),
        Some(at) => {
            let (name, port) = authority.split_at(end + at);
            port[1..].parse::<u16>().is_ok().then_some(name)
        }
    }
}

/// Whether a request that may change something comes from the relay's own page, or from a program that is no browser.
pub(super) fn same_site(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return true;
    }
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let host = text("host").unwrap_or_default();
            origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
        }
        (None, None) => true,
    }
}

/// Whether a proxy has passed the request on: its peer is the proxy then, and not the one that asks.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name == "forwarded" || name == "via" || name == "x-real-ip" || name.starts_with("x-forwarded")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_own_hosts_are_answered() {
        let names = ["relay.example.lan".to_owned()];
        let of = |text: &str| host(&headers(&[("host", text)]), &Uri::from_static("/"), &names);
        for literal in
            ["127.0.0.1", "127.0.0.1:8025", "[::1]", "[::1]:8025", "localhost", "LOCALHOST:1", "192.168.1.5:80"]
        {
            assert_eq!(of(literal), Some(Host::Literal), "{literal}");
        }
        assert_eq!(of("Relay.Example.lan:443"), Some(Host::Named));
        for foreign in [
            "evil.example",
            "127.0.0.1.evil.example",
            "evil.example:127",
            "",
            ":80",
            "[::1",
            "::1",
            "localhost.",
            "localhost:x",
            "127.0.0.1:80:80",
            "127.1",
            "0x7f000001",
            "user@localhost",
            "[::1]x",
            "[fe80::1%25eth0]",
        ] {
            assert_eq!(of(foreign), None, "{foreign}");
        }
        let two = headers(&[("host", "localhost"), ("host", "localhost")]);
        assert_eq!(host(&two, &Uri::from_static("/"), &names), None);
        assert_eq!(host(&headers(&[]), &Uri::from_static("/"), &names), None);
        let absolute = Uri::from_static("http://evil.example/api");
        assert_eq!(host(&headers(&[("host", "localhost")]), &absolute, &names), None);
    }

    #[test]
    fn a_change_comes_from_the_page_or_from_no_browser() {
        let ask = |fields: &[(&'static str, &str)]| same_site(&Method::POST, &headers(fields));
        assert!(ask(&[]));
        assert!(ask(&[("sec-fetch-site", "same-origin")]) && ask(&[("sec-fetch-site", "none")]));
        assert!(!ask(&[("sec-fetch-site", "cross-site")]) && !ask(&[("sec-fetch-site", "same-site")]));
        let host = ("host", "127.0.0.1:8025");
        assert!(ask(&[host, ("origin", "http://127.0.0.1:8025")]));
        assert!(!ask(&[host, ("origin", "http://127.0.0.1:80")]));
        assert!(!ask(&[host, ("origin", "null")]) && !ask(&[host, ("origin", "http://evil.example")]));
        assert!(!ask(&[host, ("origin", "http://127.0.0.1:8025"), ("sec-fetch-site", "cross-site")]));
        assert!(same_site(&Method::GET, &headers(&[("sec-fetch-site", "cross-site")])));
    }

    #[test]
    fn a_proxy_is_noticed() {
        assert!(!is_forwarded(&headers(&[("host", "localhost")])));
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"] {
            assert!(is_forwarded(&headers(&[(name, "10.0.0.1")])), "{name}");
        }
    }
}
