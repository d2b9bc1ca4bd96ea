//! In the place of the token source, in a program that was built without the feature `oauth`: there is none.

use std::time::Duration;

use super::fault::TokenError;
use super::settings::OAuthSettings;
use crate::clock::Clock;
use crate::provider::Catalogue;
use crate::secret::Secret;

/// An access token. There is none.
#[derive(Clone, Debug)]
pub enum AccessToken {}

impl AccessToken {
    /// The token.
    pub fn secret(&self) -> &Secret {
        match *self {}
    }
}

/// The tokens of one account. There are none.
#[derive(Clone, Debug)]
pub enum TokenSource {}

impl TokenSource {
    /// `None`: this program has no OAuth2.
    pub fn new(_: OAuthSettings, _: Catalogue, _: Clock) -> Option<TokenSource> {
        None
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &OAuthSettings {
        match *self {}
    }

    /// A token for a log-in.
    ///
    /// # Errors
    /// None: there is no source.
    pub async fn token(&self) -> Result<AccessToken, TokenError> {
        match *self {}
    }

    /// Another token than `refused`.
    ///
    /// # Errors
    /// None: there is no source.
    pub async fn renew(&self, _: &AccessToken) -> Result<Option<AccessToken>, TokenError> {
        match *self {}
    }

    /// Keeps the sign-in of an idle account alive.
    pub async fn keep(&self) {
        match *self {}
    }

    /// What tells the sign-in that was last used from another one.
    pub fn used(&self) -> Option<Secret> {
        match *self {}
    }

    /// The same of the sign-in that is stored now.
    pub async fn mark(&self) -> Option<Secret> {
        match *self {}
    }

    /// How long the last token lives still.
    pub async fn left(&self) -> Option<Duration> {
        match *self {}
    }
}
