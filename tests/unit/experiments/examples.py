"""Small definitions and results, made by hand: what the arithmetic and the pictures are tested on."""

from typing import Any

from splitwiser.experiments.catalogue import check_definition
from splitwiser.experiments.definition import Definition
from splitwiser.experiments.goodput import add_goodput
from splitwiser.experiments.machine import empty_result
from splitwiser.experiments.nsight import DRAM, SM, TIME
from splitwiser.experiments.result import PhaseProfile, Request, Result, Sample, Step

BURST: dict[str, Any] = {"kind": "burst", "prompt_tokens": [64], "output_tokens": [8], "batch": [1, 2]}
REPLAY: dict[str, Any] = {
    "kind": "replay",
    "rates_per_s": [1, 2, 4],
    "window_s": 5,
    "limits": [{"ttft_ms": 100, "tpot_ms": 10}],
    "shares": [0.9],
    "goal": {"ttft_ms": 100, "tpot_ms": 10, "share": 0.9},
}

NCU_RANGES = "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
NCU_HEAD = f'==PROF== Connected to process 1\n"ID","{NCU_RANGES}","Kernel Name","{DRAM}","{TIME}","{SM}"\n'
NCU_UNITS = '"","","","%","ns","%"\n'


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


def replay_result() -> Result:
    """A replay with goodput, steps, pages and a busy device on both sides."""
    made = result([], plan=REPLAY)
    for side, goods in (("one", (20, 15, 5)), ("split", (20, 20, 10))):
        for rate, good in zip((1.0, 2.0, 4.0), goods, strict=True):
            each = replayed(side, rate, good)
            each.metrics |= {"output_tokens_per_s": 100.0 * rate, "itl_p99_ms": 10.0 * rate, "tpot_p99_ms": 9.0 * rate}
            each.metrics |= {"good_share TTFT 100 ms, TPOT 10 ms": good / 20}
            engines = {"unsplit-0": "mixed"} if side == "one" else {"prefill-0": "prefill", "decode-0": "decode"}
            each.steps = [step for instance, phase in engines.items() for step in steps(phase, instance)]
            each.series = {"CPU busy %": [(10.0 * at, 5.0 * at) for at in range(20)]}
            each.series |= {f"pages {name}": [(10.0 * at, float(at)) for at in range(20)] for name in engines}
            made.samples.append(each)
    made.samples += [s.model_copy(update={"stage": "aa", "repeat": at}) for at, s in enumerate(made.samples[:2])]
    add_goodput(made)
    return made


def mix_result() -> Result:
    """A mix whose sides stand on a map of two by two."""
    sides = {
        f"{y}-{x}": {"stack": "split", "labels": {"x": x, "y": y}} for x in ("50", "100") for y in ("below", "equal")
    }
    plan = {
        "kind": "mix",
        "streams": 4,
        "stream_prompt_tokens": 8,
        "stream_output_tokens": 8,
        "prompts_in_flight": [0, 2],
        "prompt_tokens": 64,
        "warmup_s": 1,
        "window_s": 1,
    }
    samples = [
        sample(
            side,
            point={"prompts_in_flight": count},
            metrics={
                "itl_p50_ms": 5.0 + place,
                "itl_p99_ms": 9.0 + count,
                "prefill_tokens_per_s": 10.0 * count,
            },
        )
        for place, side in enumerate(sides)
        for count in (0, 2)
    ]
    return result(samples, plan=plan, sides=sides, reference="below-50")


def recovery_result() -> Result:
    """Two faults."""
    plan = {
        "kind": "recovery",
        "faults": ["kill-decode", "kill-prefill"],
        "rate_per_s": 10,
        "prompt_tokens": 8,
        "output_tokens": 8,
        "before_s": 1,
        "after_s": 3,
    }
    curve = {"answered": [(100.0 * at, 1.0) for at in range(30)], "failed": [(100.0 * at, 0.0) for at in range(30)]}
    samples = [
        sample("split", point={"fault": fault}, metrics={"fault_s": 1.0, "ready_s": 1.5, "answered_s": 2}, series=curve)
        for fault in ("kill-decode", "kill-prefill")
    ]
    return result(samples, plan=plan, sides={"split": {"stack": "split"}}, reference="split")


def burst_result() -> Result:
    """A burst whose phases were profiled."""
    points = [{"prompt_tokens": 64, "output_tokens": 8, "batch": batch} for batch in (1, 2)]
    samples = [
        sample(side, point=point, metrics={"total_s": 1.0, "tpot_p50_ms": 5.0}, steps=steps("decode", "decode-0"))
        for side in ("one", "split")
        for point in points
    ]
    made = result(samples)
    made.profile = [
        PhaseProfile(phase=phase, prompt_tokens=64, batch=batch, by="NVML", step_ms=3, sm_percent=share, dram_percent=9)
        for batch in (1, 2)
        for phase, share in (("prefill", 40), ("decode", 20))
    ]
    return made


def ncu_table(*rows: str) -> str:
    """What ncu prints, with ncu_rows in it."""
    return NCU_HEAD + NCU_UNITS + "".join(rows)


def ncu_row(launch: int, phase: str, dram: str, time: str, sm: str) -> str:
    """A graph's, of ncu's table."""
    pushed = f'152  ""<default domain>:{phase}:none:none:none:none:none:none"" '
    return f'"{launch}","{pushed}","graph","{dram}","{time}","{sm}"\n'
