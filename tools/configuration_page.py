"""Writes docs/configuration.md from the schema; `make docs` calls it and a test says when the page is stale."""

from collections.abc import Iterator
from pathlib import Path

from splitwiser.config.fields import expected, field_names, find_field
from splitwiser.config.layers import variable_name
from splitwiser.config.schema import Settings

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"

HEAD = """\
# Configuration

<!-- Written by `make docs` from splitwiser/config/schema.py: change that, not this. -->

A setting may come from four places; a later one wins:

1. its default,
2. a file: `--config FILE`, or `splitwiser.toml` in the working folder (TOML; JSON if the name ends in `.json`),
3. an environment variable: `SPLITWISER_`, then section and name in capitals with two underscores between them,
4. a flag of the command line (`splitwiser up --help` lists them).

Everything is checked before anything starts. A wrong setting ends the command with exit code 2 and a line that names
the setting, its value, where the value came from, and what would be right. Unknown names are errors.

```toml
# splitwiser.toml
[router]
listen = "127.0.0.1:50051"
policy = "shortest"
```

The same by environment: `SPLITWISER_ROUTER__POLICY=shortest`."""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    section = None
    for name in field_names():
        title = name.rpartition(".")[0] or "top level"
        if title != section:
            section = title
            yield f"\n## {title}\n"
            yield "| setting | default | a right value | meaning |\n| --- | --- | --- | --- |"
        yield _row(name)
    yield ""


def _row(name: str) -> str:
    path = tuple(name.split("."))
    field = find_field(path)
    assert field is not None, name
    meaning = " ".join((field.description or "").split())
    right = expected(path).removesuffix(f": {field.description}")
    cells = (f"`{name}`<br>`{variable_name(name)}`", _default(path), right, meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(path: tuple[str, ...]) -> str:
    value: object = Settings()
    for name in path:
        value = getattr(value, name)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if str(value) else "empty"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
