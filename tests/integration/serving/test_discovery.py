"""Workers behind a name come and go while the router serves: none of it costs a request.

The router runs in a mount namespace with a hosts file of its own, so that names are asked as everywhere, through the
system's resolver, and the test says what they answer.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import StopConditions
from tests.support.pods import Pod, Pods, running_pods
from tests.support.sockets import free_port
from tests.support.waiting import PATIENCE_S

FILE_BYTES = 1024
MOUNT_HOSTS = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


def can_mount() -> bool:
    """Whether this user may have a mount namespace: root may, in most containers."""
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_mount(), reason="a hosts file of the router's own needs root")


class Hosts:
    """What names answer, changed in place: the router's namespace has this very file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: dict[str, list[str]] = {"prefill": [], "decode": []}
        self.write()

    def write(self) -> None:
        lines = [f"{address} {name}\n" for name, addresses in self.names.items() for address in addresses]
        text = "".join(["127.0.0.1 localhost\n", *lines])
        # One write of one length: nobody ever reads half a file.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(descriptor, text.ljust(FILE_BYTES, "\n").encode(), 0)
        os.close(descriptor)


@pytest.fixture
async def pods(redis_url: str) -> AsyncIterator[Pods]:
    sections = {"prefill": {"workers": 3}, "decode": {"workers": 2}, "router": {"resolve_every_s": 0.2}}
    async with running_pods(redis_url, **sections) as pods:
        yield pods


async def generate(client: Client, text: str, max_tokens: int) -> int:
    request = GenerateRequest(text=text, stop=StopConditions(max_tokens=max_tokens, ignore_eos=True))
    async with aclosing(client.generate(request, timeout_s=60)) as messages:
        return sum([len(message.token_ids) async for message in messages])


class Load:
    """Requests without end, eight at a time, each of which must come out whole."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ending = False
        self.done = 0

    async def _visitor(self, number: int) -> None:
        while not self._ending:
            assert await generate(self._client, f"request {number} {self.done}", 40) == 40
            self.done += 1

    async def __aenter__(self) -> "Load":
        self._visitors = [asyncio.create_task(self._visitor(number)) for number in range(8)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        await asyncio.gather(*self._visitors)

    async def more(self, requests: int = 40) -> None:
        """Return after so many more."""
        goal = self.done + requests
        async with asyncio.timeout(PATIENCE_S):
            while self.done < goal:
                assert not any(visitor.done() for visitor in self._visitors)
                await asyncio.sleep(0.01)


async def requests_of(pod: Pod) -> int:
    """How many prompts a prefill worker, or claims a decode worker, has had."""
    names = {"prefill": "splitwiser_request_prefill_time_seconds_count", "decode": "splitwiser_kv_claims_total"}
    return int(await pod.metric(names[pod.card.service]))


async def until_busy(pod: Pod) -> None:
    """Wait until a worker has had a request."""
    async with asyncio.timeout(PATIENCE_S):
        while await requests_of(pod) == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def quiet(pod: Pod) -> None:
    """Wait until a worker gets nothing more."""
    before = -1
    async with asyncio.timeout(PATIENCE_S):
        while (now := await requests_of(pod)) != before:
            before = now
            await asyncio.sleep(0.5)


@pytest.mark.slow
async def test_workers_come_and_go_under_load(pods: Pods) -> None:
    port, hosts = free_port(), Hosts(pods.folder / "hosts")
    prefill = [
        await pods.start("prefill", f"prefill-{index}", "--listen", f"127.0.0.{11 + index}:{port}")
        for index in range(3)
    ]
    decode = [
        await pods.start("decode", f"decode-{index}", "--listen", f"127.0.0.{21 + index}:{port}") for index in range(2)
    ]
    flags = ("--listen", "127.0.0.1:0", "--prefill", f"dns:prefill:{port}", "--decode", f"dns:decode:{port}")
    wrapper = ("unshare", "--mount", "sh", "-c", MOUNT_HOSTS, "sh", str(hosts.path))
    router = await pods.start("router", "router", *flags, wrapper=wrapper)
    async with Client(router.address) as client:
        early = asyncio.create_task(generate(client, "before there is any worker", 5))
        await asyncio.sleep(0.5)
        assert not early.done()
        hosts.names = {"prefill": ["127.0.0.11"], "decode": ["127.0.0.21"]}
        hosts.write()
        assert await early == 5
        async with Load(client) as load:
            await load.more()
            assert await requests_of(prefill[1]) == await requests_of(decode[1]) == 0
            hosts.names = {"prefill": ["127.0.0.11", "127.0.0.12"], "decode": ["127.0.0.21", "127.0.0.22"]}
            hosts.write()
            await until_busy(prefill[1])
            await until_busy(decode[1])
            long = [asyncio.create_task(generate(client, f"long {index}", 2000)) for index in range(4)]
            await load.more()
            hosts.names = {"prefill": ["127.0.0.12", "127.0.0.13"], "decode": ["127.0.0.22"]}
            hosts.write()
            await until_busy(prefill[2])
            assert await asyncio.gather(*long) == [2000] * 4, "those at the worker that left finish there"
            await asyncio.gather(quiet(prefill[0]), quiet(decode[0]))
            prefill[0].process.kill()
            decode[0].process.kill()
            await load.more()
    assert f"127.0.0.11:{port} is found no more" in router.log.read_text()
