"""Owns what a result says of the machine and the software."""

import os
import platform
import shlex
import sys
import time
from dataclasses import asdict

from splitwiser.bench.versions import versions
from splitwiser.errors import StartupError
from splitwiser.experiments.definition import Definition
from splitwiser.experiments.result import Machine, Result
from splitwiser.mps.gpu import read_gpu


def now() -> str:
    """UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def empty_result(definition: Definition, *, quick: bool, endpoint: str) -> Result:
    """A result of this machine, now, with no samples yet."""
    return Result(
        experiment=definition.name,
        quick=quick,
        endpoint=endpoint,
        command=shlex.join(["splitwiser", *sys.argv[1:]]),
        started=now(),
        machine=_machine(),
        versions=versions(),
        definition=definition.model_dump(mode="json"),
    )


def _machine() -> Machine:
    try:
        gpu = asdict(read_gpu())
    except StartupError:
        gpu = {}
    return Machine(cpus=len(os.sched_getaffinity(0)), system=platform.platform(), gpu=gpu)
