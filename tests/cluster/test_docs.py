"""Every command of docs/kubernetes.md, as it stands there and in that order, on one release."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import namespace
from tests.cluster.kube import VALUES, Kube

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
FENCES = [(language, textwrap.dedent(text)) for _, language, text in FENCE.findall(PAGE)]
BLOCKS = [text for language, text in FENCES if not language]

# What cannot run on the test cluster, by the beginning of its block.
ELSEWHERE = {
    "for image in": "there is no registry to push to; make images builds them for every other test",
    "make images": "starts a cluster such as this one; tests/tools/cluster does so",
}
# What is put in the place of what.
CHANGED = {
    "--namespace llm": "--namespace {namespace}",
    # The images that the cluster has.
    "--set image.registry=registry.example.com/llm": "--values values.json",
    # There is no GPU: the API server checks every object of that release, and makes none.
    "--values llama.yaml --wait --timeout 20m": "--values llama.yaml --dry-run=server",
    # Who types takes longer than a port-forward needs.
    "8000 &\n": "8000 &\nuntil curl --silent http://127.0.0.1:8000/v1/models; do sleep 0.2; done\n",
}
# What the output of a block must have, by its beginning.
SAYS = {
    "helm install": "deployed",
    "helm upgrade splitwiser charts/ --namespace llm --values llama.yaml": "vllm",
    "kubectl --namespace llm get pods": "Succeeded",
    "kubectl --namespace llm port-forward": '"object":"list"',
    "helm upgrade splitwiser charts/ --namespace llm --reuse-values --set 'experiments": '"experiment": "goodput"',
    "helm upgrade splitwiser charts/ --namespace llm --reuse-values --set settings": "Rollback was a success",
    "helm uninstall": "uninstalled",
}


def beginning(block: str, of: dict[str, str]) -> str:
    (found,) = (start for start in of if block.startswith(start))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run: the chart, the page's own files, and values for the images."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "charts").symlink_to(ROOT / "charts")
    (folder / "values.json").write_text(json.dumps(VALUES))
    for language, text in FENCES:
        if language == "yaml" and text.startswith(("# llama.yaml", "image:")):
            # Its registry would be looked up by nobody in a dry run.
            (folder / "llama.yaml").write_text(text.removeprefix("# llama.yaml\n"))
    return folder


@pytest.fixture(scope="module")
def reader(installs: Path, after_measuring: None) -> Iterator[Kube]:
    """A namespace for who reads the page. The Secret is what the values file's comment says."""
    with namespace("docs", installs) as kube:
        secret = re.search(r"# kubectl --namespace llm (create secret .*)$", PAGE, re.MULTILINE)
        assert secret
        kube.kubectl(*secret[1].split())
        yield kube


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block[:40].split("\n")[0])
def test_command(reader: Kube, folder: Path, block: str) -> None:
    for start, why in ELSEWHERE.items():
        if block.startswith(start):
            pytest.skip(why)
    script = block
    for text, instead in CHANGED.items():
        script = script.replace(text, instead.replace("{namespace}", reader.namespace))
    output = run(script, folder, reader)
    assert SAYS[beginning(block, SAYS)] in output


def run(script: str, folder: Path, reader: Kube) -> str:
    """All that a shell prints; what it leaves in the background ends with it."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # Those of the tests are no settings of the command's.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SPLITWISER_")}
    with reader.turn():
        done = subprocess.run(
            ["bash", "-ec", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"],
            cwd=folder,
            env=plain | {"PATH": path, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=380,
            check=False,
        )
    assert done.returncode == 0, f"{script}\n{done.stdout}"
    return done.stdout


def test_nothing_of_the_lists_above_is_left_over_from_an_older_page() -> None:
    for start in (*ELSEWHERE, *SAYS):
        assert any(block.startswith(start) for block in BLOCKS), start
    for text in CHANGED:
        assert any(text in block for block in BLOCKS), text
