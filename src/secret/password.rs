//! Passwords of clients: is what was typed what was meant? As text, or as a hash in the PHC string format
//! (`$argon2id$v=19$m=..,t=..,p=..$salt$hash`; Argon2 is RFC 9106).
//!
//! Not here: where a password is kept ([`SecretSource`](super::SecretSource)), who may ask how often, and on which
//! thread. Each comparison takes tens of milliseconds and [`MOST_MEMORY`] at most.
//!
//! Invariants: every comparison costs one Argon2 computation, whatever the password is kept as, and does not end early
//! at the first octet that differs. A hash is as good as a secret to those who guess, so it is in no message either.

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version};

use super::Secret;

/// How every hash begins. What begins like this and is no hash is a mistake, never a password as text.
const BEGINNING: &str = "$argon2";
/// The most memory that a hash may ask for, in KiB: whoever logs in makes us spend it.
pub const MOST_MEMORY: u32 = 256 * 1024;
/// The most rounds.
const MOST_ROUNDS: u32 = 64;
/// Octets of salt (RFC 9106 section 3.1 recommends 16).
pub const SALT: usize = 16;

/// Why a text that begins like a hash cannot be one. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// It is not of the form.
    #[error("this begins like an Argon2 hash and is none")]
    Form,
    /// Each log-in would cost too much.
    #[error("this Argon2 hash asks for more than 256 MiB or 64 rounds at each log-in")]
    Cost,
}

/// What a password is compared with.
#[derive(Clone)]
pub struct Password(Kept);

#[derive(Clone)]
enum Kept {
    Text(Secret),
    Hash(Box<PasswordHash>),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[password]")
    }
}

impl Password {
    /// Takes what was read from where the password is kept: a hash if it begins like one, else the text itself.
    ///
    /// # Errors
    /// [`HashError`].
    pub fn new(secret: Secret) -> Result<Password, HashError> {
        if !is_hash(&secret) {
            return Ok(Password(Kept::Text(secret)));
        }
        let hash = PasswordHash::new(secret.expose()).map_err(|_| HashError::Form)?;
        let params = Params::try_from(&hash).map_err(|_| HashError::Form)?;
        if Algorithm::try_from(hash.algorithm.as_str()).is_err() || hash.hash.is_none() || hash.salt.is_none() {
            return Err(HashError::Form);
        }
        if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_ROUNDS {
            return Err(HashError::Cost);
        }
        Ok(Password(Kept::Hash(Box::new(hash))))
    }

    /// Whether `typed` is it. Slow on purpose.
    pub fn is(&self, typed: &Secret) -> bool {
        match &self.0 {
            Kept::Hash(hash) => Argon2::default().verify_password(typed.expose().as_bytes(), &**hash).is_ok(),
            Kept::Text(secret) => {
                // For its cost only: who measures us must not learn how a password is kept, nor whether there is one.
                std::hint::black_box(compute(typed, &[0; SALT]));
                same(secret.expose().as_bytes(), typed.expose().as_bytes())
            }
        }
    }
}

/// Whether it is kept as a hash, or was meant to be.
pub fn is_hash(secret: &Secret) -> bool {
    secret.expose().starts_with(BEGINNING)
}

/// The hash to write into the settings: Argon2id with 19 MiB and two rounds. `salt` must be chance.
pub fn hash(secret: &Secret, salt: &[u8; SALT]) -> String {
    compute(secret, salt).map(|hash| hash.to_string()).expect("password and salt are within the limits of RFC 9106")
}

fn compute(secret: &Secret, salt: &[u8; SALT]) -> Option<PasswordHash> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    argon2.hash_password_with_salt(secret.expose().as_bytes(), salt).ok()
}

/// Compares all of both, wherever they differ. The length shows, in nanoseconds beside Argon2's milliseconds.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differing =
        a.iter().zip(b).fold(a.len() ^ b.len(), |sum, (a, b)| std::hint::black_box(sum | usize::from(a ^ b)));
    std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by another program: `argon2 somesalt -t 2 -m 16 -p 4 -l 24`, from its documentation.
    const FOREIGN: &str = "$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG";

    fn password(text: &str) -> Result<Password, HashError> {
        Password::new(Secret::new(text))
    }

    #[test]
    fn text_and_hash_take_the_right_password_only() {
        let hashed = hash(&Secret::new("correct horse"), &[7; SALT]);
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !hashed.contains("horse"), "{hashed}");
        assert_ne!(hashed, hash(&Secret::new("correct horse"), &[8; SALT]));
        for kept in ["correct horse", &hashed] {
            let kept = password(kept).unwrap();
            assert!(kept.is(&Secret::new("correct horse")));
            for wrong in ["", "correct", "correct horse ba", "Correct horse", &hashed] {
                assert!(!kept.is(&Secret::new(wrong)), "{wrong}");
            }
        }
    }

    #[test]
    fn hashes_of_other_programs_are_understood() {
        let kept = password(FOREIGN).unwrap();
        assert!(kept.is(&Secret::new("password")) && !kept.is(&Secret::new("passwort")));
    }

    #[test]
    fn what_begins_like_a_hash_is_never_taken_as_text() {
        for text in
            ["$argon2id$", "$argon2id$v=19$m=65536,t=2,p=4$c29tZXNhbHQ", "$argon2x$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA"]
        {
            assert_eq!(password(text).unwrap_err(), HashError::Form, "{text}");
        }
        for costs in ["m=300000,t=2,p=1", "m=65536,t=65,p=1"] {
            assert_eq!(password(&FOREIGN.replace("m=65536,t=2,p=4", costs)).unwrap_err(), HashError::Cost);
        }
    }

    #[test]
    fn no_debug_output_shows_it() {
        assert_eq!(format!("{:?} {:?}", password("hunter2"), password(FOREIGN)), "Ok([password]) Ok([password])");
    }
}
