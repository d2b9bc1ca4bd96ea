//! The answers to what the session asks: the policy's, or a fault's in their place.
//!
//! The session is told the same code either way, so that it stays in step with what the client was told.

use crate::mail::{Address, ReversePath};
use crate::secret::Secret;
use crate::smtp::Reply;

use super::{End, SandboxConnection};
use crate::sandbox::fault::Stage;
use crate::sandbox::policy::Verdict;
use crate::sandbox::replies;

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
}
