"""Every picture of a report draws something: seen by a real browser, which runs the page's scripts without a screen."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from splitwiser.experiments.report.figures import figures
from splitwiser.experiments.report.page import write_report
from splitwiser.experiments.result import Result
from tests.unit.experiments.examples import burst_result, mix_result, recovery_result, replay_result

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Of plotly's drawings: a line with a shape, a bar or mark with one, a heat map's image.
MARKS = (
    r'class="js-line"[^>]*\sd="M',
    r'class="point[^"]*"[^>]*>\s*<path[^>]*\sd="M',
    r'class="point"[^>]*\sd="M',
    r'class="js-fill"[^>]*\sd="M',
    r"<image[^>]*xlink:href=\"data:image",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH: apt-get install chromium"),
]


def page_after_scripts(page: Path, profile: Path) -> str:
    """The document as it stands when the page's scripts have run."""
    command = (
        *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update"),
        *(f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--window-size=1200,900"),
        *("--dump-dom", page.as_uri()),
    )
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=250).stdout


def drawn(document: str) -> dict[str, int]:
    """Marks by the figure's id."""
    found = re.findall(r'<figure id="([^"]+)">(.*?)</figure>', document, re.DOTALL)
    return {name: sum(len(re.findall(mark, html)) for mark in MARKS) for name, html in found}


@pytest.mark.parametrize("make", [replay_result, mix_result, recovery_result, burst_result])
def test_no_picture_is_empty(tmp_path: Path, make: Callable[[], Result]) -> None:
    made = make()
    marks = drawn(page_after_scripts(write_report(made, tmp_path), tmp_path / "profile"))
    assert marks.keys() == {name for name, _ in figures(made)}
    assert all(count > 0 for count in marks.values()), marks


def test_an_empty_picture_would_be_noticed(tmp_path: Path) -> None:
    """The same page with its data taken out has the same pictures with nothing in them."""
    page = write_report(mix_result(), tmp_path)
    text = page.read_text()
    emptied = re.sub(r'(Plotly\.newPlot\(\s*"[^"]+",\s*)\[.*?\](,\s*\{"template")', r"\1[]\2", text, flags=re.DOTALL)
    assert emptied != text
    page.write_text(emptied)
    marks = drawn(page_after_scripts(page, tmp_path / "profile"))
    assert marks
    assert not any(marks.values()), marks
