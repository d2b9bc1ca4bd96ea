//! Which errors hold a message.

use super::*;

#[test]
fn a_file_is_at_fault_unless_the_process_lacks_something() {
    let io = |source| Error::Io { what: "cannot read x".to_owned(), source };
    let system = |code| io(std::io::Error::from_raw_os_error(code));
    // EIO, ENOENT, EACCES; EMFILE, ENFILE, ENOMEM.
    assert_eq!(
        [5, 2, 13, 24, 23, 12].map(|code| system(code).is_about_the_file()),
        [true, true, true, false, false, false]
    );
    assert!(io(std::io::ErrorKind::InvalidData.into()).is_about_the_file());
    assert!(!io(std::io::Error::other("given up")).is_about_the_file() && !Error::Closed.is_about_the_file());
}
