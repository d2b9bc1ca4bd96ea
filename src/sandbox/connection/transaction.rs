//! The answers to what the session asks: the policy's, or a fault's in their place.
//!
//! The session is told the same code either way, so that it stays in step with what the client was told. It knows passwords
//! only: an access token that fits (XOAUTH2, OAUTHBEARER) goes on as an AUTH PLAIN of the same user.

use bytes::BytesMut;
use memchr::memchr;

use crate::mail::{Address, ReversePath};
use crate::secret::Secret;
use crate::smtp::Reply;
use crate::smtp::sasl::{self, Mechanism, SaslError};

use super::{End, SandboxConnection};
use crate::sandbox::fault::Stage;
use crate::sandbox::policy::Verdict;
use crate::sandbox::replies;
use crate::sandbox::tokens::TokenRefusal;

/// `{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`
const REASON: &str = "eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==";

impl SandboxConnection {
    pub(super) async fn mail(&mut self, from: &ReversePath) -> Result<(), End> {
        let verdict = match self.fault(Stage::Mail).await? {
            Some(octets) => octets.into(),
            None if self.shared.drain.started() => return Err(self.farewell("Service is stopping")),
            None => self.policy.mail(from, self.session.user().unwrap_or_default()),
        };
        self.in_transaction = verdict.accepts();
        match self.in_transaction {
            true => self.policy.begin(from),
            false => self.policy.refuse(verdict.reply()),
        }
        self.say(verdict);
        Ok(())
    }

    pub(super) async fn rcpt(&mut self, to: &Address) -> Result<(), End> {
        let verdict = match self.fault(Stage::Rcpt(Some(to.to_string()))).await? {
            Some(octets) => octets.into(),
            None => self.policy.recipient(to, self.session.user().unwrap_or_default()),
        };
        self.policy.note(to, verdict.accepts());
        self.say(verdict);
        Ok(())
    }

    pub(super) async fn data(&mut self) -> Result<(), End> {
        let verdict = match self.fault(Stage::Data).await? {
            Some(octets) => octets.into(),
            // DATA must be the last of a group (RFC 2920 section 3.1): what is here already was not asked for.
            None if !self.input.is_empty() => return Err(self.early()),
            None => Verdict::Policyd(replies::say(replies::GO_AHEAD)),
        };
        (self.in_body, self.answered) = (false, false);
        if !verdict.accepts() {
            self.policy.refuse(verdict.reply());
            self.in_transaction = false;
        }
        self.say(verdict);
        Ok(())
    }

    /// Called with the first octets of a message, or with its end if there are none.
    pub(super) async fn body_begins(&mut self) -> Result<(), End> {
        if !self.in_body {
            self.in_body = true;
            self.answered = self.struck(Stage::Body).await?;
            self.flush().await?;
        }
        Ok(())
    }

    pub(super) async fn end(&mut self) -> Result<(), End> {
        self.body_begins().await?;
        let verdict = if self.answered {
            // The reply is out already.
            Verdict::Octets(Reply::new(451, ""), Vec::new())
        } else {
            match self.fault(Stage::FinalDot).await? {
                Some(octets) => octets.into(),
                None => self.policy.end(),
            }
        };
        match verdict.accepts() {
            true => self.policy.keep(self.session.user().unwrap_or_default()),
            false => self.policy.refuse(verdict.reply()),
        }
        self.say(verdict);
        self.messages += 1;
        self.in_transaction = false;
        Ok(())
    }

    pub(super) async fn log_in(&mut self, user: &str, secret: &Secret) -> Result<(), End> {
        if std::mem::take(&mut self.has_token) {
            self.policy.note_login(user, true);
            self.session.answer(replies::say(replies::LOGGED_IN));
            return Ok(());
        }
        if let Some(octets) = self.fault_at(Stage::Auth, Some(user)).await? {
            let verdict = Verdict::from(octets);
            self.policy.note_login(user, verdict.accepts());
            self.say(verdict);
            return Ok(());
        }
        match self.policy.log_in(user, secret, self.session.is_tls()) {
            Ok(reply) => self.session.answer(reply),
            Err(octets) => {
                self.session.output().extend_from_slice(&octets);
                return Err(End::Close);
            }
        }
        Ok(())
    }

