"""Owns the single process: both phases in one, over one loaded model, taking turns step by step.

It is the comparison without any overlap. Each phase is served, reported and attached to the store as it is in a process
of its own, at the addresses --prefill and --decode; only who computes when differs.
"""

import asyncio
from dataclasses import replace

from services.decode.server import serve as serve_decode
from services.prefill.server import serve as serve_prefill
from splitwiser.engine.single import SharedModel
from splitwiser.runtime.entry import Launch


async def serve(launch: Launch, stop: asyncio.Event) -> None:
    """Serve PrefillService and DecodeService until stop is set, then drain. Raises what ended the first of them."""
    model = SharedModel()
    try:
        async with asyncio.TaskGroup() as phases:
            phases.create_task(serve_prefill(_phase(launch, "prefill", launch.prefill), stop, model.load))
            phases.create_task(serve_decode(_phase(launch, "decode", launch.decode), stop, model.load))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _phase(launch: Launch, phase: str, addresses: tuple[str, ...]) -> Launch:
    (address,) = addresses
    # One of them answers for the process.
    health = launch.health_listen if phase == "prefill" else ""
    return replace(
        launch,
        service=phase,
        instance=f"{phase}-0",
        listen=address,
        health_listen=health,
        prefill=(),
        decode=(),
    )
