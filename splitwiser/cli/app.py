"""Owns the commands' names, options and help. Their work is imported when they run, so that --help answers at once."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from splitwiser.cli import options
from splitwiser.cli.bench_app import bench_app, verify
from splitwiser.cli.experiment_app import experiment_app

app = typer.Typer(
    help="Serve a language model whose prefill and decode run as two processes over one KV pool.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"splitwiser {version('splitwiser')}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def up(
    config: options.ConfigFile = None,
    engine: options.Engine = None,
    model: options.Model = None,
    workers: options.Workers = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="HOST:PORT or unix:PATH of the router.", show_default="127.0.0.1:50051"),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="HOST:PORT of an OpenAI-compatible HTTP API.", show_default="none"),
    ] = None,
    gpu: options.Gpu = False,
    sharing: options.Sharing = None,
    run_dir: options.RunDirectory = None,
    sets: options.Sets = None,
    check: Annotated[bool, typer.Option("--check", help="Check settings and machine, start nothing.")] = False,
) -> None:
    """Run the local stack: Redis, store, workers and router, until Ctrl-C."""
    settings = options.read_settings(
        config,
        sets,
        engine=engine,
        model=model,
        workers=workers,
        listen=listen,
        http=http,
        gpu=gpu,
        sharing=sharing,
        run_dir=run_dir,
    )
    from splitwiser.cli.running import run
    from splitwiser.cli.up import check_only, serve

    run(check_only(settings) if check else serve(settings))


@app.command()
def doctor(
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Examine the GPU: driver, MPS daemon, who is attached, the numeric gate.")
    ] = False,
    model: options.Model = None,
    sharing: options.Sharing = None,
    json: options.Json = False,
    run_dir: options.RunDirectory = None,
    config: options.ConfigFile = None,
    sets: options.Sets = None,
) -> None:
    """Look at settings and machine, start nothing, and say what is wrong and what to do about it."""
    settings = options.read_settings(config, sets, model=model, gpu=gpu, sharing=sharing, run_dir=run_dir)
    from splitwiser.cli.doctor import doctor as run_doctor
    from splitwiser.cli.running import run

    run(run_doctor(settings, gpu=gpu, json=json))


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="Text to continue; - reads it from standard input.")],
    address: options.Address = None,
    max_tokens: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Most tokens of the answer.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy.", show_default="1")] = None,
    top_p: Annotated[float | None, typer.Option(help="Share of probability to draw from.", show_default="1")] = None,
    top_k: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Likeliest tokens to draw from.", show_default="all")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**64 - 1, help="The same seed draws the same tokens.")] = None,
    presence_penalty: Annotated[float | None, typer.Option(help="Taken off the logit of each token that came.")] = None,
    frequency_penalty: Annotated[float | None, typer.Option(help="The same, for each time it came.")] = None,
    repetition_penalty: Annotated[
        float | None,
        typer.Option(help="Divides a positive logit of such tokens, and of the prompt's.", show_default="1"),
    ] = None,
    bad_word: Annotated[list[str] | None, typer.Option(help="Text that does not come; repeatable.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="Text that ends the answer; repeatable.")] = None,
    ignore_eos: Annotated[bool, typer.Option("--ignore-eos", help="Go on past the model's own end.")] = False,
    priority: Annotated[
        int, typer.Option(min=-(2**31), max=2**31 - 1, help="Lower goes first, under the priority policy.")
    ] = 0,
    request_id: Annotated[str, typer.Option(help="Name of the request.", show_default="drawn by the router")] = "",
    deadline: Annotated[float | None, typer.Option(metavar="SECONDS", min=0, help="When to give up.")] = None,
    timings: Annotated[bool, typer.Option("--timings", help="Print how long each phase took.")] = False,
    json: options.Json = False,
    run_dir: options.RunDirectory = None,
    config: options.ConfigFile = None,
) -> None:
    """Generate text from a prompt, printed as it comes."""
    from splitwiser.cli.address import router_address, router_tls
    from splitwiser.cli.generate import Wishes, generate
    from splitwiser.cli.running import run

    wishes = Wishes(
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        seed=seed,
        presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty,
        repetition_penalty=repetition_penalty,
        bad_words=tuple(bad_word or ()),
        stop=tuple(stop or ()),
        ignore_eos=ignore_eos,
        priority=priority,
        request_id=request_id,
        deadline_s=deadline,
    )
    where, tls = router_address(address, config, run_dir), router_tls(config)
    run(generate(where, tls, prompt, wishes, timings=timings, json=json))


@app.command()
def trace(
    request_id: Annotated[str, typer.Argument(help="As `splitwiser generate --timings` prints it.")],
    run_dir: options.RunDirectory = None,
    perfetto: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all requests' spans for ui.perfetto.dev.")
    ] = None,
    json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Show where the time of one request went, through all processes."""
    settings = options.read_settings(config, None, run_dir=run_dir)
    from splitwiser.cli.trace import show_trace

    show_trace(settings.run_dir, request_id, perfetto=perfetto, json=json)


@app.command()
def demo(
    model: options.Model = None,
    engine: options.Engine = None,
    requests: Annotated[int, typer.Option(min=1, help="How many requests.")] = 24,
    arrivals: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="Time in which they arrive.")] = 10.0,
    length: Annotated[float, typer.Option(help="Factor on the trace's token counts.")] = 0.2,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV trace of arrivals and lengths.", show_default="conversation-like"),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same requests.")] = 0,
    run_dir: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the stack and of the pictures.")] = Path(
        "runs/demo"
    ),
    config: options.ConfigFile = None,
    sets: options.Sets = None,
) -> None:
    """Run a stack for half a minute, stream a conversation load through it, and draw its timeline."""
    listen = None if any(text.startswith("router.listen=") for text in sets or ()) else "127.0.0.1:0"
    settings = options.read_settings(config, sets, model=model, engine=engine, run_dir=run_dir, listen=listen)
    from splitwiser.cli.demo import DemoOptions
    from splitwiser.cli.demo import demo as run_demo
    from splitwiser.cli.running import run

    run(run_demo(settings, DemoOptions(requests, arrivals, length, trace, seed)))


app.add_typer(bench_app, name="bench")
app.add_typer(experiment_app, name="experiment")
app.command()(verify)
