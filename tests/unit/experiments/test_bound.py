"""The bound on goodput: at its rate both phases' parts add up, and what it is made of is read from the results."""

from pathlib import Path

import pytest

from experiments.gpu.bound import Costs, Piece, bound, sums_of

COSTS = Costs(prefill_tokens_per_s=40_000, decode_tokens_per_s=10_000, step_s=0.005, step_s_per_token=4e-8)
PIECE = Piece(context_tokens=1000, output_tokens=200, decoding_tokens=1100)
TPOT_S = 0.025


def rate(piece: Piece = PIECE, tpot_s: float = TPOT_S, shares: float = 1.0) -> float:
    return COSTS.highest_rates(piece, tpot_s, {"all": shares})["all"]


@pytest.mark.parametrize("shares", [1.0, 1.05])
def test_at_the_highest_rate_both_phases_take_all_of_the_card(shares: float) -> None:
    found = rate(shares=shares)
    streams = found * PIECE.output_tokens * TPOT_S
    decode = (COSTS.step_s + streams * PIECE.decoding_tokens * COSTS.step_s_per_token) / TPOT_S
    assert decode + found * PIECE.context_tokens / COSTS.prefill_tokens_per_s == pytest.approx(shares)


def test_a_looser_limit_or_shorter_prompts_allow_a_higher_rate() -> None:
    assert rate(tpot_s=2 * TPOT_S) > rate()
    assert rate(Piece(500, 200, 600)) > rate()


def test_longer_steps_count_for_the_most_of_all_alone() -> None:
    rows = [
        {"chunk": 512, "prefill_tokens_per_s": 20_000.0, "decode_tokens_per_s": 5_000.0},
        {"chunk": 8192, "prefill_tokens_per_s": 20_000.0, "decode_tokens_per_s": 6_000.0},
        {"chunk": 1024, "prefill_tokens_per_s": 20_000.0, "decode_tokens_per_s": 4_000.0},
    ]
    expected = {"one": 1.0, "median": 1.0, "most_of_short_chunks": 1.0, "most": 1.1}
    assert sums_of(COSTS, rows) == pytest.approx(expected)


def test_the_committed_results_give_a_bound_for_any_trace(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    lines = [f"{second},1000,200" for second in range(4200)]
    trace.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]) + "\n")
    found = bound(trace)
    same = {"context_tokens": 1000, "output_tokens": 200, "decoding_tokens": 1100}
    assert list(found["pieces"].values()) == [same, same, same]
    assert all(abs(off) < 10 for off in found["one_vllm_step_off_percent"].values())
    for rates in (each["TPOT 25 ms"] for each in found["highest_rate_per_s"].values()):
        assert rates["one"] < rates["median"] < rates["most"]
