"""Owns the local stack: Redis, store, workers and router of one machine, as processes that live as long as it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from splitwiser.config.schema import Settings
from splitwiser.errors import StartupError
from splitwiser.stack.card import read_card
from splitwiser.stack.child import POLL_S, Child, ServiceStatus
from splitwiser.stack.gpu_sharing import gpu_sharing
from splitwiser.stack.preflight import check_environment
from splitwiser.stack.redis_server import find_redis_server, redis_url
from splitwiser.stack.run_dir import RunDir
from splitwiser.stack.services import Environments, ServiceSpec, Tier, redis_service, services_of
from splitwiser.stack.supervisor import Supervisor


class LocalStack:
    """Use as `async with LocalStack(settings) as stack`: inside, every service is ready; after, no process is left.

    on_change is told of every change of a service. Entering raises ConfigurationError or StartupError, and then
    nothing is left running either.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_change: Callable[[ServiceStatus], None] = lambda status: None,
        package: str = "services",
    ) -> None:
        self._owns_redis = not settings.redis.url
        self.settings = _resolve(settings)
        self._run_dir = RunDir(self.settings.run_dir)
        self._on_change = on_change
        self._package = package
        self._exit = AsyncExitStack()
        self._supervisor = Supervisor()

    @property
    def address(self) -> str:
        """The router's gRPC address."""
        return self._supervisor.status["router"].address

    @property
    def http_address(self) -> str:
        """HOST:PORT of the router's HTTP API; empty without one."""
        card = read_card(self._run_dir.root, "router")
        return card.http_address if card else ""

    @property
    def services(self) -> Mapping[str, ServiceStatus]:
        """Every service by instance: redis, store, prefill-0, decode-0, router, ..."""
        return self._supervisor.status

    @property
    def unprepared(self) -> Sequence[str]:
        """Services that are not ready, or whose spare is not ready to take over: a start does not wait for spares."""
        return self._supervisor.unprepared

    async def prepared(self) -> None:
        """Wait until no service is unprepared. Raises StartupError after stack.start_timeout_s."""
        timeout_s = self.settings.stack.start_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                while self.unprepared:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            who = ", ".join(self.unprepared)
            raise StartupError(
                f"{who}: not ready, or without a spare that is, after {timeout_s:g} s more",
                help=f"see the logs in {self._run_dir.root / 'logs'}; if it takes longer, raise stack.start_timeout_s",
            ) from None

    async def wait(self) -> None:
        """Wait until the stack cannot go on, and raise why: StoreLost or RegistryUnavailable."""
        await self._supervisor.wait()

    async def check(self, *, makes_model: bool = False) -> None:
        """Check settings and machine as a start would, and start nothing. Raises ConfigurationError or StartupError.

        makes_model: where none is named, a start makes one first.
        """
        self._run_dir.make()
        with self._run_dir.locked():
            await check_environment(self.settings, own_redis=self._owns_redis, makes_model=makes_model)

    async def __aenter__(self) -> Self:
        run_dir = self._run_dir
        run_dir.make()
        async with AsyncExitStack() as undo:
            # Once, for all of it: a lock that is let go may live on for a moment in a process just forked elsewhere.
            undo.enter_context(run_dir.locked())
            await check_environment(self.settings, own_redis=self._owns_redis)
            run_dir.clear()
            run_dir.forget()
            undo.callback(run_dir.clear)
            run_dir.write_resolved(self.settings.model_dump_json(indent=2))
            environments = await undo.enter_async_context(gpu_sharing(self.settings, run_dir))
            undo.push_async_callback(self._supervisor.stop)
            await self._start(environments)
            self._exit = undo.pop_all()
        return self

    async def _start(self, environments: Environments) -> None:
        """Bottom up; workers and router side by side, as the workers are slow to load their model."""
        store, *rest = services_of(self.settings, self._run_dir, self._package, environments)
        assert store.tier is Tier.STORE
        if self._owns_redis:
            await self._supervisor.start([self._child(redis_service(find_redis_server(), self._run_dir))])
        await self._supervisor.start([self._child(store)])
        await self._supervisor.start([self._child(spec) for spec in rest])

    def _child(self, spec: ServiceSpec) -> Child:
        return Child(
            spec,
            self._run_dir,
            start_timeout_s=self.settings.stack.start_timeout_s,
            stop_timeout_s=self.settings.stack.stop_timeout_s,
            on_change=self._on_change,
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.__aexit__(kind, error, trace)


def _resolve(settings: Settings) -> Settings:
    """The settings as every service shall read them, wherever it runs."""
    root = settings.run_dir.expanduser().absolute()
    redis = settings.redis.model_copy(update={"url": settings.redis.url or redis_url(RunDir(root).redis_socket)})
    return settings.model_copy(update={"run_dir": root, "redis": redis})
