"""Prints what the project and some of its extras depend on, as pip takes it: `requirements.py EXTRA...`."""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OWN = "splitwiser["


def needed(project: dict[str, Any], extras: list[str]) -> Iterator[str]:
    """Requirements of the project and of `extras`, which may name others of its extras."""
    yield from project["dependencies"]
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            if requirement.startswith(OWN):
                yield from needed(project, [requirement.removeprefix(OWN).rstrip("]")])
            else:
                yield requirement


if __name__ == "__main__":
    told = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    print("\n".join(dict.fromkeys(needed(told, sys.argv[1:]))))
