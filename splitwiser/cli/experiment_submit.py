"""Owns `splitwiser experiment submit`: its options, its progress, and the files it leaves."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

STEP = re.compile(r"(\d+)/(\d+) (.*)")
"""How `experiment run` tells a step where there is no terminal."""


def submit_experiment(
    name: Annotated[str, typer.Argument(help="As `experiment list` prints it.")],
    quick: Annotated[bool, typer.Option("--quick", help="The small form.")] = False,
    release: Annotated[str, typer.Option(metavar="NAME", help="The Helm release to measure.")] = "splitwiser",
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Where it is.", show_default="the context's")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Of the kubeconfig.", show_default="the current one")] = None,
    image: Annotated[str | None, typer.Option(help="Image of the Job.", show_default="splitwiser-experiments")] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Router; empty: stacks in the pod.", show_default="the release's"),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="FIELD=VALUE", help="A field of the experiment.")
    ] = None,
    claim: Annotated[str, typer.Option(help="PersistentVolumeClaim to leave the result in as well.")] = "",
    tls_secret: Annotated[str, typer.Option(help="Secret with tls.crt, tls.key and ca.crt.")] = "",
    gpus: Annotated[int, typer.Option(min=0, help="nvidia.com/gpu that the pod asks for.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the result.", show_default="a new one in runs")
    ] = None,
    start_timeout: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="For its pod to run.")] = 300.0,
    deadline: Annotated[int, typer.Option(metavar="SECONDS", min=1, help="For the whole Job.")] = 7200,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the Job when it has ended, for an hour.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the Job, for kubectl apply.")] = False,
) -> None:
    """Run an experiment as a Job beside a release: make, follow and collect it. Ctrl-C deletes the Job."""
    from splitwiser.cluster.job import JobOptions, experiment_job

    options = JobOptions(
        experiment=name,
        release=release,
        image=image or f"splitwiser-experiments:{version('splitwiser')}",
        endpoint=endpoint,
        quick=quick,
        sets=tuple(sets or ()),
        claim=claim,
        tls_secret=tls_secret,
        gpus=gpus,
        deadline_s=deadline,
    )
    job = experiment_job(options)
    if dry_run:
        import yaml

        typer.echo(yaml.safe_dump(job, sort_keys=False), nl=False)
        return
    from splitwiser.cli.running import run

    folder = out or Path("runs/experiments") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    run(_submit(job, context, namespace, folder, start_timeout_s=start_timeout, keep=keep))


async def _submit(
    job: dict[str, object],
    context: str | None,
    namespace: str | None,
    folder: Path,
    *,
    start_timeout_s: float,
    keep: bool,
) -> None:
    from splitwiser.cli.experiment import show_report
    from splitwiser.cluster.api import connected
    from splitwiser.cluster.collect import LOG, collect, prepare
    from splitwiser.cluster.submit import Submission

    prepare(folder)
    async with connected(context, namespace) as cluster:
        with _screen() as screen:
            ended = await Submission(cluster, screen, start_timeout_s=start_timeout_s, keep=keep).run(job)
    collect(ended, folder)
    show_report(folder)
    typer.echo(f"log: {folder / LOG}")


class Screen:
    """States and steps on stderr: a bar on a terminal, lines elsewhere."""

    def __init__(self, progress: "Progress", task: "TaskID") -> None:
        self._progress = progress
        self._task = task

    def state(self, words: str) -> None:
        """Where the Job is."""
        self._say(words)

    def line(self, text: str) -> None:
        """Something that the experiment said; its result is shown at the end."""
        if found := STEP.fullmatch(text):
            done, total, what = found.groups()
            self._progress.update(self._task, completed=int(done), total=int(total), description=what)
            if not self._progress.console.is_terminal:
                self._say(text)
        elif not text.startswith("{"):
            self._say(text)

    def _say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _screen() -> Iterator[Screen]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Screen(progress, progress.add_task("waiting", total=None))
