//! The boundary of a multipart, as Content-Type names it: in one piece, in several, or escaped (RFC 2231 sections 3, 4).
//!
//! What this is not: the search for the boundary in the body (that is `walker`). A value without its quotes is taken up
//! to the next semicolon, whatever is in it (`boundary=:foo`, Q-108).
//!
//! Invariants: linear in the length of the field, at most [`MAX_SECTIONS`] pieces; where readers of mail would come to
//! different boundaries, the answer is [`Boundary::Disputed`] and not a guess.

use crate::message::content;
use crate::message::header::Header;

/// A longer one is none: RFC 2046 section 5.1.1 allows 70 octets.
pub(super) const MAX_BOUNDARY: usize = 200;
/// More pieces than anybody cuts 70 octets into.
const MAX_SECTIONS: usize = 70;

/// What the header says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Boundary {
    /// Nothing that could stand in a body.
    Absent,
    /// This, octet for octet.
    Named(Vec<u8>),
    /// One thing to some readers and another to others.
    Disputed,
}

/// Reads the Content-Type of a part.
pub(super) fn boundary(header: &Header) -> Boundary {
    let Some(field) = content::cleansed(header, "Content-Type") else { return Boundary::Absent };
    let value = field.unfolded();
    let (mut plain, mut escaped, mut sections) = (None, None, Sections::default());
    for (key, text) in parameters(&value) {
        let Some(rest) = strip_name(key) else { continue };
        match rest {
            b"" => plain = plain.or(Some(text)),
            b"*" => escaped = escaped.or(Some(text)),
            number => sections.take(&number[1..], text),
        }
    }
    let plain = plain.map(|text| Some(text.trim_ascii_end().to_vec()));
    let escaped = escaped.map(|text| first_escaped(&text).map(|text| text.trim_ascii_end().to_vec()));
    let said: Vec<Option<Vec<u8>>> = [plain, escaped, sections.joined()].into_iter().flatten().collect();
    let Some(one) = said.first() else { return Boundary::Absent };
    match one {
        // A boundary is ASCII (RFC 2046 section 5.1.1); what was no ASCII before it was escaped finds nothing.
        Some(text) if said.iter().all(|other| other == one) => {
            let usable = (1..=MAX_BOUNDARY).contains(&text.len()) && text.iter().all(|b| (0x20..0x7f).contains(b));
            if usable { Boundary::Named(text.clone()) } else { Boundary::Absent }
        }
        Some(_) | None => Boundary::Disputed,
    }
}

/// The pieces of a boundary by their numbers.
#[derive(Default)]
struct Sections {
    /// Whether it is escaped, and the text.
    pieces: Vec<Option<(bool, Vec<u8>)>>,
    /// A number that is none, or is there twice: some readers count such a piece, some do not.
    odd: bool,
}

impl Sections {
    /// `number` is what stands behind the first star: `0`, `1*` and so on.
    fn take(&mut self, number: &[u8], text: Vec<u8>) {
        let (digits, escaped) = number.strip_suffix(b"*").map_or((number, false), |digits| (digits, true));
        // No leading zeros: RFC 2231 section 3.
        let legal = digits == b"0" || (!digits.starts_with(b"0") && digits.iter().all(u8::is_ascii_digit));
        let place = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        let Some(place) = place.filter(|place| legal && *place < MAX_SECTIONS) else {
            self.odd = true;
            return;
        };
        if self.pieces.len() <= place {
            self.pieces.resize(place + 1, None);
        }
        self.odd |= self.pieces[place].replace((escaped, text)).is_some();
    }

    /// All pieces in the order of their numbers; `Some(None)` when that is not clear.
    fn joined(self) -> Option<Option<Vec<u8>>> {
        if self.odd {
            return Some(None);
        }
        let mut pieces = self.pieces.into_iter();
        let first = pieces.next()?.and_then(|(escaped, text)| if escaped { first_escaped(&text) } else { Some(text) });
        let join = |whole: Option<Vec<u8>>, piece: Option<(bool, Vec<u8>)>| {
            let (escaped, text) = piece?;
            let text = if escaped { unescaped(&text)? } else { text };
            Some([whole?, text].concat())
        };
        Some(pieces.fold(first, join).map(|whole| whole.trim_ascii_end().to_vec()))
    }
}

/// Behind `charset'language'`; a boundary is ASCII in every charset there is.
fn first_escaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut parts = text.splitn(3, |&b| b == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(_), Some(text)) => unescaped(text),
        _ => None,
    }
}

/// `%41` is A; `None` for a percent sign that escapes nothing.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut parts = text.split(|&b| b == b'%');
    let mut out = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        out.extend_from_slice(&part[2..]);
    }
    Some(out)
}

