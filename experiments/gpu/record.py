"""Owns a result's file: the numbers, and what made them."""

import json
import sys
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from splitwiser.bench.versions import versions
from splitwiser.mps.gpu import read_gpu

RESULTS = Path(__file__).parent.parent / "results"


def record(name: str, results: object) -> None:
    """Write NAME.json, and print it."""
    module = sys.modules["__main__"].__spec__
    what: dict[str, Any] = {
        "command": " ".join(["python -m", module.name if module else sys.argv[0], *sys.argv[1:]]),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "gpu": asdict(read_gpu()),
        "versions": versions() | _more_versions(),
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(what, indent=2) + "\n")
    print(json.dumps({name: results}))


def _more_versions() -> dict[str, str]:
    found = {}
    for package in ("cuda-bindings", "nvidia-cublas"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
