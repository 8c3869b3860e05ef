"""Owns the children of a stack together: started side by side, watched, stopped in order."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby

from splitwiser.stack.child import Child, ServiceStatus


class Supervisor:
    """The children of one stack."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def status(self) -> Mapping[str, ServiceStatus]:
        """Every service by instance, in the order of their start."""
        return {child.spec.instance: child.status for child in self._children}

    @property
    def unprepared(self) -> Sequence[str]:
        """Services that are not ready, or whose spare is not ready to take over."""
        return [child.spec.instance for child in self._children if not child.is_prepared]

    async def start(self, children: Sequence[Child]) -> None:
        """Start these side by side, wait until all are ready, and keep them so. Raises the first failure."""
        self._children += children
        try:
            async with asyncio.TaskGroup() as group:
                for child in children:
                    group.create_task(child.start())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        self._keepers += [asyncio.create_task(child.keep()) for child in children]

    async def wait(self) -> None:
        """Wait until the stack cannot go on, and raise why."""
        done, _ = await asyncio.wait(self._keepers, return_when=asyncio.FIRST_COMPLETED)
        for keeper in done:
            keeper.result()

    async def stop(self) -> None:
        """Stop every child, the highest tier first, and return when none is left. Cancelled, it kills undrained."""
        try:
            for keeper in self._keepers:
                keeper.cancel()
            await asyncio.gather(*self._keepers, return_exceptions=True)
            top_down = sorted(self._children, key=lambda child: -child.spec.tier)
            for _, tier in groupby(top_down, key=lambda child: child.spec.tier):
                await asyncio.gather(*(child.stop() for child in tier))
        finally:
            await asyncio.gather(*(child.end() for child in self._children))
