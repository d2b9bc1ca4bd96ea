//! A second name for a long body, so that two messages can own what arrived once.
//!
//! Not here: which message owns which name (that is a row of the backend). Invariants: the two names live and die apart;
//! until a row names the new one it is removed when it is dropped, and a crash before that leaves a file without a row,
//! which is set aside at the next start like any other.

use std::fs;
use std::io;
use std::path::Path;

use super::{Error, Remove, SpoolFile, create, make_folder_of, open, seal};
use crate::queue::folder::{self, fault};

impl SpoolFile {
    /// The same octets under a fresh name, durable. Blocks.
    pub(super) fn share(&self) -> Result<SpoolFile, Error> {
        let name = self.spool.fresh_name();
        let path = self.spool.path(&name).expect("the name is one of our own");
        make_folder_of(&path)?;
        // A hard link never replaces a file, and never follows a symbolic link that somebody put there.
        match fs::hard_link(self.path(), &path) {
            Ok(()) => {}
            // Not every file system has second names, and none has any number of them.
            Err(error) if has_no_second_names(error.kind()) => self.copy(&path)?,
            Err(source) => return Err(fault("link", &path, source)),
        }
        let guard = Remove { path, armed: true };
        folder::sync(guard.path.parent().expect("every spool file has a folder"))?;
        Ok(SpoolFile { spool: self.spool.clone(), name, len: self.len, sum: self.sum, guard })
    }

    /// Copies the file to `path`, which is not there before all of it is durable.
    fn copy(&self, path: &Path) -> Result<(), Error> {
        let mut part = Remove { path: path.with_extension("part"), armed: true };
        let mut from = open::existing(self.path()).map_err(|source| fault("open", self.path(), source))?;
        let mut to = create(&part.path)?;
        io::copy(&mut from, &mut to).map_err(|source| fault("copy", self.path(), source))?;
        seal(to, &part, path)?;
        part.armed = false;
        Ok(())
    }
}

fn has_no_second_names(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::TooManyLinks)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Draft, Spool, Stored};
    use super::*;

    #[tokio::test]
    async fn where_there_are_no_second_names_the_octets_are_copied() {
        let folder = std::env::temp_dir().join(format!("yizhan-share-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let mut draft = Draft::new(Arc::new(Spool::new(folder.clone(), 0x17)));
        draft.write(&[7; 300_000]).await.unwrap();
        let Stored::Spooled(file) = draft.finish().await.unwrap() else { panic!("too long to be inline") };
        let target = file.spool.path("00000000000000aa").unwrap();
        file.copy(&target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), vec![7; 300_000]);
        assert!(!target.with_extension("part").exists());
        // What cannot be copied leaves nothing.
        fs::remove_file(file.path()).unwrap();
        let other = file.spool.path("00000000000000bb").unwrap();
        assert!(matches!(file.copy(&other), Err(Error::Io { .. })));
        assert!(!other.exists() && !other.with_extension("part").exists());
        assert!(matches!(file.share(), Err(Error::Io { .. })));
        fs::remove_dir_all(&folder).unwrap();
    }
}
