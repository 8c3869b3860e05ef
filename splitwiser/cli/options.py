"""Owns the options that several commands share, and how flags become settings."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitwiser.errors import ConfigurationError

if TYPE_CHECKING:
    from splitwiser.config.layers import Flag
    from splitwiser.config.schema import Settings

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Settings as TOML.", show_default="./splitwiser.toml, if any"),
]
RunDirectory = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the stack: sockets, logs, timeline.", show_default="runs/local"),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        *("--set", "-s"),
        metavar="NAME=VALUE",
        help="Any other setting, as in pool.pages=4096; repeatable.",
        autocompletion=lambda: _setting_names(),
    ),
]
Model = Annotated[
    str | None,
    typer.Option(metavar="ID|FOLDER", help="Hugging Face id or folder.", show_default="a small random one"),
]
Engine = Annotated[
    str | None,
    typer.Option(
        metavar="sim|transformers|vllm",
        help="What computes.",
        show_default="transformers",
        autocompletion=lambda: ["sim", "transformers", "vllm"],
    ),
]
Device = Annotated[str | None, typer.Option(metavar="cpu", help="Where it computes.", show_default="cpu")]
Workers = Annotated[
    str | None,
    typer.Option(metavar="N|P:D", help="Workers of each phase, or of prefill and of decode.", show_default="1"),
]
Gpu = Annotated[bool, typer.Option("--gpu", help="Compute on the GPU, both phases on one (docs/gpu.md).")]
Sharing = Annotated[
    str | None,
    typer.Option(
        metavar="mps|time-slice|single",
        help="How the phases share the GPU; single, one process for both, also on a CPU.",
        show_default="mps",
        autocompletion=lambda: ["mps", "time-slice", "single"],
    ),
]
Address = Annotated[
    str | None,
    typer.Option("--address", "-a", metavar="ADDRESS", help="The router's.", show_default="the stack in --run-dir"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]


def _setting_names() -> list[str]:
    from splitwiser.config.fields import field_names

    return [f"{name}=" for name in field_names()]


def read_settings(config: Path | None, sets: Iterable[str] | None, **flags: object) -> "Settings":
    """Settings with these flags on top. flags: keywords of _FIELDS, workers and gpu; None: not given.

    Raises ConfigurationError, told by the flags' own names.
    """
    # pydantic-settings is a quarter of a second that --help should not wait for.
    from splitwiser.config.load import load_settings

    return load_settings(config, [*_set_flags(sets or ()), *_named_flags(flags)])


def _set_flags(sets: Iterable[str]) -> Iterator["Flag"]:
    from splitwiser.config.layers import Flag

    for text in sets:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise ConfigurationError(f"{text!r} sets nothing", field="--set", help="give NAME=VALUE: pool.pages=64")
        yield Flag(name, value, f"--set {name}")


_FIELDS = {
    "run_dir": "run_dir",
    "model": "engine.model",
    "engine": "engine.kind",
    "device": "engine.device",
    "listen": "router.listen",
    "http": "router.http_listen",
    "sharing": "gpu.sharing",
    "host_pages": "pool.host_pages",
}


def _named_flags(flags: dict[str, object]) -> Iterator["Flag"]:
    from splitwiser.config.layers import Flag

    workers = flags.pop("workers", None)
    if workers is not None:
        prefill, colon, decode = str(workers).partition(":")
        yield Flag("prefill.workers", prefill, "--workers")
        yield Flag("decode.workers", decode if colon else prefill, "--workers")
    if flags.pop("gpu", False):
        yield Flag("engine.device", "cuda", "--gpu")
    for name, value in flags.items():
        if value is not None:
            yield Flag(_FIELDS[name], value, f"--{name.replace('_', '-')}")
