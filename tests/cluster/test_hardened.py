"""One pod under the Pod Security Standard restricted, with TLS between all services and a password for Redis."""

import base64
import subprocess
from pathlib import Path

import pytest

from tests.cluster.conftest import wait_until
from tests.cluster.kube import RELEASE, Kube

VALUES = {
    "topology": "pod",
    "tls": {"enabled": True, "existingSecret": "certificate"},
    "redis": {
        "existingSecret": "password",
        "image": {"registry": "localhost", "repository": "splitwiser-redis", "tag": "test"},
    },
}
NAMES = [f"{RELEASE}-{service}" for service in ("router", "prefill", "decode")]


@pytest.fixture(scope="module")
def restricted(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Kube:
    """The module's namespace, with the Secrets, and restricted from here on."""
    kube.apply(secret("password", {"redis-password": b'with "quotes" and \\'}))
    kube.apply(secret("certificate", certificate(tmp_path_factory.mktemp("certificate"))))
    kube.kubectl("label", "namespace", kube.namespace, "pod-security.kubernetes.io/enforce=restricted")
    return kube


def secret(name: str, files: dict[str, bytes]) -> dict[str, object]:
    data = {file: base64.b64encode(content).decode() for file, content in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def certificate(folder: Path) -> dict[str, bytes]:
    """One that is its own authority, good for every service."""
    names = ",".join(f"DNS:{name}" for name in NAMES)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=splitwiser"]
    command += ["-addext", f"subjectAltName={names}", "-keyout", f"{folder}/tls.key", "-out", f"{folder}/tls.crt"]
    subprocess.run(command, check=True, capture_output=True)
    files = {name: (folder / name).read_bytes() for name in ("tls.crt", "tls.key")}
    return files | {"ca.crt": files["tls.crt"]}


def test_host_path_is_refused(restricted: Kube) -> None:
    assert "forbids the hostPath of topology pods" in restricted.refused({})


def test_missing_secret_is_refused(restricted: Kube) -> None:
    nowhere = {"topology": "pod", "tls": {"enabled": True, "existingSecret": "nowhere"}}
    assert "names the Secret nowhere" in restricted.refused(nowhere)


def test_generates(restricted: Kube) -> None:
    restricted.install(VALUES)
    assert "Phase:          Succeeded" in restricted.helm("test", RELEASE, "--timeout", "120s")


def test_wrong_setting_is_told_in_the_termination_message(restricted: Kube) -> None:
    """A namespace's own way to break a release: a variable that the chart does not know is wrong."""
    broken = {"router": {"extraEnv": [{"name": "SPLITWISER_ROUTER__RETRIES", "value": "many"}]}}
    restricted.start(VALUES | broken, verb="upgrade")
    wait_until(lambda: any(restricted.last_words("router")), "termination message")
    message = restricted.last_words("router")[0]
    assert "SPLITWISER_ROUTER__RETRIES" in message
    assert "help:" in message
