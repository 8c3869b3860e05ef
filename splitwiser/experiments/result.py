"""Owns the result file of a run: its schema, and that a reader finds a whole one or none."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from splitwiser.errors import ConfigurationError
from splitwiser.experiments.definition import Definition, Point

SCHEMA: Final = "splitwiser.experiment/1"
FILE = "result.json"
Stage = Literal["aa", "compare"]


class Record(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(extra="forbid")


class Step(Record):
    """One engine step. Milliseconds after the sample began; pages in use where the engine counts them."""

    instance: str
    phase: str
    start_ms: float
    end_ms: float
    batch: int
    tokens: int
    pages: int | None = None


class Request(Record):
    """One request of a replay. None: no token, or only one, came."""

    sent_s: float
    ttft_ms: float | None
    tpot_ms: float | None
    completed: bool


class Sample(Record):
    """One measurement of one side at one point. series: values over time, as [ms after the sample began, value]."""

    stage: Stage
    side: str
    repeat: int
    point: Point
    seed: int
    at: str
    duration_s: float
    metrics: dict[str, float]
    requests: list[Request] = []
    series: dict[str, list[tuple[float, float]]] = {}
    steps: list[Step] = []


class Interval(Record):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Kept(Interval):
    """A side's goodput in requests per second. reached_top: it kept the goal up to the highest rate that was tried."""

    side: str
    reached_top: bool


class KeptGoal(Kept):
    """For one pair of limits and share."""

    group: str
    ttft_ms: float
    tpot_ms: float
    share: float


class Goodput(Record):
    """split and chunked: the best side of each kind at the plan's goal; ratio: the one over the other."""

    method: str
    rows: list[KeptGoal]
    split: Kept | None
    chunked: Kept | None
    ratio: Interval | None


class PhaseProfile(Record):
    """One phase alone. by Nsight Compute: one step's kernels, without pauses between them, as shares of the hardware's
    peak. by NVML: means over a load of such steps, the SM's share that of time in use."""

    phase: str
    prompt_tokens: int
    batch: int
    by: str
    step_ms: float
    sm_percent: float
    dram_percent: float


class Machine(Record):
    """What it was measured on. gpu is empty on a machine without one."""

    cpus: int
    system: str
    gpu: dict[str, Any] = {}


class Result(Record):
    """A run, finished or not: nothing is in it that was not measured."""

    schema_: Literal["splitwiser.experiment/1"] = SCHEMA
    experiment: str
    quick: bool
    endpoint: str = ""
    command: str
    started: str
    finished: str = ""
    complete: bool = False
    machine: Machine
    versions: dict[str, str]
    definition: dict[str, Any]
    samples: list[Sample] = []
    profile: list[PhaseProfile] = []
    goodput: Goodput | None = None
    goodput_ratio_vs_chunked: float | None = None
    notes: list[str] = []

    @property
    def defined(self) -> Definition:
        """The experiment as it was run."""
        return Definition.model_validate(self.definition)

    def of(self, side: str, *, stage: Stage = "compare", point: Point | None = None) -> list[Sample]:
        """The samples of a side, in the order of their measurement."""
        return [s for s in self.samples if s.side == side and s.stage == stage and point in (None, s.point)]


def write_result(result: Result, folder: Path) -> Path:
    """Write FOLDER/result.json: under another name first, so that a cut write leaves the old one."""
    fields = result.model_dump(mode="json")
    return write_whole(folder / FILE, json.dumps({"schema": fields.pop("schema_"), **fields}) + "\n")


def write_whole(path: Path, text: str) -> Path:
    """Write a file that nobody ever sees in part. Raises ConfigurationError when it cannot be written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"cannot be written: {error.strerror}", field=str(path), help="name a folder with --out that is yours"
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return path


def read_result(place: Path) -> Result:
    """The result in a folder, or of a file. Raises ConfigurationError for none, a broken one, or another schema."""
    path = place / FILE if place.is_dir() else place
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"cannot be read: {error.strerror}", field=str(path), help="name a folder that `experiment run` wrote"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"is not JSON: {error}", field=str(path), help="run the experiment again") from error
    return check_result(fields, str(path))


def check_result(fields: Any, origin: str) -> Result:
    """The result that these fields are."""
    schema = fields.get("schema") if isinstance(fields, dict) else None
    if schema != SCHEMA:
        raise ConfigurationError(
            f"has the schema {schema!r}, this version reads {SCHEMA!r}",
            field=origin,
            help="read it with the version that wrote it (it is in the file), or run the experiment again",
        )
    try:
        return Result.model_validate({"schema_" if name == "schema" else name: v for name, v in fields.items()})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(map(str, detail["loc"]))
        raise ConfigurationError(
            f"{place}: {detail['msg']}", field=origin, help="the file was changed; run the experiment again"
        ) from None
