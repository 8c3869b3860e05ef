"""The page stands alone, and nothing that a client chose can become part of its markup."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from splitwiser.telemetry import names
from splitwiser.telemetry.page import write_page
from splitwiser.telemetry.records import SpanRecord, StepRecord
from splitwiser.telemetry.requests import request_rows
from tests.unit.telemetry.example import ORIGIN_NS, Run

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>&{/*data*/}/*style*/"


class Elements(HTMLParser):
    """Collects the elements of a page and the data within."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self._in_data = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._in_data = dict(attributes).get("id") == "data"

    def handle_endtag(self, tag: str) -> None:
        self._in_data = False

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data


def page_of(records: list[Any], path: Path, title: str = "") -> str:
    write_page(records, request_rows(records), path, title=title)
    return path.read_text()


def data_of(page: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Elements(page).data)
    return data


def test_the_page_names_no_other_file(tmp_path: Path):
    page = page_of(Run(requests=5).play(), tmp_path / "run.html")
    assert not re.search(r"https?://|@import|url\(", page)
    sources = [
        value for _, attributes in Elements(page).tags for key, value in attributes.items() if key in ("src", "href")
    ]
    assert sources == ["data:,"]
    assert "default-src 'none'" in page


def test_hostile_names_stay_data(tmp_path: Path):
    start = ORIGIN_NS
    records = [
        SpanRecord("queue", HOSTILE, "s", "", start, start + 9, {names.REQUEST_ID: HOSTILE}, HOSTILE),
        SpanRecord("request", HOSTILE, "r", "", start, start + 9, {names.REQUEST_ID: HOSTILE, names.OUTCOME: HOSTILE}),
        StepRecord("prefill", start, start + 5, 1, 1, None, HOSTILE),
    ]
    harmless = Elements(page_of([], tmp_path / "empty.html"))
    page = page_of(records, tmp_path / "run.html", title=HOSTILE)
    assert Elements(page).tags == harmless.tags
    found = data_of(page)
    assert found["title"] == found["lanes"][0]["instance"] == found["requests"][0]["id"] == HOSTILE
    assert found["requests"][0]["phases"][0][3] == found["requests"][0]["outcome"] == HOSTILE


def test_no_script_writes_markup():
    scripts = Path(write_page.__code__.co_filename).parent / "assets"
    for script in scripts.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", script.read_text()
        )


def test_times_count_from_the_first_record_in_microseconds(tmp_path: Path):
    records = Run(requests=8).play()
    found = data_of(page_of(records, tmp_path / "run.html"))
    assert 0 <= found["started_ms"] - ORIGIN_NS // 1_000_000 < 1000
    assert min(request["start"] for request in found["requests"]) == 0
    assert [lane["phase"] for lane in found["lanes"]] == ["prefill", "decode"]
    for lane in found["lanes"]:
        starts = [step[0] for step in lane["steps"]]
        assert starts == sorted(starts)
    decode = [record for record in records if isinstance(record, StepRecord) and record.phase == "decode"]
    assert [step[2] for step in found["lanes"][1]["steps"]] == [step.batch_size for step in decode]
    assert len(found["summary"]) == 6


@pytest.mark.parametrize("requests", [0, 1])
def test_a_run_with_next_to_nothing_in_it_has_a_page(tmp_path: Path, requests: int):
    records = Run(requests=requests).play() if requests else []
    assert len(data_of(page_of(records, tmp_path / "run.html"))["requests"]) == requests
