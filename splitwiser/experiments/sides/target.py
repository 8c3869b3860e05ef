"""Owns what a measurement sees of a side: where to send requests, and, of a stack of its own, its processes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from splitwiser.bench.temporary import temporary_settings
from splitwiser.config.load import load_settings
from splitwiser.config.schema import Settings
from splitwiser.experiments.definition import Side
from splitwiser.experiments.sides.unsplit import UnsplitStack
from splitwiser.rpc.certificate import check_certificate
from splitwiser.rpc.client import PLAINTEXT, Client
from splitwiser.stack.local import LocalStack

if TYPE_CHECKING:
    from splitwiser.v1 import inference_pb2


@dataclass(frozen=True, slots=True)
class Target:
    """A side that answers. stack is None where it is not split, run_dir is None where it runs elsewhere."""

    name: str
    clients: tuple[Client, ...]
    model: "inference_pb2.GetModelResponse"
    settings: Settings | None = None
    run_dir: Path | None = None
    stack: LocalStack | None = None
    salt: str = ""
    """Goes into the seeds of prompts: no two measurements have a prompt in common, which a cache would remember."""


@asynccontextmanager
async def open_side(name: str, side: Side, settings: Settings) -> AsyncIterator[Target]:
    """Start a side, in a folder that goes with it, and stop it. Raises StartupError when it does not start."""
    async with AsyncExitStack() as running:
        own = running.enter_context(temporary_settings(settings))
        if side.stack == "split":
            stack = await running.enter_async_context(LocalStack(own))
            yield await _target(running, name, (stack.address,), own, stack)
        else:
            engines = await running.enter_async_context(UnsplitStack(own, side.instances, side.shared_weights))
            yield await _target(running, name, engines.addresses, own, None)


@asynccontextmanager
async def open_endpoint(name: str, address: str) -> AsyncIterator[Target]:
    """A running stack by its router's address, over TLS where that is set."""
    async with AsyncExitStack() as running:
        tls = load_settings().tls
        check_certificate(tls)
        client = await running.enter_async_context(Client(address, tls))
        yield Target(name, (client,), await client.get_model())


async def _target(
    running: AsyncExitStack, name: str, addresses: tuple[str, ...], settings: Settings, stack: LocalStack | None
) -> Target:
    # Whole engines listen on sockets of this machine alone.
    tls = settings.tls if stack else PLAINTEXT
    clients = tuple([await running.enter_async_context(Client(address, tls)) for address in addresses])
    return Target(name, clients, await clients[0].get_model(), settings, settings.run_dir, stack)
