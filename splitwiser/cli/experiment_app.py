"""Owns the options of `splitwiser experiment`. Its work is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from splitwiser.cli.experiment_submit import submit_experiment

experiment_app = typer.Typer(help="Measure: the paper's tables, and the split against what people use today.")

Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="Folder of experiments.", show_default="./experiments, or its own"),
]
Place = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a result, or its result.json.")]


@experiment_app.command("list")
def list_experiments(folder: Folder = None) -> None:
    """List the experiments, and what each asks."""
    from splitwiser.cli.experiment import show_list

    show_list(folder)


@experiment_app.command("run")
def run_experiment(
    name: Annotated[str, typer.Argument(help="As `experiment list` prints it.")],
    quick: Annotated[bool, typer.Option("--quick", help="The small form, on a CPU, in seconds.")] = False,
    endpoint: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Measure a running stack through its router; start none.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the result.", show_default="a new one in runs")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the result in --out, or the newest.")] = False,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="CSV trace to replay.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="FIELD=VALUE", help="A field of the experiment: plan.window_s=10."),
    ] = None,
    sides: Annotated[
        list[str] | None, typer.Option("--side", metavar="NAME", help="Only this side, and others named so.")
    ] = None,
    folder: Folder = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result's file as the last line.")] = False,
) -> None:
    """Run an experiment; Ctrl-C leaves what is done, and --resume goes on with it."""
    from splitwiser.cli.experiment import show_run
    from splitwiser.cli.running import run
    from splitwiser.experiments.catalogue import default_folder
    from splitwiser.experiments.commands import RunOptions

    place, changed, only = folder or default_folder(), tuple(sets or ()), tuple(sides or ())
    options = RunOptions(place, name, quick, endpoint, trace, out, resume, changed, only)
    run(show_run(options, json=json))


@experiment_app.command()
def compare(a: Place, b: Place) -> None:
    """Compare two results of one experiment, figure by figure: B over A."""
    from splitwiser.cli.experiment import show_comparison

    show_comparison(a, b)


@experiment_app.command()
def report(place: Place) -> None:
    """Write a result's report again, and print its tables."""
    from splitwiser.cli.experiment import show_report

    show_report(place)


experiment_app.command("submit")(submit_experiment)
