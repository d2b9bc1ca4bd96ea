//! `docs/openapi.yaml` against the server: schemathesis sends what the page allows and what it forbids.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::desk::Desk;
use crate::support::offload;
use crate::support::peers::program;
use crate::support::skip::{Missing, need};

const PAGE: &str = "docs/openapi.yaml";

/// The program that `tests/install-peers` puts into `target/schemathesis`, or one in the path.
fn schemathesis() -> Result<PathBuf, Missing> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis");
    if own.exists() {
        return Ok(own);
    }
    program("schemathesis")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_the_server_agree() {
    let judge = need!(schemathesis());
    let desk = Desk::open("openapi").await;
    desk.pause().await;
    let id = desk.mail("one@example.com", "x").await;
    desk.ask(&format!("GET /api/v1/messages/{id}")).await.with_status(200);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let mut command = Command::new(judge);
    command
        .arg("run")
        .arg(page)
        .args(["--url", &format!("http://{}", desk.addr)])
        .args(["-H", &format!("Authorization: Bearer {}", desk.token)])
        // It answers 501 until it exists.
        .args(["--exclude-path", "/api/v1/reload"])
        .args(["--max-examples", "20", "--seed", "20261121", "--no-color"])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .current_dir(desk.office.folder.path());
    let ran = offload(move || command.output().expect("it starts")).await;
    let text = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{text}");
}

/// Every path of the router is on the page, and no other.
#[test]
fn every_path_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join(PAGE)).expect("the page exists");
    let routes = std::fs::read_to_string(root.join("src/admin/http/routes.rs")).expect("the routes exist");
    let mut named: Vec<String> = routes
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once('"'))
        .map(|(path, rest)| {
            let api = !["/healthz", "/readyz", "/metrics", "/login", "/logout"].contains(&path);
            assert!(rest.starts_with(", "), "{rest}");
            if api { format!("/api/v1{path}") } else { path.to_owned() }
        })
        .collect();
    let mut listed: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("  /")?.strip_suffix(':'))
        .map(|path| format!("/{path}"))
        .collect();
    // A change of many messages shares its place in the router with the id of one.
    listed.retain(|path| path != "/api/v1/messages/{change}");
    named.sort();
    listed.sort();
    assert_eq!(named, listed);
}
