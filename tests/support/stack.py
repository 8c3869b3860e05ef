"""Owns whole stacks for tests: real processes that start once for a module, and what they hold at the end."""

import asyncio
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import redis.asyncio as redis
from prometheus_client.parser import text_string_to_metric_families

from splitwiser.config.schema import Settings
from splitwiser.kv.owner import Counts
from splitwiser.stack.card import read_cards
from splitwiser.stack.local import LocalStack
from splitwiser.store.client import StoreClient
from tests.support.sockets import socket_folder
from tests.support.waiting import PATIENCE_S, until

START_TIMEOUT_S = 300
PATIENT_REDIS = {"open_timeout_s": 20}
"""A new request waits for Redis also where the machine stands still for longer than its own timeout."""


class RunningStack:
    """A stack whose services are ready. It lives on a thread of its own, as its tests' event loops come and go."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self.settings = stack.settings

    @property
    def address(self) -> str:
        """The router's; another one after its restart."""
        return self._stack.address

    @property
    def http_url(self) -> str:
        """The router's HTTP API."""
        return f"http://{self._stack.http_address}"

    def pid(self, instance: str) -> int:
        """The process id of one service, now."""
        return self._stack.services[instance].pid

    @property
    def services(self) -> list[str]:
        """The instances, in the order of their start."""
        return [*self._stack.services]

    def spare_pid(self, instance: str) -> int:
        """The process id of its spare, now; 0 when there is none."""
        return self._stack.services[instance].spare_pid

    def is_ready(self, instance: str) -> bool:
        return self._stack.services[instance].state == "ready"

    def kill(self, instance: str) -> int:
        """Returns the process id of the one that died."""
        pid = self.pid(instance)
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_back(self, instance: str, dead_pid: int) -> bool:
        """Whether another process serves in the place of the dead one, whose end may not have been noticed yet."""
        return self.pid(instance) != dead_pid and self.is_ready(instance)

    async def back(self, instance: str, dead_pid: int, timeout_s: float = PATIENCE_S) -> float:
        """Wait until another process serves in the place of the dead one. Returns how many seconds that took."""
        return await until(lambda: self.is_back(instance, dead_pid), timeout_s)

    async def replace(self, instance: str) -> float:
        """Kill it, and wait until another process serves in its place."""
        return await self.back(instance, self.kill(instance))

    async def counts(self) -> Counts:
        """Where the store says that the pages are."""
        socket = self.settings.run_dir / self.settings.store.socket
        observer = await StoreClient.connect(socket, "observer", "test", beat_s=self.settings.store.beat_s)
        try:
            return await observer.counts()
        finally:
            await observer.close()

    async def redis_keys(self) -> int:
        """Keys that the stack's own Redis holds."""
        async with redis.from_url(self.settings.redis.url) as client:
            return int(await client.dbsize())

    def pages_in_use(self) -> int:
        """Pages that the workers' engines hold for requests, by their metrics."""
        return int(sum(self.metric(phase, "splitwiser_kv_pages", state="in_use") for phase in ("prefill", "decode")))

    def pages_saved(self) -> int:
        """Pages that this stack's prefill workers, those that run now, have copied to the host."""
        return int(self.metric("prefill", "splitwiser_kv_pages_saved_total"))

    def metric(self, service: str, name: str, **labels: str) -> float:
        """A metric's value, summed over the service's processes. Blocks."""
        cards = [card for card in read_cards(self.settings.run_dir).values() if card.service == service]
        return sum(_sample(card.metrics_port, name, labels) for card in cards)

    async def assert_nothing_is_left(self) -> None:
        """Wait until no page is granted, in use or missing, and Redis is empty."""
        give_up_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_s:
            counts, keys, in_use = await self.counts(), await self.redis_keys(), self.pages_in_use()
            unread = counts.free + counts.prefill + counts.decode + counts.cached
            if counts.granted == in_use == keys == 0 and unread == counts.total:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"left behind: {counts}, {in_use} pages in use, {keys} keys")


def _sample(metrics_port: int, name: str, labels: dict[str, str]) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=PATIENCE_S) as answer:
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels.items() >= labels.items():
                    return float(sample.value)
    raise AssertionError(f"no {name}")


@contextmanager
def running_stack(**sections: object) -> Iterator[RunningStack]:
    """A sim stack with these sections of settings instead of its own, for the length of the block."""
    with socket_folder() as folder:
        fast = {"prefill_us_per_token": 1.0, "decode_step_us": 200.0, "decode_us_per_sequence": 1.0}
        defaults = {
            "engine": {"kind": "sim"},
            "router": {"listen": "127.0.0.1:0"},
            "sim": fast,
            "redis": PATIENT_REDIS,
            "stack": {"spares": "off"},
        }
        settings = Settings.model_validate({"run_dir": folder / "run", **defaults, **sections})
        with _on_a_thread(LocalStack(settings)) as stack:
            yield stack


@contextmanager
def _on_a_thread(stack: LocalStack) -> Iterator[RunningStack]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stack")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(stack.__aenter__(), loop).result(START_TIMEOUT_S)
        try:
            yield RunningStack(stack)
        finally:
            asyncio.run_coroutine_threadsafe(stack.__aexit__(None, None, None), loop).result(START_TIMEOUT_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
