"""All experiments over the GPUs of one host, one job a GPU at a time, each in its own folder.

    python -m experiments.gpu.everything --gpus 0,1,2,3 --minutes 15 --out runs/all --trace conversations.csv

A job that fails stops no other. When the time is up, those that run are told to stop, which may take a minute, and
leave what is done; the same command again goes on with it. At the end results and logs are packed into one archive,
reports into another.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tarfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from splitwiser.experiments.catalogue import default_folder, read_definition

JOBS = Path(__file__).with_suffix(".yaml")
TOLD_EVERY_S = 20.0
GRACE_S = 45.0
"""To stop engines, and to write result and report."""
LOG = "experiment.log"


@dataclass(slots=True)
class Job:
    """One experiment, or some of its sides."""

    name: str
    experiment: str
    sides: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    gpu: str = ""
    state: str = "waits"
    seconds: float = 0.0

    def command(self, options: argparse.Namespace) -> list[str]:
        """`splitwiser experiment run`, into its folder, or on with what is there."""
        flags = [*(f"--side={side}" for side in self.sides), *(f"--set={text}" for text in self.sets)]
        flags += ["--quick"] if options.quick else []
        replays = read_definition(options.folder, self.experiment).plan.kind == "replay"
        flags += [f"--trace={options.trace}"] if options.trace and replays else []
        place = (f"--folder={options.folder}", f"--out={options.out / self.name}", "--resume")
        return [sys.executable, "-m", "splitwiser.cli", "experiment", "run", self.experiment, *place, *flags]


@dataclass(slots=True)
class Runner:
    """The jobs that wait, and those that run."""

    options: argparse.Namespace
    jobs: list[Job]
    started_s: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Until no job waits or the time is up."""
        waiting = list(self.jobs)
        telling = asyncio.create_task(self._tell())
        try:
            async with asyncio.TaskGroup() as group:
                for gpu in self.options.gpus.split(","):
                    group.create_task(self._work(gpu, waiting))
        finally:
            telling.cancel()

    async def _work(self, gpu: str, waiting: list[Job]) -> None:
        while waiting and self._left_s() > 0:
            job = waiting.pop(0)
            job.gpu, job.state, began_s = gpu, "runs", time.monotonic()
            try:
                job.state = await self._do(job)
            except OSError as error:
                job.state = f"failed: {error}"
            job.seconds = time.monotonic() - began_s
            self._say(job)

    async def _do(self, job: Job) -> str:
        """How it ended."""
        folder = self.options.out / job.name
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": job.gpu, "PYTHONUNBUFFERED": "1"}
        with (folder / LOG).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *job.command(self.options), stdout=log, stderr=log, env=environment, start_new_session=True
            )
        try:
            await asyncio.wait_for(process.wait(), self._left_s())
        except TimeoutError:
            await _stop(process)
            return "stopped: the time was up"
        except asyncio.CancelledError:
            await _stop(process)
            raise
        return "done" if process.returncode == 0 else f"failed with {process.returncode}: {last_line(folder / LOG)}"

    def _left_s(self) -> float:
        return float(self.options.minutes) * 60 - (time.monotonic() - self.started_s)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY_S)
            for job in self.jobs:
                if job.state == "runs":
                    self._say(job)

    def _say(self, job: Job) -> None:
        words = last_line(self.options.out / job.name / LOG) if job.state == "runs" else job.state
        clock_s = time.monotonic() - self.started_s
        print(f"{clock_s:5.0f} s  GPU {job.gpu}  {job.name}: {words}", flush=True)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """As Ctrl-C would. By SIGTERM: a shell that starts things in the background has them ignore SIGINT."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_S)
            return


def last_line(log: Path) -> str:
    """What was said last."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:200]


def read_jobs(path: Path, only: Sequence[str] = (), *, quick: bool = False) -> list[Job]:
    """The jobs of a file, in its order; only: those by their names, in the order of the names.

    quick: one job for each of their experiments, with its sides: a small form has not all that a job may name.
    """
    fields: list[dict[str, Any]] = yaml.safe_load(path.read_text())
    jobs = {
        each["name"]: Job(
            each["name"], each.get("experiment", each["name"]), tuple(each.get("sides", ())), tuple(each.get("set", ()))
        )
        for each in fields
    }
    if missing := set(only) - set(jobs):
        raise SystemExit(f"error: {path} has no job {', '.join(sorted(missing))}")
    found = [jobs[name] for name in only or jobs]
    return [Job(name, name) for name in dict.fromkeys(job.experiment for job in found)] if quick else found


def pack(options: argparse.Namespace, jobs: Sequence[Job]) -> list[Path]:
    """Archives of what the jobs left. The reports are apart: each holds the same library of pictures, which xz sees."""
    options.archive.mkdir(parents=True, exist_ok=True)
    summary = options.out / "everything.json"
    rows = [{"job": job.name, "gpu": job.gpu, "state": job.state, "seconds": round(job.seconds, 1)} for job in jobs]
    summary.write_text(json.dumps(rows, indent=2) + "\n")
    archives = []
    for name, patterns in (("results", ("*.json", "*/*.json", f"*/{LOG}")), ("reports", ("*/*.html",))):
        path = options.archive / f"{name}.tar.xz"
        with tarfile.open(path, "w:xz") as archive:
            for found in sorted(each for pattern in patterns for each in options.out.glob(pattern)):
                archive.add(found, found.relative_to(options.out))
        archives.append(path)
    return archives


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 when every job is done."""
    parser = argparse.ArgumentParser(prog="python -m experiments.gpu.everything", description=__doc__)
    parser.add_argument("--gpus", default="0", help="numbers or UUIDs, by commas")
    parser.add_argument("--minutes", type=float, default=60.0, help="of all jobs together")
    parser.add_argument("--out", type=Path, default=Path("runs/everything"))
    parser.add_argument("--archive", type=Path, help="where the archives go; default: --out")
    parser.add_argument("--trace", type=Path, help="a trace for those that replay one")
    parser.add_argument("--jobs", type=Path, default=JOBS)
    parser.add_argument("--only", default="", help="names of jobs, by commas, the first one first")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="of experiments")
    parser.add_argument("--quick", action="store_true", help="the small form of each experiment, on a CPU")
    options = parser.parse_args(arguments)
    options.archive = options.archive or options.out
    jobs = read_jobs(options.jobs, [name for name in options.only.split(",") if name], quick=options.quick)
    try:
        asyncio.run(Runner(options, jobs).run())
    finally:
        for path in pack(options, jobs):
            print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
    for job in jobs:
        print(f"{job.name}: {job.state} ({job.seconds:.0f} s)")
    return 0 if all(job.state == "done" for job in jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
