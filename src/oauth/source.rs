//! The tokens of one account: one at a time, refreshed ten minutes before the end, written down before they are used.
//!
//! ```text
//!  token() -> read the file -> a token with ten minutes left? --yes--> it
//!                                   | no
//!              lock (this process, then others) -> the file again -> ask the service -> write, sync -> the new one
//!                                   | the service cannot be reached
//!              the old one, while it lives
//! ```
//!
//! The file is the truth, so that another process, or `yizhan login`, is seen at the next log-in. Lifetimes run by the
//! monotonic clock; the wall clock may end a token earlier (a machine that was asleep), never later. A refresh runs in a task
//! of its own: a caller that gives up does not lose the answer. Invariant: a refusal that is doubtful is believed when it
//! came twice, a minute apart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::answer::{Refusal, Tokens};
use super::assertion;
use super::exchange;
use super::fault::{self, TokenError};
use super::request::{self, Client, Form};
use super::settings::{Grant, OAuthSettings};
use super::store::{RefreshLock, SignIn, Store, StoreError};
pub use super::token::AccessToken;
use super::token::{Doubt, Held};
use crate::clock::Clock;
use crate::provider::{Action, Catalogue, Verdict};
use crate::secret::{Secret, SecretSource, redact};

/// A token is replaced when it has less than this left. Microsoft refuses a log-in with less.
const EARLY: Duration = Duration::from_secs(600);
/// A token with less left is of no use even when there is no other.
const LAST: Duration = Duration::from_secs(30);
/// A token that was refused is replaced only when it is older than this.
const YOUNG: Duration = Duration::from_secs(60);
/// How long the service is left alone after a fault, while the old token lives.
const REST: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is kept to.
const LONGEST_REST: Duration = Duration::from_secs(3600);
/// How long another process may take to refresh.
const OTHERS: Duration = Duration::from_secs(60);
/// A sign-in that was not used for so long is refreshed, so that it does not end (Microsoft: 90 days, Google: 6 months).
const IDLE: Duration = Duration::from_secs(7 * 86_400);

/// The tokens of one account. Clones share everything.
#[derive(Clone)]
pub struct TokenSource(Arc<Shared>);

struct Shared {
    settings: OAuthSettings,
    catalogue: Catalogue,
    clock: Clock,
    store: Store,
    state: tokio::sync::Mutex<State>,
    /// What tells the sign-in that was last used from another one.
    used: Mutex<Option<Secret>>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// Until when the service is not asked, and why.
    rest: Option<(Instant, String)>,
    doubt: Doubt,
    /// What could not be written.
    unsaved: Option<SignIn>,
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource").field("account", &self.0.settings.account).finish_non_exhaustive()
    }
}

impl TokenSource {
    /// The tokens of this account; always `Some` in a program with OAuth2. Nothing is read or asked.
    pub fn new(settings: OAuthSettings, catalogue: Catalogue, clock: Clock) -> Option<TokenSource> {
        let store = Store::of(&settings);
        let (state, used) = (tokio::sync::Mutex::default(), Mutex::default());
        Some(TokenSource(Arc::new(Shared { settings, catalogue, clock, store, state, used })))
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &OAuthSettings {
        &self.0.settings
    }

    /// A token for a log-in: with ten minutes left, or, while the service cannot be reached, any that lives.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn token(&self) -> Result<AccessToken, TokenError> {
        let this = self.clone();
        in_a_task(async move { this.token_now().await }).await
    }

