"""Owns the names of all settings and, read from the schema, what a right value of each looks like."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from splitwiser.config.schema import Settings

_BOUNDS = {
    "exclusiveMinimum": "greater than",
    "minimum": "at least",
    "exclusiveMaximum": "less than",
    "maximum": "at most",
}
_TYPES = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


def find_field(path: tuple[str, ...]) -> FieldInfo | None:
    """The field at this path, a section or a single setting; None when there is none."""
    model: Any = Settings
    field = None
    for name in path:
        field = model.model_fields.get(name) if is_section(model) else None
        if field is None:
            return None
        model = field.annotation
    return field


def is_section(annotation: Any) -> bool:
    """Whether a field of this type groups further settings."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def field_names() -> tuple[str, ...]:
    """Every setting, dotted: run_dir, engine.kind, ..."""
    names: list[str] = []
    for name, field in Settings.model_fields.items():
        section: Any = field.annotation
        names += [f"{name}.{leaf}" for leaf in section.model_fields] if is_section(section) else [name]
    return tuple(names)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant; empty when none is near."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return matches[0] if matches else ""


def expected(path: tuple[str, ...]) -> str:
    """What a right value of this setting is, and what the setting is for."""
    field = find_field(path)
    assert field is not None, path
    if is_section(field.annotation):
        return f"a section with {', '.join(name for name in field_names() if name.startswith(f'{path[0]}.'))}"
    return f"{_value_words(_property(path))}{f': {field.description}' if field.description else ''}"


def _value_words(schema: dict[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return f"one of {', '.join(map(str, schema.get('enum') or [schema['const']]))}"
    bounds = " and ".join(f"{words} {schema[key]:g}" for key, words in _BOUNDS.items() if key in schema)
    word = "a path" if schema.get("format") == "path" else _TYPES.get(schema.get("type", ""), "text")
    return f"{word} {bounds}".strip()


def _property(path: tuple[str, ...]) -> dict[str, Any]:
    """The JSON schema of one setting."""
    model: Any = Settings
    for name in path[:-1]:
        model = model.model_fields[name].annotation
    schema: dict[str, Any] = model.model_json_schema()["properties"][path[-1]]
    return schema
