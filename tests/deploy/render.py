#!/usr/bin/env python3
"""Renders and judges what deploy/ has for Kubernetes, without a cluster and without a network.

    render.py helm CHART VALUES     lints the chart with these values, then prints the manifests
    render.py refuse CHART          reads values as YAML; prints why the schema refuses them, or fails
    render.py judge FILE...         holds each manifest against the schemas of each supported Kubernetes version

The packages of tests/deploy/requirements.txt must be on PYTHONPATH; tests/install-peers puts them into target/deploy-tools.
Exit status: 0, 1 with the reason on standard error, 3 when a package is missing.
"""

import json
import sys

try:
    import helm_python as helm
    import kubernetes_validate
    import yaml
except ImportError as error:
    sys.exit(print(error, file=sys.stderr) or 3)

VERSIONS = ["1.29", "1.31", "1.33", "1.35", "1.37"]


def render(path, values_file):
    values = helm.values_from_yaml(open(values_file).read())
    report = helm.lint(path, values, strict=True)
    found = [message for message in report["messages"] if message["severity"] >= 2]
    if report["errors"] or found:
        sys.exit(json.dumps(report, indent=1))
    manifests = helm.Chart.load(path).render(values, name="relay", namespace="mail")
    for name in sorted(manifests):
        text = manifests[name].strip()
        if text:
            text = f"# Source: {name}\n{text}" if name.endswith(".yaml") else "# " + text.replace("\n", "\n# ")
            print("---", *map(str.rstrip, text.splitlines()), sep="\n")


def refuse(path):
    try:
        helm.Chart.load(path).validate_schema(yaml.safe_load(sys.stdin.read()))
    except helm.HelmValuesError as error:
        print(error)
        return
    sys.exit("the schema takes these values")


def judge(files):
    manifests = [(file, one) for file in files for one in yaml.safe_load_all(open(file)) if one]
    for version in VERSIONS:
        for file, one in manifests:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = "/".join(map(str, error.path))
                sys.exit(f"{file}: {one['kind']} {one['metadata']['name']}, Kubernetes {version}, {where}: {error.message}")
    print(len(manifests))


match sys.argv[1:]:
    case ["helm", path, values]:
        render(path, values)
    case ["refuse", path]:
        refuse(path)
    case ["judge", *files]:
        judge(files)
    case _:
        sys.exit(__doc__)
