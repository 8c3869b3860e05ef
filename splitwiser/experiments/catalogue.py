"""Owns the finding and reading of experiments: folders with an experiment.yaml, checked field by field."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from splitwiser.config.fields import nearest
from splitwiser.errors import ConfigurationError
from splitwiser.experiments.definition import Definition, merged

FILE = "experiment.yaml"
SHAPES = "shapes.yaml"
BESIDE_THE_PACKAGE = Path(__file__).parent.parent.parent / "experiments"


def default_folder() -> Path:
    """./experiments if there is one, else the repository's own."""
    here = Path("experiments")
    return here if any(here.glob(f"*/{FILE}")) else BESIDE_THE_PACKAGE


def names(folder: Path) -> list[str]:
    """Every experiment of the folder. Raises ConfigurationError for a folder without any."""
    found = sorted(path.parent.name for path in folder.glob(f"*/{FILE}"))
    if not found:
        raise ConfigurationError(
            f"no experiments in {folder}", help=f"name a folder of folders with an {FILE}", field="--folder"
        )
    return found


def read_definition(folder: Path, name: str, *, quick: bool = False, sets: Sequence[str] = ()) -> Definition:
    """One experiment; quick takes its small form. sets: FIELD=VALUE on top. Raises ConfigurationError."""
    known = names(folder)
    if name not in known:
        meant = nearest(name, known)
        remedy = f"did you mean {meant}?" if meant else f"there are {', '.join(known)}"
        raise ConfigurationError(f"there is no experiment {name!r} in {folder}", help=remedy)
    path = folder / name / FILE
    fields = _read_yaml(path)
    small = fields.pop("quick", {})
    if quick:
        fields = merged(fields, small)
    for text in sets:
        fields = merged(fields, _set(text))
    return check_definition({"name": name, **fields}, str(path))


def check_definition(fields: dict[str, Any], origin: str) -> Definition:
    """The definition that these fields are. Raises one ConfigurationError that tells every wrong field."""
    try:
        definition = Definition.model_validate(fields)
    except ValidationError as error:
        lines = [_line(detail) for detail in error.errors(include_url=False)]
        raise ConfigurationError("; ".join(lines), field=origin, help="correct the fields named") from None
    for name, side in definition.sides.items():
        if side.stack == "unsplit" and "router" in side.settings:
            raise ConfigurationError(
                f"sides.{name}.settings.router: whole engines are asked straight, without a router",
                field=origin,
                help="leave it out: it would change nothing of this side",
            )
    return definition


def shape_of(folder: Path, name: str) -> dict[str, Any] | None:
    """A model's shape by its name in shapes.yaml: architecture, and fields of its configuration. None: not there."""
    path = folder / SHAPES
    shapes = _read_yaml(path) if path.exists() else {}
    shape: dict[str, Any] | None = shapes.get(name)
    return shape


def _line(detail: Any) -> str:
    # The union of plans puts its kind into the path, where no field of that name is.
    place = ".".join(str(part) for part in detail["loc"] if part not in _KINDS)
    if detail["type"] == "extra_forbidden":
        return f"{place}: no such field"
    found = "" if detail["type"] in ("missing", "value_error") else f", found {_short(detail['input'])}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{place or 'the file'}: {message[:1].lower()}{message[1:]}{found}"


_KINDS = frozenset({"replay", "burst", "mix", "handoff", "recovery"})


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def _set(text: str) -> dict[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ConfigurationError(f"{text!r} sets nothing", field="--set", help="give FIELD=VALUE: plan.window_s=10")
    return _nested(name.split("."), _parse(value, "--set"))


def _nested(path: Iterable[str], value: object) -> dict[str, Any]:
    for name in reversed(list(path)):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot be read: {error}", field=str(path), help="make it readable") from error
    fields = _parse(text, str(path))
    if not isinstance(fields, dict):
        raise ConfigurationError("is not a table of fields", field=str(path), help="see the other experiments' files")
    return fields


def _parse(text: str, origin: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"is not YAML: {error}", field=origin, help="correct it at that line") from error
