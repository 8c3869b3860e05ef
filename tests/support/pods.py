"""Owns services that are started one by one, as pods are: over TCP, with a partial settings file, by their flags."""

import asyncio
import json
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from splitwiser.stack.card import Card, read_card
from tests.support.sockets import socket_folder
from tests.support.stack import PATIENT_REDIS

START_TIMEOUT_S = 60.0
FAST = {"prefill_us_per_token": 1.0, "decode_step_us": 200.0, "decode_us_per_sequence": 1.0}


@dataclass
class Pod:
    """One service's process, ready when it was handed out."""

    process: asyncio.subprocess.Process
    card: Card
    log: Path

    @property
    def address(self) -> str:
        return self.card.address

    async def metric(self, name: str) -> float:
        """The sum over all samples of this name."""
        families = text_string_to_metric_families(await asyncio.to_thread(_scrape, self.card.metrics_port))
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, timeout_s: float = 60.0) -> int:
        """Its exit code."""
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()


def _scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


@dataclass
class Pods:
    """The services of one release, on one store."""

    folder: Path
    config: Path
    pods: list[Pod] = field(default_factory=list)

    async def start(self, service: str, instance: str, *flags: str, wrapper: tuple[str, ...] = ()) -> Pod:
        """Start a service and wait for its card. wrapper: a command that runs the one that follows it."""
        log = self.folder / f"{instance}.log"
        command = (*wrapper, sys.executable, "-m", f"services.{service}", "--config", str(self.config))
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command, "--instance", instance, *flags, stdout=output, stderr=output
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not (card := read_card(self.folder, instance)) or card.pid != process.pid:
                    assert process.returncode is None, log.read_text()
                    await asyncio.sleep(0.02)
        except BaseException:
            if process.returncode is None:
                process.kill()
            await process.wait()
            raise
        self.pods.append(pod := Pod(process, card, log))
        return pod

    async def stop(self) -> None:
        """End all that still run, the last first."""
        for pod in reversed(self.pods):
            if pod.process.returncode is None:
                pod.process.kill()
            await pod.process.wait()


@asynccontextmanager
async def running_pods(redis_url: str, **sections: Any) -> AsyncIterator[Pods]:
    """A store, and these sections of settings for whatever is started beside them."""
    with socket_folder() as folder:
        settings = {
            "run_dir": str(folder),
            "engine": {"kind": "sim"},
            "sim": FAST,
            "redis": PATIENT_REDIS | {"url": redis_url},
        }
        config = folder / "settings.json"
        config.write_text(json.dumps({**settings, **sections}))
        pods = Pods(folder, config)
        try:
            await pods.start("store", "store")
            yield pods
        finally:
            await pods.stop()
