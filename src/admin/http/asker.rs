//! The one who asks: with which rights, from where, in which language. The gate puts it beside each request.

use std::net::IpAddr;

use crate::admin::Caller;
use crate::language::Tongue;

use super::answer::Problem;
use super::places::Place;
use super::tokens::Rights;

/// The peer of a connection.
#[derive(Clone, Debug)]
pub(super) struct PeerInfo {
    /// Its address; that of this machine for a Unix socket.
    pub(super) addr: IpAddr,
    /// Whether it came by the Unix socket.
    pub(super) unix: bool,
    /// The place of its connection.
    pub(super) place: Place,
}

/// What a request has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing, or a session that has ended.
    Nothing,
    /// A right token.
    Token(Rights),
    /// A session, by the value of its cookie.
    Session(Rights, String),
}

/// The one who asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) proof: Proof,
    pub(super) tongue: Tongue,
    pub(super) peer: PeerInfo,
    /// It is a program on this machine, and no proxy or foreign name is between.
    pub(super) local: bool,
}

impl Asker {
    fn rights(&self) -> Option<Rights> {
        match &self.proof {
            Proof::Nothing => None,
            Proof::Token(rights) | Proof::Session(rights, _) => Some(*rights),
        }
    }

    /// Whether any token or session was shown.
    pub(super) fn is_known(&self) -> bool {
        self.rights().is_some()
    }

    /// Whether it may see content: bodies and header blocks.
    pub(super) fn sees_content(&self) -> bool {
        self.rights() == Some(Rights::Full)
    }

    /// The caller of a command that reads no content.
    ///
    /// # Errors
    /// There is no token.
    pub(super) fn reader(&self) -> Result<Caller, Problem> {
        let rights = self.rights().ok_or_else(Problem::unauthorized)?;
        let who = match (&self.proof, rights) {
            (Proof::Session(..), _) => "page:session",
            (Proof::Nothing | Proof::Token(_), Rights::Full) => "api:token",
            (Proof::Nothing | Proof::Token(_), Rights::View) => "api:view",
        };
        let from = if self.peer.unix { "unix".to_owned() } else { self.peer.addr.to_string() };
        Ok(Caller { who: who.to_owned(), from })
    }

    /// The caller of a command that changes something or reads content.
    ///
    /// # Errors
    /// There is no token, or one that only reads.
    pub(super) fn commander(&self) -> Result<Caller, Problem> {
        let caller = self.reader()?;
        match self.rights() {
            Some(Rights::Full) => Ok(caller),
            Some(Rights::View) | None => Err(Problem::view_only()),
        }
    }
}
