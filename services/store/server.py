"""Owns the store process: the socket, the metrics, and gRPC health, which is all that its gRPC
addresses serve. No torch, no CUDA."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from splitwiser.rpc.health import Health, health_listener
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
        telemetry = launch.settings.telemetry
        port, close_door = serve_metrics(metrics.registry, telemetry.metrics_port, telemetry.metrics_host)
        exits.callback(close_door)
        health = Health()
        await health.start()
        for address in (launch.listen, launch.health_listen):
            await exits.enter_async_context(health_listener(address, health))
        await health.set_serving(True)
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
            "cached": counts.cached,
            "shared": counts.shared,
        }

    return lambda: asyncio.run_coroutine_threadsafe(read(), loop).result(SCRAPE_TIMEOUT_S)