    /// Another token than `refused`, which a server has refused; `None` when that one is too young to be the cause.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn renew(&self, refused: &AccessToken) -> Result<Option<AccessToken>, TokenError> {
        let (this, refused) = (self.clone(), refused.clone());
        in_a_task(async move { this.renew_now(&refused).await }).await
    }

    /// Keeps the sign-in of an idle account alive: refreshes one that was not used for a week.
    pub async fn keep(&self) {
        let shared = &*self.0;
        if !shared.settings.grant.needs_a_person() {
            return;
        }
        let this = self.clone();
        let kept = in_a_task(async move {
            let mut state = this.0.state.lock().await;
            let obtained = this.load(&mut state).await?.map(|sign_in| sign_in.obtained);
            let now = this.0.clock.now();
            match obtained.filter(|obtained| now.since(*obtained) >= IDLE) {
                Some(_) => this.ask(&mut state, None).await.map(drop),
                None => Ok(()),
            }
        });
        if let Err(error) = kept.await {
            tracing::warn!(event = "oauth_not_refreshed", account = %shared.settings.account, why = %error);
        }
    }

    /// What tells the sign-in that was last used from another one: it is the same after a refresh, and another one after
    /// `yizhan login` or when the program's secret was changed.
    pub fn used(&self) -> Option<Secret> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same of the sign-in that is stored now; `None` when there is none that could be used.
    pub async fn mark(&self) -> Option<Secret> {
        let stored = self.blocking(Store::read).await.ok()?;
        let settings = &self.0.settings;
        if stored.is_none() && settings.grant.needs_a_person() && settings.refresh.is_none() {
            return None;
        }
        self.mark_of(stored.as_ref()).await.ok()
    }

    /// How long the token in memory lives still.
    pub async fn left(&self) -> Option<Duration> {
        let now = self.0.clock.now();
        self.0.state.lock().await.held.as_ref().map(|held| held.left(now))
    }

    async fn token_now(&self) -> Result<AccessToken, TokenError> {
        let mut state = self.0.state.lock().await;
        self.load(&mut state).await?;
        if let Some(token) = self.held(&state, EARLY) {
            return Ok(token);
        }
        match self.ask(&mut state, None).await {
            Err(TokenError::Unreachable(text)) => {
                let Some(token) = self.held(&state, LAST) else { return Err(TokenError::Unreachable(text)) };
                tracing::warn!(event = "oauth_not_refreshed", account = %self.0.settings.account, why = %text,
                    "the token that is there goes on being used until it ends");
                state.rest.get_or_insert_with(|| (Instant::now() + REST, text));
                Ok(token)
            }
            answered => answered,
        }
    }

    async fn renew_now(&self, refused: &AccessToken) -> Result<Option<AccessToken>, TokenError> {
        let mut state = self.0.state.lock().await;
        self.load(&mut state).await?;
        // Another log-in, or another process, was faster.
        if let Some(other) = self.held(&state, EARLY).filter(|other| other.secret != refused.secret) {
            return Ok(Some(other));
        }
        if refused.got.elapsed() < YOUNG {
            return Ok(None);
        }
        tracing::info!(event = "oauth_refused", account = %self.0.settings.account,
            "the server refused the token; a fresh one is tried once");
        self.ask(&mut state, Some(&refused.secret)).await.map(Some)
    }

    fn held(&self, state: &State, least: Duration) -> Option<AccessToken> {
        state.held.as_ref()?.with(least, self.0.clock.now())
    }

    /// Reads the file, and takes over a token that another process has put there. Returns the sign-in.
    async fn load(&self, state: &mut State) -> Result<Option<SignIn>, TokenError> {
        let mut stored = self.blocking(Store::read).await.map_err(of_store)?;
        if let Some(unsaved) = state.unsaved.take() {
            match &stored {
                Some(stored) if stored.id != unsaved.id => {}
                Some(_) | None => {
                    self.save(state, &unsaved).await;
                    stored = Some(unsaved);
                }
            }
        }
        let settings = &self.0.settings;
        let mark = self.mark_of(stored.as_ref()).await?;
        if stored.is_none() && settings.grant.needs_a_person() && settings.refresh.is_none() {
            state.held = None;
            *self.0.used.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let text = format!("no person has signed in for {} yet", settings.user);
            return Err(TokenError::Refused { verdict: fault::NOT_SIGNED_IN, text });
        }
        *self.0.used.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
        if let Some(sign_in) = &stored {
            self.adopt(state, sign_in);
        }
        Ok(stored)
    }

    fn adopt(&self, state: &mut State, sign_in: &SignIn) {
        let is_other = |held: &Held| held.sign_in != sign_in.id || sign_in.obtained > held.at;
        if !state.held.as_ref().is_none_or(is_other) {
            return;
        }
        if state.held.take().is_some_and(|held| held.sign_in != sign_in.id) {
            (state.rest, state.doubt) = (None, Doubt::default());
        }
        let now = self.0.clock.now();
        let lives = sign_in.expires.since(sign_in.obtained);
        // Where the clock was set back since, nothing is known of its age.
        let age = if now >= sign_in.obtained { now.since(sign_in.obtained) } else { lives };
        if let (Some(secret), Some(got)) = (&sign_in.access, Instant::now().checked_sub(age.min(lives))) {
            redact::protect(secret);
            let (secret, sign_in_id) = (secret.clone(), sign_in.id.clone());
            state.held = Some(Held { secret, sign_in: sign_in_id, got, at: sign_in.obtained, lives });
        }
    }

    /// Asks the service for another token than `refused`, unless another process has one by then.
    async fn ask(&self, state: &mut State, refused: Option<&Secret>) -> Result<AccessToken, TokenError> {
        if let Some((until, text)) = &state.rest {
            if *until > Instant::now() {
                return Err(TokenError::Unreachable(text.clone()));
            }
            state.rest = None;
        }
        let _lock = self.lock().await?;
        let stored = self.load(state).await?;
        let fresh = self.held(state, EARLY).filter(|token| refused.is_none_or(|refused| token.secret != *refused));
        if let Some(token) = fresh {
            return Ok(token);
        }
        let form = self.form(stored.as_ref()).await?;
        match exchange::tokens(&self.0.settings, &form).await {
            Ok(tokens) => Ok(self.take(state, stored, tokens).await),
            Err(refusal) => Err(self.refused(state, refusal)),
        }
    }

    /// The question that the grant asks.
    async fn form(&self, stored: Option<&SignIn>) -> Result<Form, TokenError> {
        let settings = &self.0.settings;
        if settings.grant == Grant::ServiceAccount {
            let key = self.secret(settings.key.as_ref()).await?.ok_or_else(|| unusable("there is no key"))?;
            let (scope, place, now) = (&settings.scope, settings.token.as_str(), self.0.clock.now());
            let signed = assertion::sign(&key, &settings.user, scope, place, now);
            return signed.map(|signed| request::assertion(&signed)).map_err(|error| unusable(&error.to_string()));
        }
        let secret = self.secret(settings.client_secret.as_ref()).await?;
        let client = Client { id: settings.client_id.clone(), secret };
        if settings.grant == Grant::Client {
            return Ok(request::client_credentials(&client, &settings.scope));
        }
        let stored = stored.and_then(|sign_in| sign_in.refresh.clone());
        let refresh = match stored {
            Some(refresh) => Some(refresh),
            None => self.secret(settings.refresh.as_ref()).await?,
        };
        let Some(refresh) = refresh else {
            let text = format!("the sign-in of {} has no refresh token", settings.user);
            return Err(TokenError::Refused { verdict: fault::NO_REFRESH_TOKEN, text });
        };
        redact::protect(&refresh);
        Ok(request::refresh(&client, &refresh))
    }

    /// Writes the tokens down, then gives out the new one.
    async fn take(&self, state: &mut State, stored: Option<SignIn>, tokens: Tokens) -> AccessToken {
        let (at, got) = (self.0.clock.now(), Instant::now());
        redact::replace(state.held.as_ref().map(|held| &held.secret), &tokens.access);
        let before = stored.unwrap_or_else(|| SignIn {
            id: "program".to_owned(),
            refresh: None,
            access: None,
            obtained: at,
            expires: at,
            scope: String::new(),
            account: String::new(),
        });
        if let Some(refresh) = &tokens.refresh {
            redact::replace(before.refresh.as_ref(), refresh);
        }
        let sign_in = SignIn {
            // Google does not give a new one; the old one stays.
            refresh: tokens.refresh.or(before.refresh),
            access: Some(tokens.access.clone()),
            obtained: at,
            expires: at + tokens.lives,
            scope: tokens.scope.unwrap_or(before.scope),
            account: tokens.account.unwrap_or(before.account),
            id: before.id,
        };
        self.save(state, &sign_in).await;
        (state.rest, state.doubt) = (None, Doubt::default());
        let held = Held { secret: tokens.access.clone(), sign_in: sign_in.id, got, at, lives: tokens.lives };
        state.held = Some(held);
        tracing::info!(event = "oauth_refreshed", account = %self.0.settings.account, seconds = tokens.lives.as_secs());
        AccessToken { secret: tokens.access, got }
    }

    /// A disk that takes no writes must not keep mail from leaving: what was not written is kept, and written later.
    async fn save(&self, state: &mut State, sign_in: &SignIn) {
        let copy = sign_in.clone();
        if let Err(error) = self.blocking(move |store| store.write(&copy)).await {
            tracing::error!(event = "oauth_not_stored", account = %self.0.settings.account, why = %error,
                "until it is, a restart may need a new sign-in");
            state.unsaved = Some(sign_in.clone());
        }
    }

    fn refused(&self, state: &mut State, refusal: Refusal) -> TokenError {
        let (status, error, description) = match refusal {
            Refusal::Passing { text, retry_after } => {
                if let Some(seconds) = retry_after {
                    let rest = Duration::from_secs(seconds).min(LONGEST_REST);
                    state.rest = Some((Instant::now() + rest, text.clone()));
                }
                return TokenError::Unreachable(text);
            }
            Refusal::Error { status, error, description } => (status, error, description),
        };
        let (verdict, said) = fault::of_answer(&self.0.catalogue, status, &error, &description);
        let text = format!("the token service refused: {said}");
        if passes(verdict) {
            return TokenError::Unreachable(text);
        }
        if fault::is_doubtful(verdict)
            && let Some(again) = state.doubt.refused(Instant::now())
        {
            state.rest = Some((again, text.clone()));
            return TokenError::Unreachable(text);
        }
        state.doubt = Doubt::default();
        TokenError::Refused { verdict: fault::confirmed(verdict), text }
    }

    /// Waits for other processes.
    async fn lock(&self) -> Result<RefreshLock, TokenError> {
        let end = Instant::now() + OTHERS;
        loop {
            match self.blocking(Store::try_lock).await {
                Ok(Some(lock)) => return Ok(lock),
                Ok(None) if Instant::now() < end => sleep(Duration::from_millis(100)).await,
                Ok(None) => {
                    let text = "another process has been asking for a token for a minute".to_owned();
                    return Err(TokenError::Unreachable(text));
                }
                Err(error) => return Err(of_store(error)),
            }
        }
    }

    async fn mark_of(&self, stored: Option<&SignIn>) -> Result<Secret, TokenError> {
        let settings = &self.0.settings;
        let mut parts = vec![stored.map_or_else(String::new, |sign_in| sign_in.id.clone()), settings.client_id.clone()];
        // The first token of a program is no other sign-in.
        if !settings.grant.needs_a_person() {
            parts.remove(0);
        }
        for source in [&settings.client_secret, &settings.key, &settings.refresh].into_iter().flatten() {
            parts.push(self.secret(Some(source)).await?.map_or_else(String::new, |secret| secret.expose().to_owned()));
        }
        Ok(Secret::new(&parts.join("\n")))
    }

    async fn secret(&self, source: Option<&SecretSource>) -> Result<Option<Secret>, TokenError> {
        match source {
            None => Ok(None),
            Some(source) => source.read_apart().await.map(Some).map_err(|error| unusable(&error.to_string())),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, path) = (self.0.store.clone(), self.0.store.path());
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|error| Err(StoreError::Unreadable { path, source: std::io::Error::other(error) }))
    }
}

/// The caller may give up; the work goes on to its end.
async fn in_a_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, TokenError>> + Send + 'static,
) -> Result<T, TokenError> {
    let ended = tokio::spawn(work).await;
    ended.unwrap_or_else(|error| Err(TokenError::Unreachable(format!("a mistake in the relay: {error}"))))
}

fn passes(verdict: Verdict) -> bool {
    verdict.action == Action::RetrySoon
}

fn unusable(reason: &str) -> TokenError {
    TokenError::Refused { verdict: fault::CLIENT_SECRET, text: reason.to_owned() }
}

fn of_store(error: StoreError) -> TokenError {
    let verdict = match &error {
        StoreError::Other { .. } => fault::OTHER_SIGN_IN,
        StoreError::Unreadable { .. } | StoreError::Damaged { .. } | StoreError::Unwritable { .. } => fault::TOKEN_FILE,
    };
    TokenError::Refused { verdict, text: error.to_string() }
}
