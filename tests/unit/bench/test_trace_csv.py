"""Traces: what is read, and that a bad file is refused with the line and the column."""

import time
from pathlib import Path

import pytest

from splitwiser.bench.trace_csv import read_trace
from splitwiser.errors import ConfigurationError

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "trace.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_arrivals_count_from_the_first_request(tmp_path: Path) -> None:
    rows = "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
    workload = read_trace(write(tmp_path, HEADER + rows), seed=7)
    assert workload.name == "trace"
    assert [(r.prompt_tokens, r.output_tokens, r.seed) for r in workload] == [(374, 44, 7), (396, 109, 8)]
    assert [r.arrival_s for r in workload] == pytest.approx([0, 4.314579], abs=1e-6)


def test_times_without_a_zone_do_not_hang_on_this_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In that night New York's clocks went from two to three: half past two was not."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        workload = read_trace(write(tmp_path, HEADER + "2024-03-10 02:30:00,1,1\n2024-03-10 03:00:00,1,1\n"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert workload.duration_s == 1800


def test_plain_seconds_other_columns_and_a_byte_order_mark_are_taken(tmp_path: Path) -> None:
    text = "\ufeffGeneratedTokens,note,TIMESTAMP,ContextTokens\n5,x,10.5,3\n6,y,11,4\n"
    workload = read_trace(write(tmp_path, text))
    assert [(r.arrival_s, r.prompt_tokens, r.output_tokens) for r in workload] == [(0, 3, 5), (0.5, 4, 6)]


@pytest.mark.parametrize(
    ("text", "field", "cause"),
    [
        ("TIMESTAMP,ContextTokens\n1,2\n", "trace.csv line 1", "no column GeneratedTokens"),
        ("", "trace.csv line 1", "found nothing"),
        (HEADER + "1,2,3\n2,-5,3\n", "trace.csv line 3, ContextTokens", "'-5'"),
        (HEADER + "1,2,3\n2,5,99999999\n", "trace.csv line 3, GeneratedTokens", "'99999999'"),
        (HEADER + f"1,{'7' * 5000},3\n", "trace.csv line 2, ContextTokens", f"is '{'7' * 40}', not"),
        (HEADER + "1,0,3\n", "trace.csv line 2, ContextTokens", "'0'"),
        (HEADER + "1,2.5,3\n", "trace.csv line 2, ContextTokens", "'2.5'"),
        (HEADER + "1,\u0663,3\n", "trace.csv line 2, ContextTokens", "not a number of tokens"),
        (HEADER + "1,2\n", "trace.csv line 2, GeneratedTokens", "''"),
        (HEADER + "soon,2,3\n", "trace.csv line 2, TIMESTAMP", "'soon'"),
        (HEADER + "nan,2,3\n", "trace.csv line 2, TIMESTAMP", "'nan'"),
        (HEADER + "2,2,3\n1,2,3\n", "trace.csv line 3, TIMESTAMP", "earlier than the line before"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_column(tmp_path: Path, text: str, field: str, cause: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_trace(write(tmp_path, text))
    assert caught.value.field == field
    assert cause in caught.value.cause
    assert caught.value.help


@pytest.mark.parametrize("text", [HEADER, HEADER.encode("utf-16"), b"\xff\xfe\x00\x01" * 50])
def test_a_file_without_requests_is_refused_by_name(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"trace\.csv"):
        read_trace(write(tmp_path, text))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.csv: cannot be read"):
        read_trace(tmp_path / "nowhere.csv")
