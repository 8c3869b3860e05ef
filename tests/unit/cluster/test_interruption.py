"""A Job that the cluster has made is deleted, even by one who was interrupted before he was told of it."""

import asyncio
from typing import Any, cast

import pytest

from splitwiser.cluster.api import Cluster
from splitwiser.cluster.submit import SILENCE_S, Submission
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


class AwayCluster(SlowCluster):
    """Made the Job, and answers no question about it from then on."""

    def __init__(self) -> None:
        super().__init__()
        self.answers.set()
        self.questions = 0

    async def pod(self, job: str) -> None:
        self.questions += 1
        raise StartupError("the cluster does not answer", help="")


async def test_one_that_nobody_can_ask_about_is_given_up_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock by which each question takes ten seconds."""
    cluster = AwayCluster()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 10.0 * cluster.questions)
    monkeypatch.setattr("splitwiser.cluster.submit.POLL_S", 0)
    with pytest.raises(StartupError, match="does not answer"):
        await submission(cluster).run({})
    assert cluster.questions == SILENCE_S // 10 + 1
    assert cluster.jobs == []
