"""Owns the process of one whole engine: what it is made of."""

import asyncio

from splitwiser.engine.base import StepSpan
from splitwiser.engine.unsplit.base import load
from splitwiser.experiments.unsplit.servicer import UnsplitServicer
from splitwiser.rpc.server import Service
from splitwiser.rpc.server import serve as serve_grpc
from splitwiser.runtime.entry import Launch
from splitwiser.runtime.lifetime import serve_until
from splitwiser.telemetry.timeline import TimelineWriter, timeline_path
from splitwiser.text.model_info import load_model
from splitwiser.v1 import inference_pb2, inference_pb2_grpc


async def serve(launch: Launch, stop: asyncio.Event) -> None:
    """Serve InferenceService until stop is set, then drain."""
    settings = launch.settings
    timeline = TimelineWriter(timeline_path(settings.run_dir, launch.instance))

    def on_step(phase: str, start_ns: int, end_ns: int, batch: int, tokens: int, pages: int | None) -> None:
        timeline.step(phase, StepSpan(start_ns, end_ns, tokens), batch, pages_in_use=pages)

    try:
        model, _ = await asyncio.to_thread(load_model, settings)
        engine = await load(settings, on_step)
        service = Service(
            inference_pb2.DESCRIPTOR.services_by_name["InferenceService"],
            inference_pb2_grpc.add_InferenceServiceServicer_to_server,
            UnsplitServicer(model, engine),
        )
        async with serve_grpc(launch.listen, [service]) as server:
            await server.set_serving(True)
            launch.announce(server.address, 0)
            await serve_until(stop, server, engine.run())
    finally:
        await asyncio.to_thread(timeline.close)
