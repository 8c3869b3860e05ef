"""Prints the pins of a constraints file that are for packages which this Python lacks: `lacking.py constraints.txt`."""

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9._-]+")


def normal(name: str) -> str:
    """The form in which two spellings of a package's name are the same (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lacking(pins: Iterable[str], present: Iterable[str]) -> Iterator[str]:
    """Those of `pins` whose package is not one of `present`, comments left out."""
    has = {normal(name) for name in present}
    return (pin for pin in pins if (name := NAME.match(pin)) and normal(name[0]) not in has)


if __name__ == "__main__":
    installed = [distribution.metadata["Name"] for distribution in distributions()]
    print("\n".join(lacking(Path(sys.argv[1]).read_text().splitlines(), installed)))
