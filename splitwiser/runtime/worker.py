"""Owns a worker's life: it attaches to the store, maps or makes pool and weights, takes its share of the pages, serves
until told to stop, and ends at once when its store or its engine does."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from splitwiser.config.schema import Settings
from splitwiser.engine.base import DecodeEngine, Phase, PrefillEngine, StepObserver, StepSpan
from splitwiser.engine.factory import Load, Loaded, check_installed
from splitwiser.errors import StoreLost
from splitwiser.kv.host_tier import HostTier
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.lending import Lending
from splitwiser.kv.pool import OwnedPages
from splitwiser.kv.prefix_hash import PageHasher
from splitwiser.kv.redis_registry import RedisRegistry
from splitwiser.memory import memfd
from splitwiser.memory.devices import mapper_of
from splitwiser.memory.memfd import MemfdMapper
from splitwiser.memory.segment import HOST_PAGES
from splitwiser.memory.socket_path import nobody_listens_yet
from splitwiser.mps.attachment import check_attached
from splitwiser.mps.control import Control
from splitwiser.rpc.certificate import check_certificate
from splitwiser.rpc.listen import refuse_open_plaintext
from splitwiser.rpc.server import Service, serve
from splitwiser.runtime.entry import Launch
from splitwiser.runtime.lifetime import serve_until
from splitwiser.runtime.watchdog import watch_steps
from splitwiser.store.client import StoreClient
from splitwiser.telemetry.timeline import TimelineWriter

Engine = PrefillEngine | DecodeEngine
SHARE_RETRY_S = 0.05
SPARE_PART = 16
"""A worker has this part of its pages free at hand, if it can: requests then need not wait for recalled ones."""
STORE_RETRY_S = 0.1
STORE_TRIES = 300


class StepMetrics(Protocol):
    """The metrics of either phase."""

    def step(self, span: StepSpan, batch_size: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker of either phase works with."""

    store: StoreClient
    loaded: Loaded
    pages: OwnedPages
    registry: RedisRegistry


@asynccontextmanager
async def attached(launch: Launch, phase: Phase, load: Load) -> AsyncIterator[Worker]:
    """A worker attached to its store for the length of the block; leaving gives all its pages back at once."""
    settings = launch.settings
    # Before anything is loaded, which may take minutes.
    check_installed(settings)
    refuse_open_plaintext(launch.listen, launch.listen_options)
    check_certificate(settings.tls)
    socket = settings.run_dir / settings.store.socket
    mapper = mapper_of(settings.engine.device)
    await _await_store(socket)
    store = await StoreClient.connect(socket, phase, launch.instance, beat_s=settings.store.beat_s, mapper=mapper)
    try:
        loaded = await load(settings, store, phase)
        if settings.engine.device == "cuda" and settings.gpu.sharing == "mps":
            await asyncio.to_thread(check_attached, Control.of_environment(os.environ), [os.getpid()])
        pages = await _take_pages(store, settings, phase)
        registry = RedisRegistry(settings.redis)
        try:
            yield Worker(store, loaded, pages, registry)
        finally:
            await registry.close()
    finally:
        await store.close()


@asynccontextmanager
async def host_tier(worker: Worker, settings: Settings) -> AsyncIterator[HostTier | None]:
    """The host tier of a prefill worker, if it is to have one. At the end of the block nothing is copied any more.

    That is before the worker leaves the store, which gives its pages and its host pages to others.
    """
    if not settings.pool.host_pages:
        yield None
        return
    layout = worker.loaded.layout.on_host(settings.pool.host_pages)
    make = partial(memfd.make_pool, layout, HOST_PAGES)
    host = await worker.store.obtain(HOST_PAGES, make, layout=layout, mapper=MemfdMapper())
    # In a thread: pinning takes a second for some gigabytes, and the lease is beaten on this one.
    tier = HostTier(worker.store, await asyncio.to_thread(worker.loaded.page_copier, host))
    try:
        yield tier
    finally:
        tier.close()


async def _take_pages(store: StoreClient, settings: Settings, phase: Phase) -> OwnedPages:
    share = settings.prefill_pages if phase == "prefill" else settings.decode_pages
    if not settings.pool.prefix_cache:
        return OwnedPages(await take_share(store, share))
    # The rest is lent: what a predecessor put into the prefix index stays there until it is recalled.
    keep = settings.kept_pages(share)
    free = await store.acquire(keep)
    pages = OwnedPages(free, lent=share - len(free), spare=share // SPARE_PART, keep=keep)
    Lending(store, pages)
    return pages


async def _await_store(socket: Path) -> None:
    """Wait for a store to listen: pods of one release start in any order. Attaching tells of one that does not."""
    for _ in range(STORE_TRIES):
        if not nobody_listens_yet(socket):
            return
        await asyncio.sleep(STORE_RETRY_S)


async def take_share(store: StoreClient, count: int) -> list[int]:
    """Acquire exactly count pages. A predecessor's pages may come back to the store a moment later than this starts."""
    pages: list[int] = []
    while True:
        pages += await store.acquire(count - len(pages))
        if len(pages) == count:
            return pages
        await asyncio.sleep(SHARE_RETRY_S)


def page_hasher(layout: PoolLayout, store: StoreClient) -> PageHasher:
    """The same in all workers of one store."""
    return PageHasher(layout.hash, store.incarnation, layout.page_tokens)


async def serve_worker(
    launch: Launch,
    worker: Worker,
    engine: Engine,
    service: Service,
    metrics_port: int,
    stop: asyncio.Event,
    *background: Coroutine[Any, Any, None],
) -> None:
    """Serve until stop is set, then drain; background runs for as long.

    Raises what broke the engine or any of the background, or StoreLost when the store went away.
    """
    async with serve(launch.listen, [service], options=launch.listen_options) as server:
        await server.set_serving(True)
        launch.announce(server.address, metrics_port)
        stuck = watch_steps(engine, server.health, launch.settings.engine.step_timeout_s)
        watches = _watches(launch.settings)
        await serve_until(stop, server, engine.run(), _end_with(worker.store), stuck, *watches, *background)


def _watches(settings: Settings) -> list[Coroutine[Any, Any, None]]:
    """What else a worker lives only as long as."""
    if settings.engine.device != "cuda":
        return []
    from splitwiser.memory.cuda.watch import watch_gpu

    return [watch_gpu()]


async def _end_with(store: StoreClient) -> None:
    await store.lost.wait()
    raise StoreLost("the store went away: nobody knows any more whose pages are whose", help="restart the stack")


def observe_steps(
    timeline: TimelineWriter, metrics: StepMetrics, pages: OwnedPages, *others: StepObserver
) -> StepObserver:
    """Tell the timeline, the metrics and the others of every step."""

    def observe(phase: str, span: StepSpan, batch_size: int, requests: Sequence[str]) -> None:
        timeline.step(phase, span, batch_size, requests, pages_in_use=pages.in_use_count)
        metrics.step(span, batch_size)
        for other in others:
            other(phase, span, batch_size, requests)

    return observe
