"""What workers tell the registry never holds a hand-off up, and what the registry says of it changes nothing."""

import asyncio

from splitwiser.errors import RegistryUnavailable, StaleHandle
from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.kv.reports import Reports
from tests.support.waiting import until

HANDLE = KvHandle("store", "r1", Epoch(7, 1), (1, 2), 9, "hash", 0)


class HeldRegistry:
    """Answers when it is told to, with the error that it is told to raise."""

    def __init__(self, error: Exception | None = None) -> None:
        self.answers = asyncio.Event()
        self.told: list[str] = []
        self._error = error

    async def grant(self, request_id: str, handle: KvHandle) -> None:
        await self._tell(f"grant {request_id}")

    async def claim(self, request_id: str, epoch: Epoch) -> None:
        await self._tell(f"claim {request_id} {epoch.counter}")

    async def _tell(self, what: str) -> None:
        await self.answers.wait()
        self.told.append(what)
        if self._error:
            raise self._error


async def reported(registry: HeldRegistry) -> int:
    """Report a grant and a claim while the registry is silent, then let it answer; returns the failures."""
    failures = 0

    def failed() -> None:
        nonlocal failures
        failures += 1

    reports = Reports(registry, failed)  # type: ignore[arg-type]
    reports.granted(HANDLE)
    reports.claimed("r1", HANDLE.epoch)
    assert registry.told == []
    registry.answers.set()
    await until(lambda: len(registry.told) == 2)
    # What is made of the last answer.
    await asyncio.sleep(0.01)
    assert registry.told == ["grant r1", "claim r1 1"]
    return failures


async def test_nobody_waits_for_a_silent_registry() -> None:
    assert await reported(HeldRegistry()) == 0


async def test_a_registry_that_does_not_answer_is_counted() -> None:
    assert await reported(HeldRegistry(RegistryUnavailable("away", help="wait"))) == 2


async def test_what_the_store_let_through_is_not_judged_again() -> None:
    assert await reported(HeldRegistry(StaleHandle("claimed", help="again"))) == 0
