//! Passwords of clients: compares what was typed with text, or with a hash in the PHC string format
//! (`$argon2id$v=19$m=..,t=..,p=..$salt$hash`; Argon2 is RFC 9106).
//!
//! Not here: where a password is kept ([`SecretSource`](super::SecretSource)), the order of log-ins and the threads that
//! compare. Each comparison takes tens of milliseconds and [`MOST_MEMORY`] at most.
//!
//! Invariants: every comparison costs one Argon2 computation, whatever the password is kept as, and does not end early
//! at the first octet that differs. Memory for it comes from the caller ([`Workspace`]), so that many comparisons
//! allocate once. No message contains a hash: a hash is worth as much as a secret to an attacker.

use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, PasswordHasher as _, Version};

use super::Secret;

/// How every hash begins. What begins like this and is no hash is a mistake, never a password as text.
const BEGINNING: &str = "$argon2";
/// The most memory that a hash may ask for, in KiB: each log-in spends it.
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

/// What one comparison computes: memory, rounds and lanes. The length of the result costs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost(Params);

impl Default for Cost {
    /// What [`hash`] writes, and what a password as text costs: 19 MiB, two rounds.
    fn default() -> Cost {
        Cost(Params::DEFAULT)
    }
}

impl Cost {
    /// Octets of memory.
    pub fn memory(&self) -> u64 {
        self.0.block_count() as u64 * Block::SIZE as u64
    }
}

/// Memory for one computation at a time. It grows to the largest computation it has seen, and is freed when dropped.
#[derive(Default)]
pub struct Workspace {
    blocks: Vec<Block>,
    /// The memory of each computation so far, in blocks.
    #[cfg(test)]
    pub(crate) computed: Vec<usize>,
}

impl Workspace {
    /// The allocator of the system keeps freed blocks of up to 32 MiB for later, and maps larger ones apart (mallopt(3),
    /// `M_MMAP_THRESHOLD`). This much is reserved, in address space only, so that dropping the workspace frees its pages.
    const LEAST: usize = 33 * 1024 * 1024 / Block::SIZE;

    fn blocks(&mut self, count: usize) -> Result<&mut [Block], NoMemory> {
        #[cfg(test)]
        self.computed.push(count);
        if self.blocks.capacity() < count {
            // The old memory goes first: both together would be more than the largest computation.
            self.blocks = Vec::new();
            let whole = self.blocks.try_reserve_exact(count.max(Self::LEAST));
            whole.or_else(|_| self.blocks.try_reserve_exact(count)).map_err(|_| NoMemory)?;
        }
        if self.blocks.len() < count {
            self.blocks.resize(count, Block::new());
        }
        Ok(&mut self.blocks[..count])
    }
}

/// The system has no memory for a comparison. It says nothing about the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory to compare a password")]
pub struct NoMemory;

/// What a password is compared with.
#[derive(Clone)]
pub struct Password(Kept);

#[derive(Clone)]
enum Kept {
    Text(Secret),
    Hash { algorithm: Algorithm, version: Version, params: Params, salt: Vec<u8>, output: Vec<u8> },
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
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| HashError::Form)?;
        // A hash without a version is of the first one (the reference implementation, `decode_string`).
        let version = Version::try_from(hash.version.unwrap_or(0x10)).map_err(|_| HashError::Form)?;
        let (Some(output), Some(salt)) = (&hash.hash, &hash.salt) else { return Err(HashError::Form) };
        if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_ROUNDS {
            return Err(HashError::Cost);
        }
        let (salt, output) = (salt.as_ref().to_vec(), output.as_bytes().to_vec());
        Ok(Password(Kept::Hash { algorithm, version, params, salt, output }))
    }

    /// What a comparison with it costs.
    pub fn cost(&self) -> Cost {
        match &self.0 {
            Kept::Text(_) => Cost::default(),
            Kept::Hash { params, .. } => {
                let cost = Params::new(params.m_cost(), params.t_cost(), params.p_cost(), None);
                Cost(cost.expect("they are those of a hash that was read"))
            }
        }
    }

    /// Whether `typed` is it. Slow on purpose.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn is(&self, typed: &Secret, workspace: &mut Workspace) -> Result<bool, NoMemory> {
        match &self.0 {
            Kept::Hash { algorithm, version, params, salt, output } => {
                let argon2 = Argon2::new(*algorithm, *version, params.clone());
                let mut computed = vec![0; output.len()];
                Ok(compute(&argon2, typed, salt, &mut computed, workspace)? && same(output, &computed))
            }
            Kept::Text(secret) => {
                pretend(typed, &Cost::default(), workspace)?;
                Ok(same(secret.expose().as_bytes(), typed.expose().as_bytes()))
            }
        }
    }
}

