//! Faults on demand: what shall go wrong, where, and how often.
//!
//! A fault stands in for the provider's own answer at one [`Stage`]. Faults of one stage are used in the order in which
//! they were asked for. Not here: how a fault is carried out, which is the connection's business.
//!
//! Invariant: a fault that was used up is gone, so a test knows how often it struck.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Before the TLS handshake, on either port. Octets of a reply go out in plaintext.
    Handshake,
    /// In place of the greeting. On the port with implicit TLS that is inside TLS.
    Connect,
    /// In place of the reply to EHLO or HELO.
    Ehlo,
    /// In place of the reply to STARTTLS.
    StartTls,
    /// In place of the verdict on a log-in: the secret was received.
    Auth,
    /// In place of the reply to MAIL.
    Mail,
    /// In place of the reply to RCPT: for this recipient (letter case does not matter), or for any.
    Rcpt(Option<String>),
    /// In place of the reply to DATA.
    Data,
    /// After 354, when the first octets of the message are here. A reply goes out at once, and what is left of the
    /// message is read and thrown away without another reply.
    Body,
    /// In place of the reply to the final dot.
    FinalDot,
    /// In place of the reply to QUIT.
    Quit,
    /// Between messages: the connection is logged in, has carried at least one message, and no transaction is open. It
    /// strikes connections that are idle already at once.
    Idle,
}

impl Stage {
    /// Whether a fault that was asked for at `self` strikes at `here`.
    fn covers(&self, here: &Stage) -> bool {
        match (self, here) {
            (Stage::Rcpt(None), Stage::Rcpt(_)) => true,
            (Stage::Rcpt(Some(wanted)), Stage::Rcpt(Some(found))) => wanted.eq_ignore_ascii_case(found),
            (wanted, found) => wanted == found,
        }
    }
}

/// What happens there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// These octets, as they are: line end included or not, in whatever charset. If they start with a code, the
    /// dialogue goes on as after that code: a `250` at the final dot keeps the message.
    Reply(Vec<u8>),
    /// These octets, then the end of the connection.
    ReplyThenClose(Vec<u8>),
    /// An orderly end: TLS closure alert and FIN, without a reply.
    Close,
    /// A TCP reset, without a reply.
    Reset,
    /// Nothing is said until the peer goes or the sandbox ends. What the peer sends is read and thrown away.
    Stall,
    /// At the final dot: the message is kept as received, and the connection ends without a reply, so that the client
    /// cannot know. Elsewhere the same as [`What::Close`].
    CloseAfterAccept,
    /// The stage goes its usual way, later by this much.
    Delay(Duration),
}

/// One thing that shall go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub at: Stage,
    /// What.
    pub what: What,
    /// How often. `u32::MAX` is for ever.
    pub times: u32,
}

impl Fault {
    /// Strikes once.
    pub fn once(at: Stage, what: What) -> Fault {
        Fault { at, what, times: 1 }
    }

    /// Says this reply once. `text` has the code and needs no line end; more lines are parted by CRLF.
    pub fn reply(at: Stage, text: &str) -> Fault {
        Fault::once(at, What::Reply(format!("{text}\r\n").into_bytes()))
    }

    /// Says this reply once, and hangs up.
    pub fn last_reply(at: Stage, text: &str) -> Fault {
        Fault::once(at, What::ReplyThenClose(format!("{text}\r\n").into_bytes()))
    }

    /// The same, so often; `u32::MAX` is for ever.
    #[must_use]
    pub fn times(self, times: u32) -> Fault {
        Fault { times, ..self }
    }

    /// Strikes until [`clear_faults`](super::Sandbox::clear_faults).
    pub fn forever(at: Stage, what: What) -> Fault {
        Fault { at, what, times: u32::MAX }
    }
}

/// A fault, and for which account, if not for all.
#[derive(Debug)]
struct Meant {
    user: Option<String>,
    fault: Fault,
}

