//! The polling of a device code (RFC 8628 section 3.5), as a pure machine: an answer in, the next step out.
//!
//! Invariant: it never polls faster than the service says, and never after the code has ended.

use std::time::Duration;

use super::answer::{DeviceCode, Refusal, Tokens};

/// By how much `slow_down` lengthens the wait (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceStep {
    /// Wait for this long, then poll.
    Wait(Duration),
    /// The person has signed in.
    Done(Box<Tokens>),
    /// It has come to nothing.
    Failed(DeviceFailure),
}

/// Why a device code came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceFailure {
    /// The code was not typed in time.
    Expired,
    /// The person, or the organisation, said no.
    Declined,
    /// The service refused otherwise.
    Refused(Refusal),
}

/// A device code that is polled.
#[derive(Clone, Debug)]
pub struct DevicePolling {
    interval: Duration,
    left: Duration,
}

impl DevicePolling {
    /// The polling of this code; the first step is to wait.
    pub fn new(code: &DeviceCode) -> (DevicePolling, DeviceStep) {
        let mut polling = DevicePolling { interval: code.interval, left: code.lives };
        let step = polling.wait();
        (polling, step)
    }

    /// The next step after an answer.
    pub fn answered(&mut self, answer: Result<Tokens, Refusal>) -> DeviceStep {
        let refusal = match answer {
            Ok(tokens) => return DeviceStep::Done(Box::new(tokens)),
            // A line that breaks, or a service that is busy: RFC 8628 asks for a longer wait.
            Err(Refusal::Passing { .. }) => return self.slow_down(),
            Err(refusal) => refusal,
        };
        let Refusal::Error { error, .. } = &refusal else { return self.slow_down() };
        match error.as_str() {
            "authorization_pending" => self.wait(),
            "slow_down" => self.slow_down(),
            "access_denied" | "authorization_declined" => DeviceStep::Failed(DeviceFailure::Declined),
            "expired_token" | "code_expired" => DeviceStep::Failed(DeviceFailure::Expired),
            _ => DeviceStep::Failed(DeviceFailure::Refused(refusal)),
        }
    }

    fn slow_down(&mut self) -> DeviceStep {
        self.interval += SLOWER;
        self.wait()
    }

    fn wait(&mut self) -> DeviceStep {
        if self.left < self.interval {
            return DeviceStep::Failed(DeviceFailure::Expired);
        }
        self.left -= self.interval;
        DeviceStep::Wait(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn code(lives: u64) -> DeviceCode {
        DeviceCode {
            code: Secret::new("d"),
            user_code: "U".to_owned(),
            place: "https://x".to_owned(),
            lives: Duration::from_secs(lives),
            interval: Duration::from_secs(5),
        }
    }

    fn error(word: &str) -> Result<Tokens, Refusal> {
        Err(Refusal::Error { status: 400, error: word.to_owned(), description: String::new() })
    }

    fn wait(seconds: u64) -> DeviceStep {
        DeviceStep::Wait(Duration::from_secs(seconds))
    }

    #[test]
    fn the_pace_is_the_services() {
        let (mut polling, first) = DevicePolling::new(&code(900));
        assert_eq!(first, wait(5));
        assert_eq!(polling.answered(error("authorization_pending")), wait(5));
        assert_eq!(polling.answered(error("slow_down")), wait(10));
        assert_eq!(polling.answered(error("authorization_pending")), wait(10));
        assert_eq!(polling.answered(Err(Refusal::Passing { text: String::new(), retry_after: None })), wait(15));
    }

    #[test]
    fn it_ends_with_the_code_and_with_a_no() {
        let (mut polling, _) = DevicePolling::new(&code(12));
        assert_eq!(polling.answered(error("authorization_pending")), wait(5));
        assert_eq!(polling.answered(error("authorization_pending")), DeviceStep::Failed(DeviceFailure::Expired));
        for (word, failure) in [
            ("access_denied", DeviceFailure::Declined),
            ("authorization_declined", DeviceFailure::Declined),
            ("expired_token", DeviceFailure::Expired),
        ] {
            let (mut polling, _) = DevicePolling::new(&code(900));
            assert_eq!(polling.answered(error(word)), DeviceStep::Failed(failure), "{word}");
        }
        let (mut polling, _) = DevicePolling::new(&code(900));
        assert!(matches!(
            polling.answered(error("invalid_client")),
            DeviceStep::Failed(DeviceFailure::Refused(Refusal::Error { .. }))
        ));
    }
}
