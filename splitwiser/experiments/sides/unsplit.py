"""Owns the stack without a split: whole engines, one process each, for comparison. No router, no hand-off, and a store
only where they share their weights."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from splitwiser.config.check import check_settings
from splitwiser.config.schema import Settings
from splitwiser.engine.unsplit.vllm import SHARED
from splitwiser.errors import ConfigurationError
from splitwiser.stack.card import read_card
from splitwiser.stack.child import Child
from splitwiser.stack.gpu_sharing import gpu_sharing
from splitwiser.stack.health import is_serving
from splitwiser.stack.run_dir import RunDir
from splitwiser.stack.services import ServiceSpec, Tier, services_of
from splitwiser.stack.supervisor import Supervisor

MODULE = "splitwiser.experiments.unsplit"


class UnsplitStack:
    """Use as a context; inside, every engine is ready. Each has the whole pool's worth of cache, divided by instances.

    On a GPU, gpu.sharing=mps makes them clients of one daemon, with decode's priority and cap.
    """

    def __init__(self, settings: Settings, instances: int, shared_weights: bool = False) -> None:
        run_dir = settings.run_dir.expanduser().absolute()
        pages = max(1, settings.pool.pages // instances)
        pool = settings.pool.model_copy(update={"pages": pages})
        self._settings = settings.model_copy(update={"run_dir": run_dir, "pool": pool})
        self._shared_weights = shared_weights
        self._instances = [f"unsplit-{index}" for index in range(instances)]
        self._run_dir = RunDir(run_dir)
        self._supervisor = Supervisor()
        self._exit = AsyncExitStack()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Each engine's gRPC address."""
        return tuple(self._supervisor.status[name].address for name in self._instances)

    async def __aenter__(self) -> Self:
        check_settings(self._settings)
        self._check_sharing()
        self._run_dir.make()
        async with AsyncExitStack() as undo:
            undo.enter_context(self._run_dir.locked())
            self._run_dir.write_resolved(self._settings.model_dump_json(indent=2))
            if self._settings.engine.device == "cuda":
                await self._check_memory()
            environments = await undo.enter_async_context(gpu_sharing(self._settings, self._run_dir))
            undo.push_async_callback(self._supervisor.stop)
            environment = dict(environments.get("decode", {}))
            if self._shared_weights:
                environment[SHARED] = str(self._run_dir.resolved)
                store, *_ = services_of(self._settings, self._run_dir)
                await self._supervisor.start([self._child_of(store)])
            await self._supervisor.start([self._child(name, environment) for name in self._instances])
            self._exit = undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.__aexit__(kind, error, trace)

    def _check_sharing(self) -> None:
        if self._shared_weights and self._settings.engine.kind != "vllm":
            raise ConfigurationError(
                f"the unsplit {self._settings.engine.kind} engine has weights of its own",
                field="shared_weights",
                help="leave it out, or take engine.kind=vllm",
            )

    async def _check_memory(self) -> None:
        """Each instance has a cache and work of its own, and weights unless they are shared."""
        from splitwiser.mps.gpu import read_gpu
        from splitwiser.stack.gpu_budget import budget

        gpu = await asyncio.to_thread(read_gpu)
        if gpu.total_bytes:
            one, count = await asyncio.to_thread(budget, self._settings, gpu.free_bytes), len(self._instances)
            copies = 1 if self._shared_weights else count
            replace(
                one,
                weights_bytes=one.weights_bytes * copies,
                pool_bytes=one.pool_bytes * count,
                working_bytes=one.working_bytes * count,
                host_bytes=one.host_bytes * copies,
                host_pages_bytes=0,
            ).check()

    def _child(self, instance: str, environment: Mapping[str, str]) -> Child:
        run_dir = self._run_dir

        async def probe(pid: int) -> str:
            card = read_card(run_dir.root, instance)
            return card.address if card and card.pid == pid and await is_serving(card.address) else ""

        command = (sys.executable, "-P", "-m", MODULE, "--config", str(run_dir.resolved), "--instance", instance)
        listen = ("--listen", f"unix:{run_dir.socket(instance)}")
        return self._child_of(ServiceSpec(instance, "unsplit", Tier.WORKER, (*command, *listen), probe, environment))

    def _child_of(self, spec: ServiceSpec) -> Child:
        stack = self._settings.stack
        return Child(
            spec,
            self._run_dir,
            start_timeout_s=stack.start_timeout_s,
            stop_timeout_s=stack.stop_timeout_s,
            on_change=lambda status: None,
        )
