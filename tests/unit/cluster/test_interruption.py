"""A Job that the cluster has made is deleted, even by one who was interrupted before he was told of it."""

import asyncio
from typing import Any, cast

import pytest

from splitwiser.cluster.api import Cluster
from splitwiser.cluster.submit import Submission
from splitwiser.errors import StartupError


class SlowCluster:
    """Makes a Job at once, and says so when it is let."""

    namespace = "default"

    def __init__(self, refuse: StartupError | None = None) -> None:
        self.jobs: list[str] = []
        self.asked, self.answers = asyncio.Event(), asyncio.Event()
        self._refuse = refuse

    async def create(self, job: dict[str, Any]) -> str:
        self.asked.set()
        if self._refuse:
            raise self._refuse
        self.jobs.append("job")
        await self.answers.wait()
        return "job"

    async def delete(self, name: str) -> None:
        self.jobs.remove(name)


class Silent:
    def state(self, words: str) -> None: ...
    def line(self, text: str) -> None: ...


def submission(cluster: SlowCluster) -> Submission:
    return Submission(cast("Cluster", cluster), Silent(), start_timeout_s=10)


async def test_one_who_is_interrupted_while_it_is_made_deletes_it() -> None:
    cluster = SlowCluster()
    running = asyncio.create_task(submission(cluster).run({}))
    await cluster.asked.wait()
    running.cancel()
    await asyncio.sleep(0)
    assert cluster.jobs == ["job"]
    cluster.answers.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cluster.jobs == []


async def test_one_that_was_not_made_is_not_deleted() -> None:
    with pytest.raises(StartupError, match="forbidden"):
        await submission(SlowCluster(StartupError("forbidden", help=""))).run({})
