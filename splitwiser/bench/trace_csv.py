"""Owns the reading of request traces: CSV with the columns of the Azure LLM inference traces.

Patel et al., "Splitwise: Efficient Generative LLM Inference Using Phase Splitting", ISCA 2024, publish two of them.
A trace has lengths and no text; prompts.py makes prompts of those lengths up.
"""

import csv
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from splitwiser.bench.workload import PlannedRequest, Workload
from splitwiser.errors import ConfigurationError

TIMESTAMP, CONTEXT, GENERATED = COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOST_TOKENS = 10_000_000
FORM = f"the header is {','.join(COLUMNS)}; one line a request, sorted by time"


def read_trace(path: Path, *, seed: int = 0) -> Workload:
    """The trace's requests, arrivals counted from the first. Raises ConfigurationError naming line and column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            requests = tuple(_requests(file, path.name, seed))
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", field=str(path), help=FORM) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"is not a CSV file: {error}", field=str(path), help=FORM) from error
    if not requests:
        raise ConfigurationError("has no requests", field=str(path), help=FORM)
    return Workload(path.stem, requests)


def _requests(file: TextIO, name: str, seed: int) -> Iterator[PlannedRequest]:
    reader = csv.DictReader(file)
    if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
        found = ", ".join(reader.fieldnames or ()) or "nothing"
        raise ConfigurationError(f"no column {', '.join(missing)}; found {found}", field=f"{name} line 1", help=FORM)
    first_s = last_s = None
    for index, row in enumerate(reader):
        line = f"{name} line {reader.line_num}"
        now_s = _seconds(row[TIMESTAMP], f"{line}, {TIMESTAMP}")
        if last_s is not None and now_s < last_s:
            raise ConfigurationError("is earlier than the line before", field=f"{line}, {TIMESTAMP}", help=FORM)
        first_s, last_s = now_s if first_s is None else first_s, now_s
        prompt_tokens = _tokens(row[CONTEXT], f"{line}, {CONTEXT}")
        output_tokens = _tokens(row[GENERATED], f"{line}, {GENERATED}")
        yield PlannedRequest(now_s - first_s, prompt_tokens, output_tokens, seed + index)


def _tokens(text: str | None, field: str) -> int:
    value = (text or "").strip()
    digits = value.isascii() and value.isdecimal() and len(value) <= len(str(MOST_TOKENS))
    if not (digits and 1 <= int(value) <= MOST_TOKENS):
        raise ConfigurationError(
            f"is {value[:40]!r}, not a number of tokens", field=field, help=f"a whole number from 1 to {MOST_TOKENS}"
        )
    return int(value)


def _seconds(text: str | None, field: str) -> float:
    value = (text or "").strip()
    try:
        seconds = float(value) if _is_number(value) else _instant(value).timestamp()
    except (ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ConfigurationError(
            f"is {value[:40]!r}, not a time", field=field, help="like 2023-11-16 18:15:46.680, or seconds as a number"
        )
    return seconds


def _instant(text: str) -> datetime:
    """A time without a zone is UTC: this machine's zone would have hours that are twice there, or not at all."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).removeprefix("-").isdecimal() and text.isascii()
