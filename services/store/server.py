"""Owns the store process: the socket, the metrics, and gRPC health where an address is given. No torch, no CUDA."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict

from splitwiser.rpc.server import serve as serve_grpc
from splitwiser.runtime.entry import Launch
from splitwiser.store.server import StoreServer
from splitwiser.telemetry.metrics.door import serve_metrics
from splitwiser.telemetry.metrics.store import StoreMetrics

PLACES = ("free", "prefill", "granted", "decode")


async def serve(launch: Launch, stop: asyncio.Event) -> None:
    """Keep segments and ledger until stop is set."""
    settings, metrics = launch.settings.store, StoreMetrics()
    socket = launch.settings.run_dir / settings.socket
    port, close_door = serve_metrics(metrics.registry, launch.settings.telemetry.metrics_port)
    async with AsyncExitStack() as exits:
        exits.callback(close_door)
        store = await exits.enter_async_context(
            StoreServer(socket, name=settings.name, lease_s=settings.lease_s, observer=metrics)
        )
        metrics.watch_pages(lambda: {place: asdict(store.counts())[place] for place in PLACES})
        if launch.listen:
            server = await exits.enter_async_context(serve_grpc(launch.listen, []))
            await server.set_serving(True)
        launch.announce(f"unix:{socket}", port)
        await stop.wait()
