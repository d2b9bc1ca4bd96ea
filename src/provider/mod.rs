//! What a mailbox provider wants, and what its replies mean: data, and pure functions on it.
//!
//! ```text
//!  preset     qq, 163, gmail, custom ...   host, ports, log-in, limits      <- presets/*.toml
//!  group      providers whose replies have the same wording
//!  reply      octets of a reply     -> one line of text
//!  catalogue  (group, phase, code, text) -> a verdict                       <- catalogue.tsv, words.tsv
//!  verdict    who is condemned, what follows, what the owner should do
//!  token_service  where access tokens come from
//! ```
//!
//! Not here: sockets, schedules and the state of an account. Nothing here knows how a reply is read from the wire; it
//! takes the code and the text. The three-digit code of RFC 5321 section 4.2 is asked last, because the providers
//! answer rate limits with 550 and wrong settings with 454.

mod budget;
mod catalogue;
mod group;
mod preset;
mod reply;
mod token_service;
mod verdict;
mod worded_enum;

pub use crate::smtp::Mechanism;
pub use crate::smtp::client::Tls;
pub use budget::{DayWindow, PresetBudget, Windows};
pub use catalogue::{Catalogue, CatalogueEntry, Grade, RowError, UserRow};
pub use group::Group;
pub use preset::{Endpoint, FromPolicy, Preset, UserForm, names, preset};
pub use reply::reply_text;
pub use token_service::{Cloud, TokenPlaces, TokenService};
pub use verdict::{Action, Basis, Phase, Remedy, Scope, Verdict};
