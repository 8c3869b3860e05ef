"""The highest rate a scheduler could keep for good, if both phases' parts of their lone rates add up to so much.

A cost model of what experiments/results holds, goodput-bound.json; no GPU. A prompt costs its tokens at prefill's lone
rate. A decode step costs by the context tokens in it, on a line through two lone ones: the frontier's streams, and one
stream. Each stream just meets the TPOT limit, which costs least. Bursts, waiting and an empty start are left out.
Run as `python -m experiments.gpu.bound TRACE.csv`, with the trace that goodput*.json replayed.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from experiments.gpu.frontier import CONTEXT_TOKENS, STREAMS
from experiments.gpu.record import RESULTS
from splitwiser.bench.trace_csv import read_trace
from splitwiser.bench.workload import Workload

READ = ("gpu-vllm-frontier", "handoff", "goodput")
PIECES = {"from 3,798": (3797, 390), "from 3,618": (3617, 330), "from 1,398": (1397, 360)}
"""Where in the trace the requests of goodput's runs begin (experiments/results/README.md says whose), and how many the
highest rate has. The seeds of the older runs do not tell: they were drawn when the place hung on the highest rate."""
SHORT_CHUNK = 2048
"""Of longer ones so few steps fit into a window that one more or less moves a rate by percents."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a trace: its mean request. decoding_tokens: the mean context of a token that is decoded."""

    context_tokens: float
    output_tokens: float
    decoding_tokens: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Of phases that are alone. A decode step takes step_s, and more for each token of context in it."""

    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    step_s: float
    step_s_per_token: float

    def highest_rates(self, piece: Piece, tpot_s: float, sums: dict[str, float]) -> dict[str, float]:
        """Requests a second at which both phases' parts add up to each sum."""
        decode_s = piece.output_tokens * piece.decoding_tokens * self.step_s_per_token
        each_s = decode_s + piece.context_tokens / self.prefill_tokens_per_s
        return {name: (shares - self.step_s / tpot_s) / each_s for name, shares in sums.items()}

    def shares(self, row: dict[str, Any]) -> float:
        """Both parts in a row of the frontier; of one vLLM this is also the model's step by the measured one."""
        prefill = float(row["prefill_tokens_per_s"]) / self.prefill_tokens_per_s
        return prefill + float(row["decode_tokens_per_s"]) / self.decode_tokens_per_s


def piece_of(requests: Workload) -> Piece:
    outputs = fmean(r.output_tokens for r in requests)
    contexts = fmean(r.output_tokens * (r.prompt_tokens + r.output_tokens / 2) for r in requests)
    return Piece(fmean(r.prompt_tokens for r in requests), outputs, contexts / outputs)


def costs_of(frontier: dict[str, Any], handoff: dict[str, Any]) -> Costs:
    """The single stream is the one with the shortest median step of the hand-offs' single requests."""
    decode, prefill = (next(row for row in frontier["split"] if row.get("alone") == a) for a in ("decode", "prefill"))
    lone = min(handoff["samples"], key=lambda sample: sample["metrics"]["itl_p50_ms"])
    few_tokens = lone["point"]["prompt_tokens"] + handoff["definition"]["plan"]["output_tokens"] / 2
    few_s, many_s = lone["metrics"]["itl_p50_ms"] / 1e3, STREAMS / decode["decode_tokens_per_s"]
    generated = (decode["settle_s"] + decode["window_s"] / 2) / many_s
    slope = (many_s - few_s) / (STREAMS * (CONTEXT_TOKENS + generated) - few_tokens)
    return Costs(prefill["prefill_tokens_per_s"], decode["decode_tokens_per_s"], few_s - slope * few_tokens, slope)


def sums_of(costs: Costs, rows: list[dict[str, Any]]) -> dict[str, float]:
    found = [costs.shares(row) for row in rows]
    short = [costs.shares(row) for row in rows if row["chunk"] <= SHORT_CHUNK]
    return {"one": 1.0, "median": median(found), "most_of_short_chunks": max(short), "most": max(found)}


def bound(trace: Path) -> dict[str, Any]:
    """For each piece of the trace, and each TPOT limit of goodput.json."""
    frontier, handoff, goodput = (json.loads((RESULTS / f"{name}.json").read_text()) for name in READ)
    one, whole = frontier["results"]["one vLLM"]["points"], read_trace(trace)
    costs = costs_of(frontier["results"], handoff)
    sums = sums_of(costs, [row for row in (*one, *frontier["results"]["split"]) if "alone" not in row])
    limits = sorted({limit["tpot_ms"] for limit in goodput["definition"]["plan"]["limits"]})
    pieces = {name: piece_of(whole.piece(*place)) for name, place in PIECES.items()}
    rates = {
        name: {f"TPOT {ms:g} ms": costs.highest_rates(piece, ms / 1e3, sums) for ms in limits}
        for name, piece in pieces.items()
    }
    return {
        "pieces": {name: asdict(piece) for name, piece in pieces.items()},
        "costs": asdict(costs),
        "shares": sums,
        "one_vllm_step_off_percent": {row["chunk"]: 100 * (costs.shares(row) - 1) for row in one},
        "highest_rate_per_s": rates,
    }


if __name__ == "__main__":
    trace = Path(sys.argv[1])
    what = {"command": f"python -m experiments.gpu.bound {trace.name}", "results": bound(trace)}
    (RESULTS / "goodput-bound.json").write_text(json.dumps(what, indent=2) + "\n")
    print(json.dumps(what["results"]))
