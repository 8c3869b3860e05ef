"""Owns the numeric gate: no process serves under a cap whose matrix products are wrong, as they are under some.

On an H200 most caps leave parts of bf16 products unwritten, silently (experiments/results/gpu-caps.json): which ones
depends on the GPU, the library and the shapes. So the shapes are the model's own, at the cap in question.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from splitwiser.errors import StartupError
from splitwiser.helper import helper

LIMIT = 1e-2
"""Largest relative error that passes. bf16 rounding gives 0.002, a wrong kernel more than 0.1."""
TIMEOUT_S = 300.0
STEP_PERCENT = 5
TRIES = 8
"""Caps that are tried on either side of one that failed."""
NOT_A_NUMBER = 1e6
"""The error of a product with NaN in it, as JSON has no infinity."""

Shape = tuple[int, int]
"""n, k: a weight of n rows and k columns, as checkpoints have it."""
Measure = Callable[[int], Awaitable["Finding"]]
"""Takes a cap in percent."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a cap does. m, n, k: the product with the largest error; unwritten: the part of it that no kernel wrote."""

    sm_percent: int
    sm_count: int
    error: float
    m: int
    n: int
    k: int
    unwritten: float = 0.0

    @property
    def passes(self) -> bool:
        return self.error <= LIMIT

    def __str__(self) -> str:
        error = "NaN" if self.error >= NOT_A_NUMBER else f"{self.error:.2g}"
        product = f"[{self.m}, {self.k}] times [{self.k}, {self.n}]"
        return f"{product} by {error} (allowed: {LIMIT:g}), {self.unwritten:.1%} of it unwritten"


async def check_cap(sm_percent: int, measure: Measure, *, field: str = "") -> Finding:
    """The cap's finding. Raises StartupError for one that fails, naming the nearest ones that pass.

    field: the setting that asks for the cap.
    """
    finding = await measure(sm_percent)
    if finding.passes:
        return finding
    near = [f"{cap} %" for cap in await nearest_passing(sm_percent, measure)]
    raise StartupError(
        f"under a cap of {sm_percent} % ({finding.sm_count} multiprocessors) this GPU's matrix products are wrong: "
        f"{finding}",
        help=f"set a cap that passes: {' or '.join(near) or '100 %'}",
        field=field,
    )


async def check_partition(phase: str, measured: Awaitable[Finding]) -> Finding:
    """The finding of a phase on multiprocessors of its own. Raises StartupError when its products are wrong."""
    finding = await measured
    if finding.passes:
        return finding
    raise StartupError(
        f"on {finding.sm_count} multiprocessors of its own {phase}'s matrix products are wrong: {finding}",
        help="give it others, or 0 for all",
        field=f"gpu.{phase}_sms",
    )


async def nearest_passing(sm_percent: int, measure: Measure) -> list[int]:
    """At most one cap below and one above that pass, in steps of STEP_PERCENT."""
    down = range((sm_percent - 1) // STEP_PERCENT * STEP_PERCENT, 0, -STEP_PERCENT)
    up = range((sm_percent // STEP_PERCENT + 1) * STEP_PERCENT, 101, STEP_PERCENT)
    found = await asyncio.gather(*(_first_passing(list(caps)[:TRIES], measure) for caps in (down, up)))
    return [cap for cap in found if cap]


async def _first_passing(caps: Sequence[int], measure: Measure) -> int:
    for cap in caps:
        if (await measure(cap)).passes:
            return cap
    return 0


def rows_up_to(most: int) -> list[int]:
    """Numbers of rows that a step may have: powers of two, and the most."""
    return sorted({most, *(2**power for power in range(most.bit_length()) if 2**power <= most)})


async def measure_products(
    shapes: Sequence[Shape],
    rows: Sequence[int],
    dtype: str,
    sm_percent: int,
    environment: Mapping[str, str],
    device: str = "cuda",
    partition: Mapping[str, object] | None = None,
) -> Finding:
    """Measure in a process of its own: a cap is read when CUDA starts. Raises StartupError when that process fails.

    partition: side and sms, to measure on those multiprocessors alone.
    """
    products = {"rows": list(rows), "shapes": [list(shape) for shape in shapes]}
    job = {"device": device, "dtype": dtype, **products, **(partition or {})}
    answer = json.loads(await _run(json.dumps(job).encode(), environment))
    worst = max(answer["products"], key=lambda each: float(each["error"]))
    return Finding(sm_percent, answer["sm_count"], **worst)


async def _run(job: bytes, environment: Mapping[str, str]) -> bytes:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-P", "-m", "splitwiser.mps.gemm")
    environ = {**os.environ, **environment}
    async with helper(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=environ) as process:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                output, errors = await process.communicate(job)
        except TimeoutError:
            raise StartupError(f"the numeric gate did not end in {TIMEOUT_S:g} s", help="is the GPU free?") from None
    if process.returncode:
        said = "".join(f"\n    {line}" for line in _last_lines(errors))
        raise StartupError(f"the numeric gate failed to run{said}", help="`splitwiser doctor --gpu` looks at the GPU")
    return output


def _last_lines(errors: bytes) -> Iterator[str]:
    yield from errors.decode(errors="replace").splitlines()[-5:]
