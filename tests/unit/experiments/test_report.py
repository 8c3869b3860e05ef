"""Reports: every picture that there is data for, text as text, and a page for a run that measured nothing."""

from pathlib import Path

from splitwiser.experiments.report.figures import figures
from splitwiser.experiments.report.page import write_report
from splitwiser.experiments.table import tables
from tests.unit.experiments.examples import burst_result, mix_result, recovery_result, replay_result, result, sample


def test_each_kind_has_its_pictures() -> None:
    assert {"goodput", "good-shares", "frontier", "timeline", "pages"} <= {name for name, _ in figures(replay_result())}
    assert {"share-map", "frontier", "metric-itl_p50_ms"} <= {name for name, _ in figures(mix_result())}
    assert {"recovery", "metric-ready_s"} <= {name for name, _ in figures(recovery_result())}
    assert {"phases", "metric-total_s", "timeline"} <= {name for name, _ in figures(burst_result())}


def test_the_timeline_has_both_sides_on_one_axis_and_the_busy_device_beneath() -> None:
    (timeline,) = (figure for name, figure in figures(replay_result()) if name == "timeline")
    lanes = {lane for trace in timeline.data if trace.type == "bar" for lane in trace.y}
    assert lanes == {"unsplit-0", "prefill-0", "decode-0"}
    assert len([trace for trace in timeline.data if trace.type == "scatter"]) == 2
    axes = [name for name in timeline.layout.to_plotly_json() if name.startswith("xaxis")]
    shared = {timeline.layout[name].matches or name.replace("axis", "") for name in axes}
    assert len(shared) == 1, "one time axis"


def test_a_worker_that_did_not_come_back_has_no_time_of_it(tmp_path: Path) -> None:
    made = recovery_result()
    for each in made.samples:
        del each.metrics["ready_s"]
    assert "metric-ready_s" not in {name for name, _ in figures(made)}
    assert "answered_s" in write_report(made, tmp_path).read_text()


def test_an_empty_run_has_a_report_that_says_so(tmp_path: Path) -> None:
    empty = result([])
    page = write_report(empty, tmp_path).read_text()
    assert "Nothing was measured" in page
    assert "Not complete: 0 measurements so far" in page
    assert list(figures(empty)) == []
    assert list(tables(empty)) == []


def test_a_run_that_measured_the_noise_alone_has_a_report(tmp_path: Path) -> None:
    assert "Not complete" in write_report(_cut(result([sample("one", stage="aa")])), tmp_path).read_text()


def _cut(made):
    made.complete = False
    return made


def test_text_of_a_result_is_never_markup(tmp_path: Path) -> None:
    made = result([sample("one")], title="<script>alert(1)</script>")
    made.notes = ["<b>bold</b>"]
    page = write_report(made, tmp_path).read_text()
    assert "<script>alert" not in page
    assert "<b>bold" not in page


def test_the_page_needs_no_other_file(tmp_path: Path) -> None:
    page = write_report(mix_result(), tmp_path).read_text()
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page
    assert page.count("plotly.js v") >= 1
