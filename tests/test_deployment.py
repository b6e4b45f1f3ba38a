"""The files for deployment, as far as their own checkers say so without an engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parent.parent
KUBERNETES_VERSION = "1.30"
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))


def settings_of_readme() -> set[str]:
    return set(re.findall(r"`([A-Z][A-Z_]+)`", (ROOT / "README.md").read_text()))


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def documents() -> list[dict[str, Any]]:
    return [d for path in MANIFESTS for d in yaml.safe_load_all(path.read_text())]


def test_the_image_is_as_a_linter_wants_it() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_image_has_what_it_is_made_of() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)
    assert {"requirements.lock", "pyproject.toml", "replayproject", "streaming"} <= set(kept)


def test_settings_of_compose_are_settings() -> None:
    given = compose()["x-replay"]["environment"]
    names = {name.removesuffix("_FILE") for name in given}
    assert names <= settings_of_readme()


def test_every_service_of_compose_finds_its_secrets_and_volumes() -> None:
    loaded = compose()
    for name, service in loaded["services"].items():
        assert set(service.get("secrets", ())) <= set(loaded["secrets"]), name
        named = {v.split(":")[0] for v in service.get("volumes", ()) if v[0].isalpha()}
        assert named <= set(loaded["volumes"]), name
        assert set(service.get("depends_on", ())) <= set(loaded["services"]), name
        assert service["networks"] == ["inside"], name


@pytest.mark.parametrize(
    "document", documents(), ids=lambda d: f"{d['kind']}-{d['metadata']['name']}"
)
def test_manifests_fit_the_schemas_of_kubernetes(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)


def test_manifests_name_only_what_there_is() -> None:
    found = {(d["kind"], d["metadata"]["name"]) for d in documents()}
    for document in documents():
        if document["kind"] in ("Deployment", "Job"):
            pod = document["spec"]["template"]["spec"]
            for container in pod["containers"]:
                for source in container["envFrom"]:
                    if "configMapRef" in source:
                        assert ("ConfigMap", source["configMapRef"]["name"]) in found
                mounted = {m["name"] for m in container["volumeMounts"]}
                assert mounted <= {v["name"] for v in pod["volumes"]}
            claims = [v for v in pod["volumes"] if "persistentVolumeClaim" in v]
            assert all(
                ("PersistentVolumeClaim", v["persistentVolumeClaim"]["claimName"]) in found
                for v in claims
            )
    config = next(d for d in documents() if d["kind"] == "ConfigMap")
    assert set(config["data"]) <= settings_of_readme()


def test_the_proxy_understands_its_configuration(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        pytest.skip("no nginx here (Debian package: nginx-light)")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=x",
         "-keyout", tmp_path / "key", "-out", tmp_path / "certificate"],
        check=True, capture_output=True,
    )  # fmt: skip
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for container, here in (
        ("/run/secrets/tls_certificate", f"{tmp_path}/certificate"),
        ("/run/secrets/tls_key", f"{tmp_path}/key"),
        ("/var/cache/nginx", str(tmp_path)),
        ("/run/nginx.pid", f"{tmp_path}/pid"),
        ("include mime.types", "include /etc/nginx/mime.types"),
        # Newer than Debian's: HTTP/2 as a directive of its own.
        ("        http2 on;\n", ""),
    ):
        assert container in text
        text = text.replace(container, here)
    (tmp_path / "nginx.conf").write_text(text)
    done = subprocess.run(
        [nginx, "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
