//! Where does the access token of an account come from? (RFC 6749, RFC 8628, RFC 7636, RFC 7523)
//!
//! ```text
//!  settings   what [account.NAME.oauth] says             request   the forms of the grants, as text
//!  exchange   one POST to the service                    answer    its JSON, as values
//!  fault      what a refusal means                       device    the polling of a device code
//!  browser    PKCE, the address to open, the answer      assertion the signed statement of a service account
//!  store      the file of a sign-in                      source    one token at a time, refreshed in time
//! ```
//!
//! Not here: how a token is sent (`smtp`), when a log-in is tried (`upstream`), and what a person sees (`cli`). Invariants:
//! tokens are [`Secret`](crate::secret::Secret)s; what a refresh brought is on the disk before it is used; an account asks
//! for one token at a time. Without the feature `oauth` only the settings are there, and nothing can be built of them.

pub mod fault;
pub mod settings;

#[cfg(feature = "oauth")]
pub mod answer;
#[cfg(feature = "oauth")]
pub mod assertion;
#[cfg(feature = "oauth")]
pub mod browser;
#[cfg(feature = "oauth")]
pub mod device;
#[cfg(feature = "oauth")]
pub mod exchange;
#[cfg(feature = "oauth")]
pub mod request;
#[cfg(feature = "oauth")]
mod source;
#[cfg(feature = "oauth")]
pub mod store;
#[cfg(feature = "oauth")]
mod token;

#[cfg(not(feature = "oauth"))]
#[path = "absent.rs"]
mod source;

pub use fault::TokenError;
pub use settings::{Grant, OAuthSettings, ServiceUrl, UrlError};
pub use source::{AccessToken, TokenSource};
