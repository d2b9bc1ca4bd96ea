//! The image and what starts it without Kubernetes: compose and quadlet.

use super::support::skip::need;
use super::{compare, read, run, text};

#[test]
fn compose_renders_as_kept() {
    let arguments =
        ["--project-directory", "/srv/yizhan", "--env-file", "deploy/compose.env.example", "-f", "deploy/compose.yaml"];
    let output = need!(run("docker-compose", &[&arguments[..], &["config"]].concat()));
    compare("compose.yaml", &text(&output));
}

#[test]
fn compose_names_what_env_must_say() {
    let folder = super::support::folder::Folder::new("deploy");
    let empty = folder.path().join("env");
    std::fs::write(&empty, "").unwrap();
    let arguments = ["--env-file", empty.to_str().unwrap(), "-f", "deploy/compose.yaml", "config"];
    let output = need!(run("docker-compose", &arguments));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("set it in .env"), "{said}");
}

/// Keys of podman-systemd.unit(5), Podman 4.5 or later, for want of a generator in Debian 12.
#[test]
fn quadlet_has_only_keys_that_podman_knows() {
    let container = "ContainerName Image User Group ReadOnly Tmpfs DropCapability NoNewPrivileges Volume PublishPort \
        Environment HealthCmd HealthInterval HealthTimeout HealthStartPeriod HealthRetries PodmanArgs";
    let service = "Restart RestartSec RestartPreventExitStatus TimeoutStopSec";
    let known = |section: &str| match section {
        "Container" => container,
        "Volume" => "VolumeName User Group",
        "Service" => service,
        "Unit" => "Description Wants After",
        "Install" => "WantedBy",
        other => panic!("no such section: {other}"),
    };
    for file in ["deploy/quadlet/yizhan.container", "deploy/quadlet/yizhan-queue.volume"] {
        let mut section = "";
        for line in read(file).lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect::<Vec<_>>() {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = known(name);
                continue;
            }
            let (key, _) = line.split_once('=').unwrap_or_else(|| panic!("{file}: {line}"));
            assert!(section.split_whitespace().any(|one| one == key), "{file}: {line}");
        }
    }
}

/// One version everywhere: an image of one version with the settings of another does not start.
#[test]
fn every_file_names_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("deploy/compose.yaml", format!("image: ${{YIZHAN_IMAGE:-yizhan:{version}}}")),
        ("deploy/quadlet/yizhan.container", format!("Image=localhost/yizhan:{version}")),
        ("deploy/kustomize/base/kustomization.yaml", format!("newTag: {version}")),
        ("deploy/kustomize/sidecar/kustomization.yaml", format!("newTag: {version}")),
        ("deploy/helm/yizhan/Chart.yaml", format!("appVersion: {version}")),
        ("Dockerfile", format!("ARG VERSION={version}")),
        ("deploy/packaging/changelog.yaml", format!("semver: {version}-1")),
    ] {
        assert!(read(file).contains(&line), "{file} has no `{line}`");
    }
}

/// `tests/release` builds and runs this stage.
#[test]
fn the_image_has_no_shell_and_no_root() {
    let file = read("Dockerfile");
    let stage = file.split("\nFROM scratch\n").nth(1).expect("the last stage is from scratch");
    assert!(!stage.contains("\nFROM ") && !stage.contains("\nRUN "), "a step of this stage would need a shell");
    for line in [
        "USER 65532:65532",
        "VOLUME [\"/var/lib/yizhan\"]",
        "STOPSIGNAL SIGTERM",
        "CMD [\"/usr/local/bin/yizhan\", \"health\", \"--ready\"]",
        "COPY --from=build --chown=65532:65532 /out/data/ /var/lib/",
    ] {
        assert!(stage.contains(line), "no `{line}`");
    }
}