/// What follows `boundary` in a name: nothing, or a star and more.
fn strip_name(key: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"boundary";
    let (name, rest) = key.split_at_checked(NAME.len())?;
    (name.eq_ignore_ascii_case(NAME) && (rest.is_empty() || rest.starts_with(b"*"))).then_some(rest)
}

/// Names and values of the parameters, case and all, quotes taken off.
fn parameters(value: &[u8]) -> impl Iterator<Item = (&[u8], Vec<u8>)> {
    let mut quoted = false;
    let pieces = value.split(move |&b| {
        quoted ^= b == b'"';
        b == b';' && !quoted
    });
    pieces.skip(1).filter_map(|piece| {
        let at = piece.iter().position(|&b| b == b'=')?;
        let text = piece[at + 1..].trim_ascii();
        let text = text.strip_prefix(b"\"").map_or_else(|| text.to_vec(), unquoted);
        Some((piece[..at].trim_ascii(), text))
    })
}

/// A quoted string after its first quote (RFC 5322 section 3.2.4).
fn unquoted(inner: &[u8]) -> Vec<u8> {
    let (mut out, mut escaped) = (Vec::with_capacity(inner.len()), false);
    for &b in inner {
        match b {
            _ if escaped => {
                escaped = false;
                out.push(b);
            }
            b'\\' => escaped = true,
            b'"' => break,
            _ => out.push(b),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parameters: &str) -> Boundary {
        boundary(&Header::parse(format!("Content-Type: multipart/mixed; {parameters}\r\n").as_bytes()))
    }

    fn named(text: &str) -> Boundary {
        Boundary::Named(text.as_bytes().to_vec())
    }

    #[test]
    fn in_one_piece() {
        assert_eq!(read("boundary=abc"), named("abc"));
        assert_eq!(read("BOUNDARY = \"a;b\\\"c \" ; x=y"), named("a;b\"c"));
        assert_eq!(read("boundary=:foo"), named(":foo"));
        assert_eq!(read("boundary=a; boundary=b"), named("a"), "the first one, as ever");
        for nothing in ["x=y", "boundary=", "boundary=\"\"", "boundary", "boundaries=x", "xboundary=x"] {
            assert_eq!(read(nothing), Boundary::Absent, "{nothing}");
        }
    }

    #[test]
    fn in_several_pieces() {
        let long = format!("boundary*0={}; boundary*1={}", "x".repeat(MAX_BOUNDARY), "y");
        assert_eq!(read(&long), Boundary::Absent);
        assert_eq!(read("boundary*0=ab; boundary*1=\"cd\""), named("abcd"));
        assert_eq!(read("boundary*1=cd;\r\n boundary*0=\"a \""), named("a cd"), "in any order");
        assert_eq!(read("boundary*0*=us-ascii'en'a%3Db; boundary*1=%3D; boundary*2*=%2a"), named("a=b%3D*"));
        assert_eq!(read("boundary*0=x"), named("x"));
        let many: Vec<String> = (0..MAX_SECTIONS).map(|n| format!("boundary*{n}=x")).collect();
        assert_eq!(read(&many.join("; ")), named(&"x".repeat(MAX_SECTIONS)));
    }

    #[test]
    fn escaped() {
        assert_eq!(read("boundary*=us-ascii''a%3Db'c"), named("a=b'c"));
        assert_eq!(read("boundary*=\"''abc\""), named("abc"));
        assert_eq!(read("boundary*=''abc; boundary=abc; boundary*0=abc"), named("abc"), "all say the same");
        // A raw one was escaped when the header was cleansed: it is still none that a body could hold as it was meant.
        assert_eq!(read("boundary=\"\u{8fb9}\""), Boundary::Absent);
        assert_eq!(read("boundary*=''a%0Ab"), Boundary::Absent);
    }

    #[test]
    fn where_readers_differ() {
        for parameters in [
            "boundary=a; boundary*0=b",
            "boundary=a; boundary*=''b",
            "boundary*0=a; boundary*2=b",
            "boundary*1=a",
            "boundary*0=a; boundary*0=b",
            "boundary*0=a; boundary*01=b",
            "boundary*0=a; boundary*x=b",
            "boundary*0=a; boundary**=b",
            "boundary*0=a; boundary*99999999999999999999=b",
            "boundary*0=a; boundary*70=b",
            "boundary*=abc",
            "boundary*=us-ascii'abc",
            "boundary*=''a%4",
            "boundary*0*=''a%zz",
        ] {
            assert_eq!(read(parameters), Boundary::Disputed, "{parameters}");
        }
    }
}