/// Computes for its cost only: the time of an answer must not show how a password is kept, nor whether there is one.
///
/// # Errors
/// [`NoMemory`].
pub fn pretend(typed: &Secret, cost: &Cost, workspace: &mut Workspace) -> Result<(), NoMemory> {
    let mut computed = [0; Params::DEFAULT_OUTPUT_LEN];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.0.clone());
    std::hint::black_box(compute(&argon2, typed, &[0; SALT], &mut computed, workspace)?);
    Ok(())
}

fn compute(
    argon2: &Argon2<'_>,
    typed: &Secret,
    salt: &[u8],
    output: &mut [u8],
    workspace: &mut Workspace,
) -> Result<bool, NoMemory> {
    let blocks = workspace.blocks(argon2.params().block_count())?;
    Ok(argon2.hash_password_into_with_memory(typed.expose().as_bytes(), salt, output, blocks).is_ok())
}

/// Whether it is kept as a hash, or was meant to be.
pub fn is_hash(secret: &Secret) -> bool {
    secret.expose().starts_with(BEGINNING)
}

/// The hash to write into the settings: Argon2id with 19 MiB and two rounds. `salt` must be random.
pub fn hash(secret: &Secret, salt: &[u8; SALT]) -> String {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    let hash = argon2.hash_password_with_salt(secret.expose().as_bytes(), salt);
    hash.map(|hash| hash.to_string()).expect("password and salt are within the limits of RFC 9106")
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
        assert_eq!(password(&hashed).unwrap().cost(), password("correct horse").unwrap().cost());
        // One workspace for all: what one computation leaves there changes nothing of the next.
        let mut workspace = Workspace::default();
        for kept in ["correct horse", &hashed] {
            let kept = password(kept).unwrap();
            assert!(kept.is(&Secret::new("correct horse"), &mut workspace).unwrap());
            for wrong in ["", "correct", "correct horse ba", "Correct horse", &hashed] {
                assert!(!kept.is(&Secret::new(wrong), &mut workspace).unwrap(), "{wrong}");
            }
        }
    }

    #[test]
    fn hashes_of_other_programs_are_understood() {
        let (kept, mut workspace) = (password(FOREIGN).unwrap(), Workspace::default());
        assert!(
            kept.is(&Secret::new("password"), &mut workspace).unwrap()
                && !kept.is(&Secret::new("passwort"), &mut workspace).unwrap()
        );
        assert_eq!((kept.cost().memory(), Cost::default().memory()), (64 << 20, 19 << 20));
        // Smaller computations use a part of the same memory, larger ones replace it.
        assert_eq!(workspace.blocks.len(), 65536);
        pretend(&Secret::new("x"), &Cost::default(), &mut workspace).unwrap();
        assert!(kept.is(&Secret::new("password"), &mut workspace).unwrap() && workspace.blocks.len() == 65536);
        let mut small = Workspace::default();
        pretend(&Secret::new("x"), &Cost::default(), &mut small).unwrap();
        assert!(small.blocks.len() == 19 * 1024 && small.blocks.capacity() >= Workspace::LEAST);
        assert!(kept.is(&Secret::new("password"), &mut small).unwrap());
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

    #[test]
    fn a_comparison_without_memory_is_no_wrong_password() {
        let mut workspace = Workspace::default();
        assert_eq!(workspace.blocks(usize::MAX / Block::SIZE).unwrap_err(), NoMemory);
        assert!(password("x").unwrap().is(&Secret::new("x"), &mut workspace).unwrap(), "it is as good as before");
    }
}
