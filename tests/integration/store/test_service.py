"""The store as the process that people run: card, metrics, health, exit codes, and none of the engines' weight."""

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from splitwiser.memory import memfd
from splitwiser.store.client import StoreClient
from tests.support.processes import child
from tests.support.store import LAYOUT, grant
from tests.support.store_service import store_command, store_service

LEASE_S = 3.0


async def test_the_service_serves_tells_and_leaves_cleanly(folder: Path) -> None:
    async with store_service(folder, "--listen", f"unix:{folder}/grpc.sock") as (process, card):
        assert (card.service, card.pid, card.address) == ("store", process.pid, f"unix:{folder}/store.sock")
        client = await StoreClient.connect(folder / "store.sock", "prefill", "test", beat_s=0.1)
        await client.obtain("pool", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)
        await grant(client, "request", (await client.acquire(5))[:2])
        metrics = await asyncio.to_thread(scrape, card.metrics_port)
        assert 'splitwiser_kv_pages{state="granted"} 2.0' in metrics
        assert 'splitwiser_kv_pages{state="free"} 59.0' in metrics
        assert 'splitwiser_store_connections{role="prefill"} 1.0' in metrics
        async with grpc.aio.insecure_channel(f"unix:{folder}/grpc.sock") as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        await client.lost.wait()
        await client.close()
        assert not (folder / "store.sock").exists()


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return str(answer.read().decode())


async def test_a_second_store_is_refused_and_a_killed_ones_socket_replaced(folder: Path) -> None:
    async with store_service(folder) as (process, card):
        second = await asyncio.to_thread(
            subprocess.run, store_command(folder), capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "another store listens" in second.stderr
        assert "help: " in second.stderr
        process.kill()
        await process.wait()
    (folder / "services" / "store.json").unlink()
    async with store_service(folder) as (_, successor):
        assert successor.pid != card.pid
        client = await StoreClient.connect(folder / "store.sock", "observer", "test", beat_s=0.1)
        await client.close()


async def test_a_stack_that_was_stopped_as_a_whole_goes_on(folder: Path) -> None:
    async with store_service(folder, lease_s=LEASE_S) as (store, _):
        path = folder / "store.sock"
        async with child("tests.support.store_worker", str(path), "decode", "8", "0") as worker:
            await worker.line()
            for process in (worker.process, store):
                process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(1.5 * LEASE_S)
            store.send_signal(signal.SIGCONT)
            await asyncio.sleep(LEASE_S / 4)
            worker.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(LEASE_S)
            watcher = await StoreClient.connect(path, "observer", "test", beat_s=0.1)
            assert (await watcher.counts()).decode == 8
            await watcher.close()


def test_the_store_never_loads_an_engines_libraries() -> None:
    code = "import json, sys, services.store.server; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not {"torch", "transformers", "numpy", "tokenizers", "redis"} & set(loaded)
