//! How a proxy is written, and what of it is never shown. The dialogues are tested against real sockets, in
//! `tests/upstream/proxy.rs`.

use super::*;

fn parse(text: &str) -> Proxy {
    Proxy::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_is_shown_is_scheme_host_and_port() {
    for (text, shown) in [
        ("socks5://10.0.0.1:1080", "socks5://10.0.0.1:1080"),
        ("socks5h://proxy.lan:1080/", "socks5://proxy.lan:1080"),
        (" HTTP://me:hunter2@proxy.lan:3128 ", "http://proxy.lan:3128"),
        ("socks5://me:hunter2@[::1]:9", "socks5://[::1]:9"),
        ("http://me:hunter2@home@proxy.lan:8", "http://proxy.lan:8"),
    ] {
        let proxy = parse(text);
        assert_eq!(proxy.to_string(), shown);
        assert_eq!(format!("{proxy:?}"), format!("Proxy({shown})"));
    }
    assert_eq!((parse("socks5://[::1]:9").host(), parse("socks5://[::1]:9").port()), ("::1", 9));
}

#[test]
fn a_log_in_is_percent_decoded() {
    let login = parse("socks5://m%65:p%40ss%3A%25%E9%A9%BF@h:1").login.unwrap();
    assert_eq!((login.user.as_str(), login.password.expose()), ("me", "p@ss:%驿"));
    let login = parse("http://me:a:b@h:1").login.unwrap();
    assert_eq!((login.user.as_str(), login.password.expose()), ("me", "a:b"));
}

#[test]
fn what_is_no_proxy_is_refused_without_repeating_it() {
    let long = format!("socks5://me:{}@h:1", "x".repeat(256));
    for (text, error) in [
        ("", ProxyError::Scheme),
        ("proxy.lan:1080", ProxyError::Scheme),
        ("me:hunter2@proxy.lan:1080", ProxyError::Scheme),
        ("socks4://h:1", ProxyError::Scheme),
        ("https://me:hunter2@h:1", ProxyError::Encrypted),
        ("socks5://:1080", ProxyError::Host),
        ("socks5://[::1:1080", ProxyError::Host),
        ("socks5://[hunter2]:1080", ProxyError::Host),
        ("socks5://a b:1080", ProxyError::Host),
        ("socks5://h", ProxyError::Port),
        ("socks5://h:", ProxyError::Port),
        ("socks5://h:0", ProxyError::Port),
        ("socks5://h:65536", ProxyError::Port),
        ("socks5://h:port", ProxyError::Port),
        ("socks5://h/x:1", ProxyError::Port),
        ("http://h:1/path", ProxyError::Rest),
        ("http://h:1?x", ProxyError::Rest),
        ("socks5://me@h:1", ProxyError::Login),
        ("socks5://:hunter2@h:1", ProxyError::Login),
        ("socks5://me:@h:1", ProxyError::Login),
        ("socks5://me:%20@h:1", ProxyError::Login),
        ("socks5://me:hunter2%@h:1", ProxyError::Login),
        ("socks5://me:hunter2%4@h:1", ProxyError::Login),
        ("socks5://me:hunter2%zz@h:1", ProxyError::Login),
        ("socks5://me:hunter2%0D%0A@h:1", ProxyError::Login),
        ("socks5://me:hunter2%FF@h:1", ProxyError::Login),
        ("http://m%3Ae:hunter2@h:1", ProxyError::Login),
        (long.as_str(), ProxyError::Login),
    ] {
        let refused = Proxy::parse(text).unwrap_err();
        assert_eq!(refused, error, "{text}");
        assert!(!refused.to_string().contains("hunter2"));
    }
}