    fn say(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Policyd(reply) => self.session.answer(reply),
            Verdict::Octets(reply, octets) => {
                let before = self.session.output().len();
                self.session.answer(reply);
                self.session.output().truncate(before);
                self.session.output().extend_from_slice(&octets);
            }
        }
    }

    fn early(&mut self) -> End {
        self.session.answer_and_close(Reply::new(554, "Error: data before it was asked for"));
        self.policy.refuse(&"data before it was asked for");
        End::Close
    }

    /// Deals with an AUTH that carries a token. True: the session must not see the line. Otherwise `line` is for it.
    pub(super) async fn token_login(&mut self, line: &mut BytesMut) -> Result<bool, End> {
        let text = String::from_utf8_lossy(line).into_owned();
        let mut words = text.split_ascii_whitespace().skip(1);
        let mechanism = match words.next().map(str::to_ascii_uppercase).as_deref() {
            Some("XOAUTH2") => Mechanism::XOAuth2,
            Some("OAUTHBEARER") => Mechanism::OAuthBearer,
            Some(_) | None => return Ok(false),
        };
        if !self.shared.tokens.are_used() {
            return Ok(false);
        }
        if self.shared.tokens.is_too_long(line) {
            return Ok(self.refuse_token("500 5.5.2 Line too long\r\n"));
        }
        let response = match words.next() {
            Some(initial) => initial.to_owned(),
            None => {
                self.session.output().extend_from_slice(b"334 \r\n");
                self.response_line().await?
            }
        };
        let Ok((user, token)) = read(&response) else {
            return Ok(self.refuse_token("501 5.5.124 Invalid XOAUTH2 auth data\r\n"));
        };
        if let Some(octets) = self.fault_at(Stage::Auth, Some(&user)).await? {
            self.policy.note_login(&user, octets.starts_with(b"235"));
            self.session.output().extend_from_slice(&octets);
            return Ok(true);
        }
        if self.shared.tokens.fits(&user, &token) {
            self.has_token = true;
            let known = sasl::plain_response(&user, &Secret::new("token"));
            *line = BytesMut::from(format!("AUTH PLAIN {known}\r\n").as_bytes());
            return Ok(false);
        }
        self.policy.note_login(&user, false);
        match self.shared.tokens.refusal() {
            TokenRefusal::AtOnce => {
                let words = "535 5.7.3 Authentication unsuccessful [XX0P000CA0000.PROD.OUTLOOK.COM]\r\n";
                self.session.output().extend_from_slice(words.as_bytes());
            }
            TokenRefusal::Challenge => {
                self.session.output().extend_from_slice(format!("334 {REASON}\r\n").as_bytes());
                let answer = self.response_line().await?;
                let wanted = if mechanism == Mechanism::OAuthBearer { "AQ==" } else { "" };
                let words = match answer == wanted {
                    true => {
                        "535-5.7.8 Username and Password not accepted. For more information, go to\r\n535 5.7.8 https://support.google.com/mail/?p=BadCredentials\r\n"
                    }
                    false => "501 5.5.2 The answer to the reason is wrong\r\n",
                };
                self.session.output().extend_from_slice(words.as_bytes());
            }
        }
        Err(End::Close)
    }

    /// Answers in the session's place, which must not see the line.
    fn refuse_token(&mut self, words: &str) -> bool {
        self.session.output().extend_from_slice(words.as_bytes());
        true
    }

    /// The next line of the client, without its end.
    async fn response_line(&mut self) -> Result<String, End> {
        self.flush().await?;
        loop {
            if let Some(end) = memchr(b'\n', &self.input) {
                let line = self.input.split_to(end + 1);
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            self.read().await?;
        }
    }
}

fn read(response: &str) -> Result<(String, Secret), SaslError> {
    sasl::token(&sasl::decode(response)?)
}
