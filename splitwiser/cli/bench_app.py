"""Owns the options of the measuring commands: bench and verify. Their work is imported when they run."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from splitwiser.cli import options

bench_app = typer.Typer(invoke_without_command=True)

Seed = Annotated[int, typer.Option(help="The same seed gives the same requests.")]


@bench_app.callback()
def bench(
    context: typer.Context,
    address: options.Address = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV trace of arrivals and lengths.", show_default="generated")
    ] = None,
    requests: Annotated[int, typer.Option(min=1, help="How many requests.")] = 100,
    rate: Annotated[
        float | None, typer.Option(metavar="PER_SECOND", help="Mean arrivals per second.", show_default="the trace's")
    ] = None,
    burstiness: Annotated[float, typer.Option(help="Of generated arrivals; 1 is a Poisson process.")] = 1.0,
    max_tokens: Annotated[
        int, typer.Option(min=0, help="Most tokens of prompt and output together.", show_default="the model's length")
    ] = 0,
    lengths: Annotated[
        Literal["clip", "scale"], typer.Option(help="What happens to requests that are longer.")
    ] = "clip",
    as_text: Annotated[bool, typer.Option("--text", help="Send words instead of token ids.")] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Deadline of each request.")] = 600.0,
    ttft_limit: Annotated[float, typer.Option(metavar="MS", help="Goodput: latest first token.")] = 1000.0,
    tpot_limit: Annotated[float, typer.Option(metavar="MS", help="Goodput: longest time per later token.")] = 100.0,
    per_request: Annotated[bool, typer.Option("--per-request", help="Print a row for each request too.")] = False,
    seed: Seed = 0,
    json: options.Json = False,
    run_dir: options.RunDirectory = None,
    config: options.ConfigFile = None,
) -> None:
    """Send open-loop load to a running stack and report TTFT, ITL, TPOT and goodput with confidence intervals."""
    if context.invoked_subcommand:
        return
    from splitwiser.bench.commands import LoadOptions
    from splitwiser.bench.report import Limits
    from splitwiser.cli.address import router_address, router_tls
    from splitwiser.cli.bench import show_load
    from splitwiser.cli.running import run

    load = LoadOptions(
        address=router_address(address, config, run_dir),
        tls=router_tls(config),
        trace=trace,
        requests=requests,
        rate_per_s=rate,
        burstiness=burstiness,
        max_tokens=max_tokens,
        lengths=lengths,
        as_text=as_text,
        timeout_s=timeout,
        limits=Limits(ttft_limit, tpot_limit),
        seed=seed,
    )
    run(show_load(load, per_request=per_request, json=json))


@bench_app.command()
def router(
    streams: Annotated[int, typer.Option(min=1, help="Concurrent streams.")] = 64,
    window: Annotated[float, typer.Option(metavar="SECONDS", help="How long to measure.")] = 10.0,
    warmup: Annotated[float, typer.Option(metavar="SECONDS", help="How long to run before.")] = 2.0,
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Of each request.")] = 64,
    output_tokens: Annotated[int, typer.Option(min=2, help="Of each request.")] = 256,
    idle_requests: Annotated[int, typer.Option(min=0, help="Hand-offs to time on the idle stack.")] = 50,
    paced_step: Annotated[
        float, typer.Option(metavar="MS", min=0, help="Step of the second, paced engine; 0 leaves it out.")
    ] = 20.0,
    json: options.Json = False,
) -> None:
    """Measure the router alone, over the sim engine, on a stack of its own."""
    from splitwiser.bench.commands import RouterBenchOptions
    from splitwiser.cli.bench import show_router
    from splitwiser.cli.running import run

    measured = RouterBenchOptions(
        streams=streams,
        warmup_s=warmup,
        window_s=window,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        idle_requests=idle_requests,
        paced_step_ms=paced_step,
    )
    run(show_router(measured, json=json))


@bench_app.command()
def handoff(
    requests: Annotated[int, typer.Option(min=1, help="Hand-offs to time, one by one.")] = 50,
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Of each request.")] = 4096,
    page_tokens: Annotated[int, typer.Option(min=1, help="Of each page.")] = 16,
    json: options.Json = False,
) -> None:
    """Measure the way from grant to adopted pages, and its parts, over the sim engine, on a stack of its own."""
    from splitwiser.bench.commands import HandoffOptions
    from splitwiser.cli.bench import show_handoff
    from splitwiser.cli.running import run

    measured = HandoffOptions(requests=requests, prompt_tokens=prompt_tokens, page_tokens=page_tokens)
    run(show_handoff(measured, json=json))


@bench_app.command()
def restart(
    engine: options.Engine = None,
    model: options.Model = None,
    gpu: options.Gpu = False,
    sharing: options.Sharing = None,
    runs: Annotated[int, typer.Option(min=1, help="Stacks with spares, and as many without.")] = 3,
    run_dir: options.RunDirectory = None,
    json: options.Json = False,
    config: options.ConfigFile = None,
    sets: options.Sets = None,
) -> None:
    """Kill decode workers and measure how soon another one answers, beside a cold start; on stacks of its own."""
    settings = options.read_settings(
        config, sets, engine=engine, model=model, gpu=gpu, sharing=sharing, run_dir=run_dir
    )
    from splitwiser.bench.commands import RestartOptions
    from splitwiser.cli.bench import show_restart
    from splitwiser.cli.running import run

    run(show_restart(RestartOptions(settings, runs), json=json))


@bench_app.command()
def prefix(
    engine: options.Engine = None,
    model: options.Model = None,
    conversations: Annotated[int, typer.Option(min=1, help="Held at the same time, turn by turn.")] = 16,
    turns: Annotated[int, typer.Option(min=2, help="Of each conversation.")] = 5,
    systems: Annotated[int, typer.Option(min=1, help="Different system prompts.")] = 4,
    system_tokens: Annotated[int, typer.Option(min=1, help="Of each system prompt.")] = 96,
    user_tokens: Annotated[int, typer.Option(min=1, help="Of what is new in each turn.")] = 40,
    answer_tokens: Annotated[int, typer.Option(min=2, help="Of each answer.")] = 40,
    concurrency: Annotated[int, typer.Option(min=1, help="Most turns under way at once.")] = 8,
    host_pages: Annotated[int | None, typer.Option(min=0, help="pool.host_pages: evicted pages come back.")] = None,
    seed: Seed = 0,
    json: options.Json = False,
    config: options.ConfigFile = None,
    sets: options.Sets = None,
) -> None:
    """Measure prefix hits of conversations on stacks of its own, with the cache on and off, beside one unsplit vLLM."""
    settings = options.read_settings(config, sets, engine=engine, model=model, host_pages=host_pages)
    from splitwiser.bench.commands import PrefixOptions, Shape
    from splitwiser.cli.bench import show_prefix
    from splitwiser.cli.running import run

    shape = Shape(conversations, turns, systems, system_tokens, user_tokens, answer_tokens)
    run(show_prefix(PrefixOptions(settings, shape, concurrency, seed), json=json))


def verify(
    engine: options.Engine = None,
    model: options.Model = None,
    device: options.Device = None,
    workers: options.Workers = None,
    requests: Annotated[int, typer.Option(min=1, help="Greedy requests to each model.")] = 200,
    concurrency: Annotated[int, typer.Option(min=1, help="Most of them at once.")] = 64,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first wrong token.")] = False,
    zero_pool: Annotated[
        bool, typer.Option("--zero-pool", help="Wipe the KV pool between the phases, to see the verification fail.")
    ] = False,
    seed: Seed = 0,
    json: options.Json = False,
    config: options.ConfigFile = None,
    sets: options.Sets = None,
) -> None:
    """Prove on a stack of its own that split generation gives the unsplit model's tokens; if not, exit with 1."""
    settings = options.read_settings(config, sets, engine=engine, model=model, device=device, workers=workers)
    from splitwiser.bench.commands import VerifyOptions
    from splitwiser.cli.bench import show_verification
    from splitwiser.cli.running import run

    verification = VerifyOptions(
        settings=settings,
        requests=requests,
        concurrency=concurrency,
        fail_fast=fail_fast,
        zero_pool=zero_pool,
        seed=seed,
    )
    run(show_verification(verification, json=json))
