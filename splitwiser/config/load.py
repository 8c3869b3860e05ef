"""Owns the reading of settings: defaults, then file, then environment, then flags, checked as a whole."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from splitwiser.config.check import find_problems
from splitwiser.config.fields import expected, field_names, nearest
from splitwiser.config.layers import Flag, Layer, environment_layer, file_layer, flag_layer
from splitwiser.config.problem import Problem, raise_problems
from splitwiser.config.schema import Settings

DEFAULT_FILE = Path("splitwiser.toml")


def load_settings(config_file: Path | None = None, flags: Iterable[Flag] = ()) -> Settings:
    """Read all settings. Without config_file, ./splitwiser.toml is read if there is one.

    Raises one ConfigurationError that tells everything that is wrong.
    """
    layers = [file_layer(config_file)] if config_file else [file_layer(DEFAULT_FILE)] if DEFAULT_FILE.exists() else []
    layers += [environment_layer(), flag_layer(flags)]
    origin = _origin_of(layers)
    problems = [problem for layer in layers for problem in layer.problems]
    settings = _validate(_merge(layer.values for layer in layers), problems, origin)
    if settings is not None:
        problems += find_problems(settings, origin)
    if settings is None or problems:
        raise_problems(problems)
    return settings


def _origin_of(layers: Sequence[Layer]) -> Callable[[tuple[str, ...]], str]:
    """Who has the last word on a path; empty when nobody set it."""
    return lambda path: next(filter(None, (layer.origin(path) for layer in reversed(layers))), "")


def _merge(layers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Later values win, setting by setting."""
    merged: dict[str, Any] = {}
    for values in layers:
        for name, value in values.items():
            below = merged.get(name)
            merged[name] = {**below, **value} if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def _validate(
    values: dict[str, Any], problems: list[Problem], origin: Callable[[tuple[str, ...]], str]
) -> Settings | None:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems += [_problem(detail, origin) for detail in error.errors(include_url=False)]
        return None


def _problem(detail: ErrorDetails, origin: Callable[[tuple[str, ...]], str]) -> Problem:
    path = tuple(map(str, detail["loc"]))
    name = ".".join(path)
    if detail["type"] == "extra_forbidden":
        # A mistyped name may be that of a secret.
        return Problem(name, "***", "no such setting", _remedy_unknown(path), origin(path))
    cause = detail["msg"][:1].lower() + detail["msg"][1:]
    return Problem(name, detail["input"], cause, f"give {expected(path)}", origin(path))


def _remedy_unknown(path: tuple[str, ...]) -> str:
    names = field_names()
    meant = nearest(".".join(path), [*names, *Settings.model_fields])
    if meant:
        return f"did you mean {meant}?"
    siblings = [name for name in names if len(path) > 1 and name.startswith(f"{path[0]}.")]
    return f"remove it; there are {', '.join(siblings or Settings.model_fields)}"
