//! A sign-in with a browser: the address to open, and the address that the browser comes back with (RFC 8252, RFC 7636).
//!
//! Pure. Invariants: a verifier and a state are used once; an answer without our state is none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::request::{Form, escaped};
use crate::net::tls::primitives::sha256;
use crate::secret::Secret;

/// One sign-in that is under way.
#[derive(Clone, Debug)]
pub struct BrowserSignIn {
    verifier: Secret,
    state: String,
    redirect: String,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Where a person signs in.
    pub authorize: &'a str,
    /// The program.
    pub client_id: &'a str,
    /// The scope, separated by blanks.
    pub scope: &'a str,
    /// The mailbox, which is shown as a suggestion.
    pub user: &'a str,
}

/// Why a browser came back without a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReturnError {
    /// It is not the address of this sign-in: another text, an older address, or a forged one.
    NotOurs,
    /// The service refuses: its word, and its words for people.
    Refused(String, String),
}

impl BrowserSignIn {
    /// A sign-in that comes back to `redirect`. `chance` is random.
    pub fn new(redirect: &str, chance: &[u8; 64]) -> BrowserSignIn {
        BrowserSignIn {
            verifier: Secret::new(&URL_SAFE_NO_PAD.encode(&chance[..32])),
            state: URL_SAFE_NO_PAD.encode(&chance[32..]),
            redirect: redirect.to_owned(),
        }
    }

    /// Where the browser comes back to.
    pub fn redirect(&self) -> &str {
        &self.redirect
    }

    /// What proves that it is we who ask for the tokens (RFC 7636 section 4.1).
    pub fn verifier(&self) -> &Secret {
        &self.verifier
    }

    /// The address to open. It holds no secret.
    pub fn address(&self, wish: Wish<'_>) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(sha256(self.verifier.expose().as_bytes()));
        let form = Form::new()
            .with("response_type", "code")
            .with("client_id", wish.client_id)
            .with("redirect_uri", &self.redirect)
            .with("scope", wish.scope)
            .with("state", &self.state)
            .with("code_challenge", &challenge)
            .with("code_challenge_method", "S256")
            .with("login_hint", wish.user)
            // Google gives a refresh token only so; the others pass both over.
            .with("access_type", "offline")
            .with("prompt", "consent");
        let join = if wish.authorize.contains('?') { '&' } else { '?' };
        format!("{}{join}{}", wish.authorize, form.expose())
    }

    /// The code in the address that the browser came back with: all of it, or its query.
    ///
    /// # Errors
    /// [`ReturnError`].
    pub fn code(&self, address: &str) -> Result<Secret, ReturnError> {
        let query = address.trim().split_once('?').map_or("", |(_, query)| query);
        let query = query.split(['#', ' ']).next().unwrap_or("");
        let field = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| unescaped(value))
        };
        if field("state").as_deref() != Some(&self.state) {
            return Err(ReturnError::NotOurs);
        }
        if let Some(error) = field("error") {
            return Err(ReturnError::Refused(error, field("error_description").unwrap_or_default()));
        }
        field("code").filter(|code| !code.is_empty()).map(|code| Secret::new(&code)).ok_or(ReturnError::NotOurs)
    }
}

/// The reverse of [`escaped`]; `+` is a blank.
fn unescaped(text: &str) -> String {
    let octets = text.as_bytes();
    let hex = |at: usize| octets.get(at).and_then(|&octet| char::from(octet).to_digit(16));
    let (mut out, mut at) = (Vec::with_capacity(octets.len()), 0);
    while at < octets.len() {
        match (octets[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', _, _) => out.push(b' '),
            (other, _, _) => out.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The `ssh` command that brings the browser's way back to this machine.
pub fn tunnel_command(port: u16, host: &str) -> String {
    format!("ssh -L {port}:127.0.0.1:{port} {}", escaped(host).replace("%40", "@"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    #[test]
    fn the_challenge_is_that_of_the_standard() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let mut chance = [0; 64];
        chance[..32].copy_from_slice(&URL_SAFE_NO_PAD.decode(verifier).unwrap());
        let sign_in = BrowserSignIn::new("http://127.0.0.1:1/", &chance);
        assert_eq!(sign_in.verifier().expose(), verifier);
        let wish = Wish { authorize: "https://x/auth", client_id: "c", scope: "a b", user: "me@x.y" };
        let address = sign_in.address(wish);
        assert!(address.contains("code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&"), "{address}");
        assert!(
            address.starts_with(
                "https://x/auth?response_type=code&client_id=c&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2F"
            )
        );
        assert!(!address.contains(verifier));
    }

    proptest::proptest! {
        #[test]
        fn what_is_escaped_is_read_back(text in ".{0,40}") {
            proptest::prop_assert_eq!(unescaped(&escaped(&text)), text.clone());
            let _ = BrowserSignIn::new("http://127.0.0.1:1/", &[7; 64]).code(&text);
        }
    }

    #[test]
    fn only_the_answer_to_this_sign_in_counts() {
        let sign_in = BrowserSignIn::new("http://127.0.0.1:1/", &[7; 64]);
        let state = URL_SAFE_NO_PAD.encode([7; 32]);
        let code = |query: &str| sign_in.code(&format!("http://127.0.0.1:1/?{query}"));
        assert_eq!(code(&format!("code=4%2F0A&state={state}&scope=x")), Ok(Secret::new("4/0A")));
        assert_eq!(code("code=x&state=other"), Err(ReturnError::NotOurs));
        assert_eq!(code("code=x"), Err(ReturnError::NotOurs));
        assert_eq!(code(&format!("code=&state={state}")), Err(ReturnError::NotOurs));
        assert_eq!(sign_in.code("hello"), Err(ReturnError::NotOurs));
        let refused = code(&format!("error=access_denied&error_description=The+user+said+no&state={state}"));
        assert_eq!(refused, Err(ReturnError::Refused("access_denied".into(), "The user said no".into())));
        // The first line of a request, as the loopback listener reads it.
        let line = format!("GET /?code=abc&state={state} HTTP/1.1");
        assert_eq!(sign_in.code(&line), Ok(Secret::new("abc")));
    }
}
