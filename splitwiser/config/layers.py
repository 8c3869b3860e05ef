"""Owns the places where settings come from: file, environment and flags. Each layer remembers the origin of its values.

Files and variables are read by pydantic-settings' own sources; a layer adds what those forget: who said it.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    JsonConfigSettingsSource,
    SettingsError,
    TomlConfigSettingsSource,
)

from splitwiser.config.fields import field_names, find_field, is_section, nearest
from splitwiser.config.problem import Problem
from splitwiser.config.schema import Settings
from splitwiser.errors import ConfigurationError

PREFIX = "SPLITWISER_"
DELIMITER = "__"
# The sources want a BaseSettings but read no more of it than its fields. Settings itself must not be one: it would
# then read the environment wherever a service builds it.
_SOURCE_MODEL = cast(type[BaseSettings], Settings)
# Set by Kubernetes in every pod for a Service whose name begins with splitwiser.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)=|_PORT=\w+://|_PORT_\d+_(TCP|UDP|SCTP)")


@dataclass(frozen=True, slots=True)
class Flag:
    """A setting from the command line. name is the flag as typed, such as --listen."""

    field: str
    value: object
    name: str


@dataclass(frozen=True, slots=True)
class Layer:
    """Values by section, the origin of each path (a section's covers its settings), and what was wrong already."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def origin(self, path: tuple[str, ...]) -> str:
        """Who set this path here; empty when this layer does not."""
        values: Any = self.values
        for name in path:
            if not isinstance(values, dict) or name not in values:
                return ""
            values = values[name]
        covering = (self.origins.get(path[:length], "") for length in range(len(path), -1, -1))
        inner = (origin for inside, origin in self.origins.items() if inside[: len(path)] == path)
        return next(filter(None, (*covering, *inner)), "")


def file_layer(path: Path) -> Layer:
    """Settings of a TOML file, or of a JSON file such as a stack's resolved.json. Broken: ConfigurationError."""
    source = JsonConfigSettingsSource if path.suffix == ".json" else TomlConfigSettingsSource
    try:
        # The sources take a file that does not exist for an empty one.
        path.open("rb").close()
        values = source(_SOURCE_MODEL, path)()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}", help="name a readable file", field="config"
        ) from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{path} is broken: {error}", help="correct the file at that line", field="config"
        ) from error
    return Layer(values, {(): str(path)})


def environment_layer() -> Layer:
    """Settings of the process's environment variables. Unknown names under the prefix are problems, not noise."""
    names = {name.upper(): name for name in os.environ if name.upper().startswith(PREFIX)}
    origins = {_variable_path(key): f"the environment variable {name}" for key, name in names.items()}
    problems = [problem for key, name in names.items() for problem in _variable_problems(key, name)]
    try:
        values = EnvSettingsSource(_SOURCE_MODEL, env_prefix=PREFIX, env_nested_delimiter=DELIMITER)()
    except SettingsError:
        values = {}
    return Layer(values, origins, tuple(problems))


def flag_layer(flags: Iterable[Flag]) -> Layer:
    """Settings of the command line; the last one wins."""
    values: dict[str, Any] = {}
    origins: dict[tuple[str, ...], str] = {}
    for flag in flags:
        *sections, name = path = tuple(flag.field.split("."))
        target = values
        for section in sections:
            if not isinstance(target.get(section), dict):
                target[section] = {}
            target = target[section]
        target[name] = flag.value
        origins[tuple(path)] = flag.name
    return Layer(values, origins)


def variable_name(field: str) -> str:
    """The environment variable of a dotted setting."""
    return PREFIX + field.replace(".", DELIMITER).upper()


def _variable_path(key: str) -> tuple[str, ...]:
    return tuple(key.removeprefix(PREFIX).lower().split(DELIMITER))


def _variable_problems(key: str, name: str) -> Iterator[Problem]:
    """What is wrong with a variable that the source passes over, or tells without the variable's name."""
    path, value = _variable_path(key), os.environ[name]
    field = find_field(path[:1])
    section = field is not None and is_section(field.annotation)
    if (field is None or (len(path) > 1 and not section)) and not _SERVICE_LINK.search(f"{key}={value}"):
        # The prefix that all share would make everything look near.
        meant = nearest(key.removeprefix(PREFIX), (variable_name(name)[len(PREFIX) :] for name in field_names()))
        remedy = f"did you mean {PREFIX}{meant}?" if meant else f"unset it; the settings are {', '.join(field_names())}"
        # A mistyped name may be that of a secret, and a section have one in it.
        yield Problem(name, "***", "no such setting", remedy, "the environment")
    elif section and len(path) == 1 and not _is_json(value):
        remedy = f"give JSON, or set {key}{DELIMITER}NAME for each setting"
        yield Problem(path[0], "***", "a section, but not JSON", remedy, f"the environment variable {name}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
