"""Owns the calls of helm: what the chart renders to, and what it says when it refuses."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts"
RELEASE = "splitwiser"
NAMESPACE = "llm"
KUBE_VERSION = "1.34.0"

Object = dict[str, Any]


class Refused(Exception):
    """helm ended with an error; the text is what it printed."""


@dataclass(frozen=True)
class Helm:
    """One helm program."""

    program: Path

    def run(self, *arguments: str, stdin: str = "") -> str:
        """What it printed. Raises Refused when it failed."""
        done = subprocess.run((self.program, *arguments), input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(done.stderr)
        return done.stdout

    def text(
        self,
        values: Mapping[str, Any] | Path,
        *,
        kube_version: str = KUBE_VERSION,
        release: str = RELEASE,
    ) -> str:
        """What the chart renders to with these values, or this file of values."""
        source = ("--values", str(values)) if isinstance(values, Path) else ("--values", "-")
        stdin = "" if isinstance(values, Path) else yaml.safe_dump(dict(values))
        where = ("--namespace", NAMESPACE, "--kube-version", kube_version)
        return self.run("template", release, str(CHART), *where, *source, stdin=stdin)

    def objects(self, values: Mapping[str, Any] | Path, **options: Any) -> list[Object]:
        """The objects of it."""
        return parse(self.text(values, **options))


def parse(text: str) -> list[Object]:
    """The objects of a rendered chart."""
    return [found for found in yaml.load_all(text, Loader=yaml.CSafeLoader) if found]
