"""Small definitions and results, made by hand: what the arithmetic and the pictures are tested on."""

from typing import Any

from splitwiser.experiments.catalogue import check_definition
from splitwiser.experiments.definition import Definition
from splitwiser.experiments.machine import empty_result
from splitwiser.experiments.result import Request, Result, Sample, Step

BURST: dict[str, Any] = {"kind": "burst", "prompt_tokens": [64], "output_tokens": [8], "batch": [1, 2]}
REPLAY: dict[str, Any] = {
    "kind": "replay",
    "rates_per_s": [1, 2, 4],
    "window_s": 5,
    "limits": [{"ttft_ms": 100, "tpot_ms": 10}],
    "shares": [0.9],
    "goal": {"ttft_ms": 100, "tpot_ms": 10, "share": 0.9},
}


def fields(**changed: Any) -> dict[str, Any]:
    """Of a definition, as a file has them."""
    return {
        "name": "example",
        "title": "An example",
        "question": "Does it work?",
        "settings": {"engine": {"kind": "sim"}},
        "sides": {"one": {"stack": "unsplit"}, "split": {"stack": "split"}},
        "reference": "one",
        "repeats": 2,
        "aa_pairs": 1,
        "plan": BURST,
        **changed,
    }


def definition(**changed: Any) -> Definition:
    return check_definition(fields(**changed), "example")


def result(samples: list[Sample], **changed: Any) -> Result:
    made = empty_result(definition(**changed), quick=True, endpoint="")
    made.samples = samples
    made.complete = bool(samples)
    return made


def sample(side: str, repeat: int = 0, *, stage: str = "compare", **changed: Any) -> Sample:
    made: dict[str, Any] = {
        "stage": stage,
        "side": side,
        "repeat": repeat,
        "point": {"prompt_tokens": 64, "output_tokens": 8, "batch": 1},
        "seed": 0,
        "at": "2026-01-01T00:00:00Z",
        "duration_s": 1.0,
        "metrics": {"total_s": 1.0},
        **changed,
    }
    return Sample.model_validate(made)


def replayed(side: str, rate: float, good: int, of: int = 20) -> Sample:
    """Requests of which so many keep REPLAY's limits."""
    requests = [
        Request(sent_s=float(index), ttft_ms=50.0 if index < good else 500.0, tpot_ms=5.0, completed=True)
        for index in range(of)
    ]
    return sample(side, point={"rate_per_s": rate}, requests=requests, metrics={"ttft_p99_ms": 50.0 * rate})


def steps(phase: str, instance: str, count: int = 20) -> list[Step]:
    """Back to back, ten milliseconds each."""
    return [
        Step(instance=instance, phase=phase, start_ms=10.0 * at, end_ms=10.0 * at + 9, batch=2, tokens=2, pages=at)
        for at in range(count)
    ]