/// The faults that are still to come, in the order they were asked for.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// False: the list is empty, and a connection need not take the lock at each command.
    armed: AtomicBool,
    list: Mutex<Vec<Meant>>,
}

impl Faults {
    pub(super) fn add(&self, user: Option<&str>, fault: Fault) {
        let mut list = self.lock();
        if fault.times > 0 {
            list.push(Meant { user: user.map(str::to_owned), fault });
        }
        self.armed.store(!list.is_empty(), Ordering::Release);
    }

    pub(super) fn clear(&self) {
        let mut list = self.lock();
        list.clear();
        self.armed.store(false, Ordering::Release);
    }

    /// Uses up the first fault that strikes here, at `user` if somebody is logged in or about to be.
    pub(super) fn take(&self, here: &Stage, user: Option<&str>) -> Option<What> {
        if !self.armed.load(Ordering::Acquire) {
            return None;
        }
        let mut list = self.lock();
        let meant = |wanted: &Option<String>| match (wanted, user) {
            (None, _) => true,
            (Some(wanted), Some(user)) => wanted.eq_ignore_ascii_case(user),
            (Some(_), None) => false,
        };
        let at = list.iter().position(|one| meant(&one.user) && one.fault.at.covers(here))?;
        let fault = &mut list[at].fault;
        let what = fault.what.clone();
        if fault.times != u32::MAX {
            fault.times -= 1;
        }
        if fault.times == 0 {
            list.remove(at);
        }
        self.armed.store(!list.is_empty(), Ordering::Release);
        Some(what)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Meant>> {
        // Pushing and removing cannot leave the list half done.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_used_as_often_as_asked_and_in_order() {
        let faults = Faults::default();
        assert_eq!(faults.take(&Stage::Mail, None), None);
        faults.add(None, Fault { at: Stage::Mail, what: What::Close, times: 2 });
        faults.add(None, Fault::once(Stage::Mail, What::Reset));
        faults.add(None, Fault::once(Stage::Rcpt(Some("A@b.c".to_owned())), What::Stall));
        faults.add(None, Fault::forever(Stage::Quit, What::Close));
        faults.add(None, Fault { at: Stage::Data, what: What::Close, times: 0 });
        let taken: Vec<_> = (0..4).map(|_| faults.take(&Stage::Mail, None)).collect();
        assert_eq!(taken, [Some(What::Close), Some(What::Close), Some(What::Reset), None]);
        assert_eq!(faults.take(&Stage::Rcpt(Some("x@b.c".to_owned())), None), None);
        assert_eq!(faults.take(&Stage::Rcpt(Some("a@B.c".to_owned())), None), Some(What::Stall));
        assert_eq!(faults.take(&Stage::Data, None), None);
        for _ in 0..10 {
            assert_eq!(faults.take(&Stage::Quit, None), Some(What::Close));
        }
        faults.clear();
        assert_eq!(faults.take(&Stage::Quit, None), None);
    }

    #[test]
    fn a_fault_for_one_account_leaves_the_others_alone() {
        let faults = Faults::default();
        faults.add(Some("A@qq.com"), Fault::reply(Stage::Mail, "550 no").times(2));
        assert_eq!(faults.take(&Stage::Mail, None), None);
        assert_eq!(faults.take(&Stage::Mail, Some("b@qq.com")), None);
        assert_eq!(faults.take(&Stage::Mail, Some("a@qq.com")), Some(What::Reply(b"550 no\r\n".to_vec())));
        faults.add(None, Fault::last_reply(Stage::Mail, "421 bye"));
        assert_eq!(faults.take(&Stage::Mail, Some("b@qq.com")), Some(What::ReplyThenClose(b"421 bye\r\n".to_vec())));
        assert!(faults.take(&Stage::Mail, Some("a@qq.com")).is_some() && faults.take(&Stage::Mail, None).is_none());
    }
}
