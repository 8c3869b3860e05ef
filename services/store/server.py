"""Owns the store process: the socket, the metrics, and gRPC health where an address is given. No torch, no CUDA."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from splitwiser.rpc.server import serve as serve_grpc
from splitwiser.runtime.entry import Launch
from splitwiser.store.server import StoreServer
from splitwiser.telemetry.metrics.door import serve_metrics
from splitwiser.telemetry.metrics.store import StoreMetrics

SCRAPE_TIMEOUT_S = 1.0


async def serve(launch: Launch, stop: asyncio.Event) -> None:
    """Keep segments and ledger until stop is set. Raises StartupError when it cannot listen."""
    settings, metrics = launch.settings.store, StoreMetrics()
    socket = launch.settings.run_dir / settings.socket
    async with AsyncExitStack() as exits:
        store = await exits.enter_async_context(
            StoreServer(socket, name=settings.name, lease_s=settings.lease_s, observer=metrics)
        )
        metrics.watch_pages(_on_loop(store))
        port, close_door = serve_metrics(metrics.registry, launch.settings.telemetry.metrics_port)
        exits.callback(close_door)
        if launch.listen:
            server = await exits.enter_async_context(serve_grpc(launch.listen, []))
            await server.set_serving(True)
        launch.announce(f"unix:{socket}", port)
        await stop.wait()


def _on_loop(store: StoreServer) -> Callable[[], Mapping[str, int]]:
    """Read the ledger for a scrape, which runs on a thread, where the ledger does not move meanwhile."""
    loop = asyncio.get_running_loop()

    async def read() -> Mapping[str, int]:
        counts = store.counts()
        return {
            "free": counts.free,
            "prefill": counts.prefill,
            "granted": counts.granted,
            "decode": counts.decode,
        }

    return lambda: asyncio.run_coroutine_threadsafe(read(), loop).result(SCRAPE_TIMEOUT_S)
