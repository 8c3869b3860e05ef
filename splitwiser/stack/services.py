"""Owns the list of one local stack's processes: what each runs, when it starts, and how it shows that it is ready.

Services are named, never imported: the library knows only how to call them.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from pathlib import Path

from splitwiser.config.schema import Settings
from splitwiser.stack.card import read_card
from splitwiser.stack.health import is_serving
from splitwiser.stack.redis_server import is_answering, redis_command
from splitwiser.stack.run_dir import RunDir

Probe = Callable[[int], Awaitable[str]]
"""Takes the process id; returns the address once the service is ready, and nothing before."""
Environments = Mapping[str, Mapping[str, str]]
"""Variables by service, on top of those that all processes of the stack inherit."""


class Tier(IntEnum):
    """Who needs whom: a service needs those of lower tiers. Stacks stop from the highest tier down."""

    REDIS = 0
    STORE = 1
    WORKER = 2
    ROUTER = 3


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One process of the stack."""

    instance: str
    service: str
    tier: Tier
    command: tuple[str, ...]
    probe: Probe
    environment: Mapping[str, str] = field(default_factory=dict)
    has_spare: bool = False

    @property
    def spare_command(self) -> tuple[str, ...]:
        """A process that waits for its turn to be this one."""
        return (*self.command, "--spare")

    @property
    def restarts(self) -> bool:
        """Whether it may come back alone. Redis and store may not: what they knew of requests and pages is gone."""
        return self.tier >= Tier.WORKER


def redis_service(binary: Path, run_dir: RunDir) -> ServiceSpec:
    """The stack's own Redis."""

    async def probe(_: int) -> str:
        return f"unix:{run_dir.redis_socket}" if await is_answering(run_dir.redis_socket) else ""

    return ServiceSpec("redis", "redis", Tier.REDIS, redis_command(binary, run_dir.redis_socket), probe)


def services_of(
    settings: Settings, run_dir: RunDir, package: str = "services", environments: Environments | None = None
) -> tuple[ServiceSpec, ...]:
    """Store, workers and router. package holds the services' modules; environments is what services start with."""
    spares = settings.stack.spares == "on" or (settings.stack.spares == "auto" and settings.engine.kind != "sim")
    python = partial(_python_service, package, run_dir, environments or {}, spares)
    prefill = [f"prefill-{index}" for index in range(settings.prefill.workers)]
    decode = [f"decode-{index}" for index in range(settings.decode.workers)]
    router_flags = [
        *(part for instance in prefill for part in ("--prefill", f"unix:{run_dir.socket(instance)}")),
        *(part for instance in decode for part in ("--decode", f"unix:{run_dir.socket(instance)}")),
    ]
    workers = [
        *(python("prefill", instance, Tier.WORKER, *_listen(run_dir, instance)) for instance in prefill),
        *(python("decode", instance, Tier.WORKER, *_listen(run_dir, instance)) for instance in decode),
    ]
    if settings.gpu.sharing == "single":
        workers = [python("single", "single", Tier.WORKER, *router_flags, cards=(*prefill, *decode))]
    return (
        python("store", "store", Tier.STORE, "--listen", f"unix:{run_dir.store_health}"),
        *workers,
        python("router", "router", Tier.ROUTER, *router_flags, "--health-listen", f"unix:{run_dir.router_health}"),
    )


def _listen(run_dir: RunDir, instance: str) -> tuple[str, ...]:
    return ("--instance", instance, "--listen", f"unix:{run_dir.socket(instance)}")


def _python_service(
    package: str,
    run_dir: RunDir,
    environments: Environments,
    spares: bool,
    service: str,
    instance: str,
    tier: Tier,
    *flags: str,
    cards: Sequence[str] = (),
) -> ServiceSpec:
    """cards: whose cards the process writes, if not its own alone."""

    async def probe(pid: int) -> str:
        addresses = [await _address(run_dir, name, tier, pid) for name in cards or (instance,)]
        return addresses[0] if all(addresses) else ""

    # -P: a folder called like the package, where the user happens to be, is not it.
    command = (sys.executable, "-P", "-m", f"{package}.{service}", "--config", str(run_dir.resolved), *flags)
    environment = environments.get(service, {})
    return ServiceSpec(instance, service, tier, command, probe, environment, spares and tier is Tier.WORKER)


async def _address(run_dir: RunDir, instance: str, tier: Tier, pid: int) -> str:
    card = read_card(run_dir.root, instance)
    # A card of another process is one that a killed predecessor left.
    if card is None or card.pid != pid:
        return ""
    # The store's own socket speaks frames, the router's address perhaps TLS: their health has another.
    own = {Tier.STORE: run_dir.store_health, Tier.ROUTER: run_dir.router_health}
    health = f"unix:{own[tier]}" if tier in own else card.address
    return card.address if await is_serving(health) else ""
