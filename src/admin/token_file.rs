//! The token of the HTTP face in the data folder, and the random text that tokens, sessions and codes are made of.
//!
//! Invariants: a text has 256 bits from the system's random source; the file has mode 0600 before the token is in it, and
//! is there whole or not at all.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::SecretSource;

use super::settings::AdminSettings;

/// The file in `data_dir`.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

/// Where the token is: where the settings say, else in the data folder.
pub fn source(settings: &AdminSettings, data_dir: &Path) -> SecretSource {
    settings.token.clone().unwrap_or_else(|| SecretSource::File(path(data_dir)))
}

/// Makes the file unless it exists. Returns whether it was made. Blocks for as long as the disk does.
///
/// # Errors
/// What the system says.
pub fn make(data_dir: &Path) -> io::Result<bool> {
    let path = path(data_dir);
    // A link that leads nowhere is the operator's, and is not replaced.
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let new = path.with_extension("token.new");
    let _ = std::fs::remove_file(&new);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(format!("{}\n", random_text()?).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, &path)?;
    Ok(true)
}

/// 32 random octets as 43 characters of base64url.
///
/// # Errors
/// The system has no randomness to give.
pub(super) fn random_text() -> io::Result<String> {
    let mut octets = [0; 32];
    let filled = crate::net::tls::provider().secure_random.fill(&mut octets);
    filled.map_err(|_| io::Error::other("the system has no randomness to give"))?;
    Ok(URL_SAFE_NO_PAD.encode(octets))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_is_made_once_for_its_owner_alone() {
        let folder = std::env::temp_dir().join(format!("yizhan-token-{}", random_text().unwrap()));
        std::fs::create_dir(&folder).unwrap();
        assert!(make(&folder).unwrap());
        let file = path(&folder);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.trim_end().len(), 43);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!make(&folder).unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn no_two_texts_are_equal() {
        assert_ne!(random_text().unwrap(), random_text().unwrap());
    }
}
