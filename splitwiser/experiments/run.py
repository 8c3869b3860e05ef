"""Owns a run: sides started, measured in turn, every sample saved as soon as it is there, and gone on with later."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from splitwiser.experiments.busy import sampled
from splitwiser.experiments.definition import Definition
from splitwiser.experiments.goodput import add_goodput
from splitwiser.experiments.load import Sender, equal_requests
from splitwiser.experiments.machine import now
from splitwiser.experiments.measure import measure_of
from splitwiser.experiments.profile import is_wanted, profile
from splitwiser.experiments.result import Result, Sample, write_result
from splitwiser.experiments.schedule import Task, count, tasks
from splitwiser.experiments.sides.daemon import one_daemon
from splitwiser.experiments.sides.target import Target, open_endpoint, open_side
from splitwiser.experiments.steps import excerpt, pages_in_use, steps_since


@dataclass(frozen=True, slots=True)
class Progress:
    """Told of a run as it goes."""

    say: Callable[[str], None]
    step: Callable[[int, int, str], None]
    """Measurements that are done, of how many, and what comes next."""


class Run:
    """Takes samples into result, which is in folder after each of them."""

    def __init__(self, definition: Definition, result: Result, folder: Path, progress: Progress) -> None:
        self._definition = definition
        self._result = result
        self._folder = folder
        self._progress = progress
        self._measure = measure_of(definition.plan)
        self._count = count(definition)
        self._given_up: set[tuple[str, str, int]] = set()
        self._settings = {name: definition.settings_of(name) for name in definition.sides}

    async def whole(self) -> Result:
        """Everything that is not there yet. Cancelled, or failing, it leaves what is done in the folder."""
        if self._result.complete:
            return self._result
        write_result(self._result, self._folder)
        self._remember_who_gave_up()
        try:
            await self._measure_all()
            self._result.complete, self._result.finished = True, now()
        finally:
            add_goodput(self._result)
            write_result(self._result, self._folder)
        return self._result

    async def _measure_all(self) -> None:
        if any(not self._is_settled(task) for task in self._tasks()):
            together = self._definition.start == "together" or bool(self._result.endpoint)
            await (self._all_up() if together else self._one_after_the_other())
        if is_wanted(self._definition):
            self._result.notes += await profile(self._definition, self._result.profile, self._progress.say)

    def _tasks(self) -> Iterator[Task]:
        return tasks(self._definition, self._result.samples)

    def _is_settled(self, task: Task) -> bool:
        """Done, or beyond a rate at which the side gave up."""
        gave_up = (task.stage, task.side, task.repeat) in self._given_up
        return gave_up or task.is_done(self._result.samples)

    async def _all_up(self) -> None:
        async with AsyncExitStack() as running:
            if not self._result.endpoint:
                self._settings = dict(await running.enter_async_context(one_daemon(self._settings)))
            targets = await self._open_all(running)
            for target in targets.values():
                await self._warm_up(target)
            for task in self._tasks():
                await self._do(task, targets[task.side])

    async def _open_all(self, running: AsyncExitStack) -> dict[str, Target]:
        """Side by side: a start is mostly waiting. Whatever is started is stopped, also if another fails."""
        self._progress.say(f"starting {', '.join(self._definition.sides)}")
        stops = [AsyncExitStack() for _ in self._definition.sides]
        for each in stops:
            running.push_async_exit(each)
        try:
            async with asyncio.TaskGroup() as group:
                opening = {
                    name: group.create_task(self._open(each, name))
                    for name, each in zip(self._definition.sides, stops, strict=True)
                }
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return {name: task.result() for name, task in opening.items()}

    async def _open(self, running: AsyncExitStack, name: str) -> Target:
        target = await self._target(running, name)
        self._measure.check(target)
        # What is done for the first time (memory touched, kernels loaded) is no side's figure.
        await Sender(target).closed_loop(equal_requests(16, 256, 16, seed=0), in_flight=8)
        return target

    async def _warm_up(self, target: Target) -> None:
        """What a load alone brings about for the first time: two A/A runs began with 0.7 times their second half."""
        if self._definition.warm_up:
            self._progress.say(f"warming up {target.name}")
            point = self._definition.plan.points()[0]
            await self._measure.run(replace(target, salt="warm-up"), point, self._definition.seed)

    async def _target(self, running: AsyncExitStack, name: str) -> Target:
        if self._result.endpoint:
            return await running.enter_async_context(open_endpoint(name, self._result.endpoint))
        side = self._definition.sides[name]
        return await running.enter_async_context(open_side(name, side, self._settings[name]))

    async def _one_after_the_other(self) -> None:
        """A side is up for as long as the tasks that follow each other are its own."""
        running, open_for, target = AsyncExitStack(), None, None
        async with AsyncExitStack() as whole:
            whole.push_async_callback(lambda: running.aclose())
            for task in self._tasks():
                if self._is_settled(task):
                    continue
                turn = (task.stage, task.side, task.repeat)
                if turn != open_for or target is None:
                    await running.aclose()
                    running, open_for = AsyncExitStack(), turn
                    target = await self._open(running, task.side)
                    await self._warm_up(target)
                await self._do(task, target)

    async def _do(self, task: Task, target: Target) -> None:
        done = len(self._result.samples)
        total = max(self._count, done)
        point = ", ".join(f"{name} {_short(value)}" for name, value in task.point.items())
        what = f"{'A/A ' if task.stage == 'aa' else ''}{task.side}: {point}"
        self._progress.step(done, total, what)
        if not self._is_settled(task):
            self._result.samples.append(await self._sample(task, target))
            self._remember_who_gave_up()
            write_result(self._result, self._folder)
        self._progress.step(len(self._result.samples), total, what)

    async def _sample(self, task: Task, target: Target) -> Sample:
        start_ns, started_s, at = time.time_ns(), time.perf_counter(), now()
        device = target.settings.engine.device if target.settings else "cpu"
        async with sampled(device) as busy:
            measured = await self._measure.run(replace(target, salt=task.salt), task.point, task.seed)
        duration_s = time.perf_counter() - started_s
        keep = target.run_dir is not None and task.stage == "compare" and task.repeat == 0
        steps = await steps_since(target.run_dir, start_ns) if keep and target.run_dir else []
        return Sample(
            stage=task.stage,
            side=task.side,
            repeat=task.repeat,
            point=task.point,
            seed=task.seed,
            at=at,
            duration_s=duration_s,
            metrics=measured.metrics,
            requests=measured.requests,
            series=(busy if keep else {}) | measured.series | pages_in_use(steps),
            steps=excerpt(steps),
        )

    def _remember_who_gave_up(self) -> None:
        from splitwiser.experiments.measure.base import Measured

        for sample in self._result.samples:
            if self._measure.gives_up(Measured(sample.metrics, sample.requests)):
                self._given_up.add((sample.stage, sample.side, sample.repeat))


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
