//! Display names that no mail program takes for an address.
//!
//! `"ceo@bank.example, x" <office@qq.com>` is one mailbox by RFC 5322, but some programs show the name alone, and some
//! decode a field before they take it apart. So a name that is put before the account's address has no at sign and no
//! angle bracket: without them nothing in it can be read as an address. Not here: control characters and invisible marks
//! (`mailbox`).
//!
//! Invariants: a name without an at sign and without an angle bracket stays as it is; so does the address itself as its
//! own name; doing it twice is doing it once.

use crate::mail::Address;
use crate::message::encoded_word;
use crate::message::mailbox::tidy_name;

/// The at sign, and the forms of it that look alike (small and full width).
const AT_SIGNS: [char; 3] = ['@', '\u{fe6b}', '\u{ff20}'];
/// What makes a list, a group, a comment or an address of a text (RFC 5322 section 3.2.3).
const SPECIALS: [char; 11] = [',', ';', ':', '<', '>', '(', ')', '[', ']', '"', '\\'];

/// The name as it may stand before `address`. An at sign becomes ` at `, and the specials in such a name become blanks.
pub(super) fn defuse(name: &str, address: &Address) -> String {
    let name = decoded(name);
    let own = Address::parse(&name).is_ok_and(|named| named.key() == address.key());
    if own || !name.contains(AT_SIGNS) && !name.contains(['<', '>']) {
        return name;
    }
    let mut out = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        match c {
            c if AT_SIGNS.contains(&c) => out.push_str(" at "),
            c if SPECIALS.contains(&c) => out.push(' '),
            c => out.push(c),
        }
    }
    tidy_name(&out)
}

/// Encoded words within encoded words are opened, because some readers open them. Each round has fewer characters.
fn decoded(name: &str) -> String {
    let mut name = tidy_name(name);
    while name.contains("=?") {
        let opened = tidy_name(&encoded_word::decode(&name));
        if opened == name {
            break;
        }
        name = opened;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_an_address_changes() {
        let address = Address::parse("office@qq.com").unwrap();
        for (name, expected) in [
            ("ceo@bank.example, x", "ceo at bank.example x"),
            ("ceo@bank.example", "ceo at bank.example"),
            ("<ceo@bank.example> \"x\"", "ceo at bank.example x"),
            ("<ceo>", "ceo"),
            ("boss: ceo@bank.example;", "boss ceo at bank.example"),
            ("ceo\u{ff20}bank.example", "ceo at bank.example"),
            ("ceo\u{fe6b}bank.example", "ceo at bank.example"),
            ("ceo\u{200b}@bank.example", "ceo at bank.example"),
            ("=?utf-8?q?ceo=40bank.example?=", "ceo at bank.example"),
            ("=?utf-8?q?=3D=3Futf-8=3Fq=3Fceo=3D40bank.example=3F=3D?=", "ceo at bank.example"),
            ("=\u{200b}?utf-8?q?ceo=40bank.example?=", "ceo at bank.example"),
            ("张三@bank.example", "张三 at bank.example"),
            ("@", "at"),
            // Ordinary names.
            ("张三", "张三"),
            ("张三 (财务部)", "张三 (财务部)"),
            ("王小明，财务部", "王小明，财务部"),
            ("Smith, John", "Smith, John"),
            ("Sales: \"Bob\" [3rd floor]", "Sales: \"Bob\" [3rd floor]"),
            ("C = ? =? =?x", "C = ? =? =?x"),
            ("Office@QQ.com", "Office@QQ.com"),
            ("", ""),
        ] {
            let defused = defuse(name, &address);
            assert_eq!(defused, expected, "{name}");
            assert_eq!(defuse(&defused, &address), defused, "twice");
        }
    }
}
