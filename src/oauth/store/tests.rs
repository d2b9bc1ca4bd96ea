//! The file of a sign-in: modes, replacement, whose it is, and two processes.

use super::*;
use crate::oauth::settings::{Grant, ServiceUrl};

struct Scene {
    folder: PathBuf,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn scene(name: &str) -> (Scene, OAuthSettings) {
    let folder = std::env::temp_dir().join(format!("yizhan-store-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let settings = OAuthSettings {
        account: "office".to_owned(),
        user: "me@example.com".to_owned(),
        grant: Grant::Device,
        client_id: "id".to_owned(),
        client_secret: None,
        key: None,
        refresh: None,
        authorize: None,
        token: ServiceUrl::parse("https://x.example/token").unwrap(),
        device: None,
        scope: String::new(),
        redirect_to_name: false,
        expires: None,
        proxy: None,
        ca: None,
        folder: folder.join("oauth"),
    };
    (Scene { folder }, settings)
}

fn sign_in() -> SignIn {
    SignIn {
        id: new_id().unwrap(),
        refresh: Some(Secret::new("refresh")),
        access: Some(Secret::new("access")),
        obtained: Timestamp::from_millis(1),
        expires: Timestamp::from_millis(2),
        scope: "s".to_owned(),
        account: "me@example.com".to_owned(),
    }
}

#[test]
fn what_was_written_is_read_and_only_the_owner_reads_it() {
    let (_scene, settings) = scene("modes");
    let store = Store::of(&settings);
    assert_eq!(store.read().unwrap(), None);
    let first = sign_in();
    store.write(&first).unwrap();
    assert_eq!(store.read().unwrap(), Some(first.clone()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&store.path()), mode(&settings.folder)), (0o600, 0o700));
    // A folder that was opened is closed again, and nothing is left beside the file.
    fs::set_permissions(&settings.folder, Permissions::from_mode(0o755)).unwrap();
    store.write(&SignIn { refresh: Some(Secret::new("other")), ..first }).unwrap();
    assert_eq!(mode(&settings.folder), 0o700);
    let names: Vec<_> = fs::read_dir(&settings.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["office.json"]);
    assert_eq!((store.remove().unwrap(), store.remove().unwrap()), (true, false));
}

#[test]
fn a_file_of_another_mailbox_program_or_tenant_is_not_used() {
    let (_scene, settings) = scene("other");
    Store::of(&settings).write(&sign_in()).unwrap();
    let other = |settings: OAuthSettings| Store::of(&settings).read();
    for settings in [
        OAuthSettings { user: "you@example.com".to_owned(), ..settings.clone() },
        OAuthSettings { client_id: "other".to_owned(), ..settings.clone() },
        OAuthSettings { token: ServiceUrl::parse("https://x.example/other").unwrap(), ..settings.clone() },
    ] {
        let error = other(settings).unwrap_err();
        assert!(matches!(error, StoreError::Other { .. }) && error.to_string().contains("me@example.com"), "{error}");
    }
    assert!(other(OAuthSettings { user: "ME@example.com".to_owned(), ..settings }).unwrap().is_some());
}

#[test]
fn a_damaged_file_is_named_and_nothing_of_it_is_shown() {
    let (_scene, settings) = scene("damaged");
    let store = Store::of(&settings);
    store.write(&sign_in()).unwrap();
    for text in ["", "{", "{\"v\":1,\"refresh\":\"hunter2\"}", "{\"v\":2}"] {
        fs::write(store.path(), text).unwrap();
        let error = store.read().unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    fs::remove_file(store.path()).unwrap();
    fs::create_dir(store.path()).unwrap();
    assert!(matches!(store.read(), Err(StoreError::Unreadable { .. })));
    assert!(matches!(store.write(&sign_in()), Err(StoreError::Unwritable { .. })));
}

#[test]
fn one_process_at_a_time_refreshes() {
    let (_scene, settings) = scene("lock");
    let store = Store::of(&settings);
    let held = store.try_lock().unwrap().expect("it is free");
    assert!(store.try_lock().unwrap().is_none());
    drop(held);
    assert!(store.try_lock().unwrap().is_some());
}

#[test]
fn what_root_stores_belongs_to_the_owner_of_the_data_folder() {
    let (scene, settings) = scene("owner");
    if !geteuid().is_root() {
        return;
    }
    chown(&scene.folder, Some(65534), Some(65534)).unwrap();
    let store = Store::of(&settings);
    let _lock = store.try_lock().unwrap().expect("it is free");
    store.write(&sign_in()).unwrap();
    for path in [settings.folder.clone(), store.path(), settings.folder.join("office.lock")] {
        assert_eq!(fs::metadata(&path).unwrap().uid(), 65534, "{}", path.display());
    }
}

#[test]
fn a_data_folder_that_is_not_there_yet_is_made() {
    let (scene, settings) = scene("fresh");
    let settings = OAuthSettings { folder: scene.folder.join("data/oauth"), ..settings };
    Store::of(&settings).write(&sign_in()).unwrap();
    assert_eq!(fs::metadata(scene.folder.join("data")).unwrap().permissions().mode() & 0o777, 0o700);
}
