//! Manifests and chart: rendered without a cluster, held against the schemas of Kubernetes.

use std::fs;

use super::support::skip::{Missing, need};
use super::{compare, read, run, run_with, text, tree};

/// Folders of `deploy/kustomize`, with the name of the rendering.
const KUSTOMIZATIONS: [(&str, &str); 3] = [("base", "base"), ("overlays/office", "office"), ("sidecar", "sidecar")];
const CHART: &str = "deploy/helm/yizhan";
const CHART_VALUES: [&str; 3] = ["bare", "default", "office"];

/// `tests/deploy/render.py`; `Missing` where its packages are.
fn python(arguments: &[&str], input: &str) -> Result<std::process::Output, Missing> {
    let output = run_with("python3", &[&["tests/deploy/render.py"], arguments].concat(), input)?;
    if output.status.code() == Some(3) {
        return Err(Missing("the Python packages of tests/deploy/requirements.txt".to_owned()));
    }
    Ok(output)
}

#[test]
fn kustomizations_render_as_kept() {
    for (folder, name) in KUSTOMIZATIONS {
        let path = format!("deploy/kustomize/{folder}");
        let output = need!(run("kubectl", &["kustomize", &path]));
        compare(&format!("kustomize-{name}.yaml"), &text(&output));
    }
}

#[test]
fn the_chart_is_linted_and_renders_as_kept() {
    for name in CHART_VALUES {
        let output = need!(python(&["helm", CHART, &format!("{CHART}/ci/{name}-values.yaml")], ""));
        compare(&format!("helm-{name}.yaml"), &text(&output));
    }
    let files = fs::read_dir(tree(CHART).join("ci")).unwrap().count();
    assert_eq!(files, CHART_VALUES.len(), "each file of values has a rendering");
}

#[test]
fn each_supported_kubernetes_takes_the_manifests() {
    let kustomized = KUSTOMIZATIONS.map(|(_, name)| format!("tests/golden/deploy/kustomize-{name}.yaml"));
    let charts = CHART_VALUES.map(|name| format!("tests/golden/deploy/helm-{name}.yaml"));
    let files: Vec<&str> = ["judge"].into_iter().chain(kustomized.iter().chain(&charts).map(String::as_str)).collect();
    let count: usize = text(&need!(python(&files, ""))).trim().parse().unwrap();
    assert!(count > 25, "only {count} manifests");
}

#[test]
fn a_field_that_kubernetes_does_not_know_is_found() {
    let folder = super::support::folder::Folder::new("deploy");
    let path = folder.path().join("wrong.yaml");
    let right = read("tests/golden/deploy/kustomize-sidecar.yaml");
    fs::write(&path, right.replace("enableServiceLinks", "enableServiceLink")).unwrap();
    let output = need!(python(&["judge", path.to_str().unwrap()], ""));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("'enableServiceLink' was unexpected"), "{said}");
}

#[test]
fn the_schema_refuses_values_that_cannot_work() {
    for (values, reason) in [
        ("replicas: 3", "'replicas' not allowed"),
        ("image: { repositroy: x }", "'repositroy' not allowed"),
        ("service: { type: Loadbalancer }", "/service/type"),
        ("service: { port: 70000 }", "/service/port"),
        ("service: { loadBalancerSourceRanges: [192.168.1.5] }", "/service/loadBalancerSourceRanges/0"),
        ("networkPolicy: { clients: [office] }", "/networkPolicy/clients/0"),
        ("persistence: { size: big }", "/persistence/size"),
        ("existingSecret: ''", "/existingSecret"),
        ("config: 'bind = [\"127.0.0.1:2525\"]'", "/config"),
        ("config: {}", "/config"),
    ] {
        let output = need!(python(&["refuse", CHART], values));
        let said = text(&output);
        assert!(said.contains(reason), "{values}: {said}");
    }
}

/// Mail of a client is lost in a pod whose probe cannot reach the relay, whose stop is cut short, or whose root is writable
/// by others; so each rendering has all of this.
#[test]
fn every_relay_is_probed_by_exec_and_has_no_privilege() {
    let kustomized = KUSTOMIZATIONS.map(|(_, name)| format!("kustomize-{name}.yaml"));
    for name in kustomized.into_iter().chain(CHART_VALUES.map(|name| format!("helm-{name}.yaml"))) {
        let rendered = read(&format!("tests/golden/deploy/{name}"));
        let flat: String = rendered.split_whitespace().filter(|word| *word != "-").collect::<Vec<_>>().join(" ");
        let flat = flat.replace(['[', ']', '{', '}', ','], "").replace("  ", " ");
        for wanted in [
            "exec: command: /usr/local/bin/yizhan health",
            "readOnlyRootFilesystem: true",
            "drop: ALL",
            "runAsNonRoot: true",
            "allowPrivilegeEscalation: false",
            "automountServiceAccountToken: false",
            "fsGroup: 65532",
            "terminationGracePeriodSeconds: ",
        ] {
            assert!(flat.contains(wanted), "{name} has no `{wanted}`");
        }
        assert!(!flat.contains("tcpSocket") && !flat.contains("httpGet"), "{name}");
    }
}

#[test]
fn the_relay_takes_the_settings_of_the_manifests() {
    let folder = super::support::folder::Folder::new("deploy");
    let inner = |rendered: &str| {
        let lines = rendered.lines().skip_while(|line| !line.ends_with("yizhan.toml: |")).skip(1);
        let text: Vec<&str> = lines.take_while(|line| line.is_empty() || line.starts_with("    ")).collect();
        text.join("\n")
    };
    for name in ["kustomize-base", "kustomize-office", "helm-default", "helm-office"] {
        let settings = inner(&read(&format!("tests/golden/deploy/{name}.yaml")));
        let (path, code) = (folder.path().join(format!("{name}.toml")), folder.path().join("code"));
        fs::write(&code, "abcdefghijklmnop").unwrap();
        fs::write(&path, settings.replace("/run/secrets/yizhan/code", code.to_str().unwrap())).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_yizhan"))
            .args(["check", "--config", path.to_str().unwrap()])
            .env_clear()
            .envs([("YIZHAN_LISTEN", ""), ("YIZHAN_DATA_DIR", folder.path().to_str().unwrap())])
            .output()
            .unwrap();
        let shown = text(&output);
        assert!(shown.contains("0.0.0.0:2525") && shown.contains("10.0.0.0/8") == (name != "helm-office"), "{shown}");
    }
}
