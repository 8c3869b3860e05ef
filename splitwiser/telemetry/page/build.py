"""Owns the joining of a run's data, style and scripts into one file."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from splitwiser.telemetry.page.data import page_data
from splitwiser.telemetry.records import Record
from splitwiser.telemetry.requests import RequestRow

_ASSETS: Final = files("splitwiser.telemetry.page") / "assets"
_SCRIPTS: Final = ("format.js", "view.js", "gestures.js", "engines.js", "requests.js", "table.js", "page.js")


def write_page(records: Sequence[Record], rows: Sequence[RequestRow], path: Path, *, title: str = "") -> None:
    """Write the page to path. Strings of the run reach it as data, never as markup."""
    page = _asset("page.html")
    page = page.replace("/*style*/", _asset("page.css"))
    page = page.replace("/*scripts*/", "\n".join(map(_asset, _SCRIPTS)))
    # Last, so that nothing in the data can be taken for a placeholder.
    page = page.replace("{/*data*/}", _for_script(page_data(records, rows, title)))
    path.write_text(page, encoding="utf-8")


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _for_script(data: object) -> str:
    """JSON that can neither end the script element around it nor open another."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
