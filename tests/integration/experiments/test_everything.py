"""All experiments over several GPUs: each job in its own folder, a failure stops no other, and nothing done is lost."""

import json
import tarfile
from pathlib import Path

import pytest

from experiments.gpu import everything
from splitwiser.experiments.result import FILE, read_result
from tests.integration.experiments.conftest import write_experiment

JOBS = """
- name: all
  experiment: example
- name: broken
  experiment: example
  sides: [nobody]
- name: part
  experiment: example
  sides: [one]
  set: [repeats=1]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "jobs.yaml").write_text(JOBS)
    write_experiment(tmp_path / "experiments")
    return tmp_path


def run(place: Path, *flags: str) -> int:
    where = ("--out", str(place / "out"), "--folder", str(place / "experiments"), "--jobs", str(place / "jobs.yaml"))
    return everything.main([*where, *flags])


def test_every_job_is_done_beside_one_that_fails(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, "--gpus", "0,1") == 1
    whole, part = (read_result(place / "out" / name) for name in ("all", "part"))
    assert (whole.complete, list(whole.defined.sides)) == (True, ["one", "split"])
    assert (part.complete, list(part.defined.sides), part.defined.repeats) == (True, ["one"], 1)
    rows = {row["job"]: row for row in json.loads((place / "out" / "everything.json").read_text())}
    assert [rows[name]["state"] for name in ("all", "part")] == ["done", "done"]
    assert rows["broken"]["state"].startswith("failed with 2")
    assert {row["gpu"] for row in rows.values()} == {"0", "1"}
    assert "there is no side 'nobody'" in (place / "out" / "broken" / everything.LOG).read_text()
    with tarfile.open(place / "out" / "results.tar.xz") as archive:
        assert {"all/result.json", "part/result.json", "broken/experiment.log"} < set(archive.getnames())
    with tarfile.open(place / "out" / "reports.tar.xz") as archive:
        assert archive.getnames() == ["all/report.html", "part/report.html"]
    assert "broken: failed with 2" in capsys.readouterr().out


def test_quick_is_the_small_form_of_each_experiment_whatever_sides_its_jobs_name(place: Path) -> None:
    assert run(place, "--quick", "--only", "broken,part") == 0
    assert [path.parent.name for path in sorted((place / "out").glob("*/result.json"))] == ["example"]
    result = read_result(place / "out" / "example")
    assert (result.quick, list(result.defined.sides)) == (True, ["one", "split"])


def until_stopped_with(samples: int, place: Path) -> Path:
    """Run until the time is up and the job `long` has so many samples. Returns its folder."""
    out = place / "out" / "long"
    # As much time as it takes on this machine to start and to measure something.
    for minutes in ("0.2", "0.4", "0.8", "1.6"):
        assert run(place, "--minutes", minutes) == 1
        if (out / FILE).exists() and len(read_result(out).samples) >= samples:
            return out
    raise AssertionError(f"not {samples} samples")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_when_the_time_is_up_what_is_done_is_left_and_gone_on_with(place: Path) -> None:
    longer = "- {name: long, experiment: example, set: [repeats=200]}\n- {name: never, experiment: example}\n"
    (place / "jobs.yaml").write_text(longer)
    left = read_result(until_stopped_with(1, place))
    assert not left.complete
    rows = json.loads((place / "out" / "everything.json").read_text())
    assert [row["state"] for row in rows] == ["stopped: the time was up", "waits"]
    assert not (place / "out" / "never" / FILE).exists()
    more = read_result(until_stopped_with(len(left.samples) + 1, place))
    assert more.samples[: len(left.samples)] == left.samples


def test_an_unknown_job_is_told(place: Path) -> None:
    with pytest.raises(SystemExit, match="has no job sharing"):
        run(place, "--only", "sharing,all")


def test_named_jobs_come_in_the_order_of_their_names(place: Path) -> None:
    named = everything.read_jobs(place / "jobs.yaml", ["part", "all"])
    assert [job.name for job in named] == ["part", "all"]
    assert [job.name for job in everything.read_jobs(place / "jobs.yaml")] == ["all", "broken", "part"]


def test_the_projects_own_jobs_name_experiments_and_sides_that_are_there() -> None:
    from splitwiser.experiments.catalogue import BESIDE_THE_PACKAGE, names, read_definition

    jobs = everything.read_jobs(everything.JOBS)
    assert {job.experiment for job in jobs} == set(names(BESIDE_THE_PACKAGE))
    for job in jobs:
        assert set(job.sides) <= set(read_definition(BESIDE_THE_PACKAGE, job.experiment, sets=job.sets).sides)
