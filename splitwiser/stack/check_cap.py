"""Owns the numeric gate of one phase as a process: `python -m splitwiser.stack.check_cap --config FILE PHASE`.

Where no `splitwiser up` runs the gate, as in a pod, this runs before the worker, in the same environment. It ends with
0 for a phase that is not confined, or computes right where it is.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from splitwiser.config.load import load_settings
from splitwiser.errors import SplitwiserError
from splitwiser.mps.control import Control
from splitwiser.stack.gpu_sharing import NO_CAP, check_caps


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the cap of the phase named. Returns the exit code; what is wrong goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m splitwiser.stack.check_cap")
    parser.add_argument("--config", type=Path, required=True, help="settings as TOML or JSON; variables win over them")
    parser.add_argument("phase", choices=("prefill", "decode"))
    given = parser.parse_args(arguments)
    try:
        settings = load_settings(given.config)
        findings = asyncio.run(check_caps(settings, Control.of_environment(os.environ), [given.phase]))
    except SplitwiserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for phase, found in findings.items():
        cap = f"under a cap of {found.sm_percent} %, " if found.sm_percent < NO_CAP else "on "
        print(f"{phase}: products are right {cap}{found.sm_count} multiprocessors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
