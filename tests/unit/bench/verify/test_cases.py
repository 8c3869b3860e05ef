"""Cases: every border length is met, stops really stop, and drawings differ in nothing but what is asked for."""

from dataclasses import replace

from splitwiser.bench.verify.cases import (
    BORDER_OUTPUTS,
    BORDER_PROMPTS,
    GREEDY,
    MAX_OUTPUT_TOKENS,
    MAX_PROMPT_TOKENS,
    PENALIZED,
    Case,
    greedy_cases,
    seeded_cases,
    with_stops,
)
from splitwiser.bench.verify.plan import make_plan
from splitwiser.engine.base import Sampling
from splitwiser.text.model_info import ModelInfo

MODEL = ModelInfo("m", max_tokens=4096, vocab_size=300, eos_token_ids=frozenset({7}), engine="sim")


def test_greedy_cases_meet_every_border_and_stay_within() -> None:
    cases = greedy_cases(200, MODEL, seed=0)
    assert [len(case.prompt_ids) for case in cases[: len(BORDER_PROMPTS)]] == list(BORDER_PROMPTS)
    assert [case.max_tokens for case in cases[: len(BORDER_OUTPUTS)]] == list(BORDER_OUTPUTS)
    assert all(1 <= len(case.prompt_ids) <= MAX_PROMPT_TOKENS for case in cases)
    assert all(1 <= case.max_tokens <= MAX_OUTPUT_TOKENS for case in cases)
    assert not any(7 in case.prompt_ids for case in cases)
    assert {case.ignore_eos for case in cases} == {True, False}
    assert len({case.prompt_ids for case in cases}) > 190
    assert cases == greedy_cases(200, MODEL, seed=0)


def test_penalties_are_asked_for_where_they_are_offered() -> None:
    cases = greedy_cases(16, replace(MODEL, engine="vllm"), seed=0)
    asked = [case.sampling for case in cases if case.sampling != GREEDY]
    assert asked == [*PENALIZED.values()] * 2
    assert all(case.greedy for case in cases)
    assert not any(case.sampling != GREEDY for case in greedy_cases(16, MODEL, seed=0))


def test_no_turn_follows_on_a_penalty() -> None:
    """What an answer is, a prompt would be then, and a penalty tells them apart."""
    cases = greedy_cases(16, replace(MODEL, engine="vllm"), seed=0)
    plan = make_plan(cases, [[9] * case.max_tokens for case in cases], eos_token_ids=(), seed=0)
    assert len(plan.first) == 16
    assert {case.sampling for case in plan.third} == {GREEDY}


def test_cases_fit_a_short_model() -> None:
    cases = greedy_cases(50, replace(MODEL, max_tokens=100), seed=0)
    assert max(len(case.prompt_ids) + case.max_tokens for case in cases) == 100


def test_an_answer_ends_with_the_first_stop() -> None:
    case = Case("c", (1,), 5, ignore_eos=True, stop_token_ids=(9,))
    assert case.expected([3, 2, 9, 9, 4], eos_token_ids={2}) == ([3, 2, 9], "STOP")
    assert Case("c", (1,), 5, ignore_eos=False).expected([3, 2, 9, 9, 4], {2}) == ([3, 2], "STOP")
    assert Case("c", (1,), 5).expected([3, 2, 9, 9, 4], {2}) == ([3, 2, 9, 9, 4], "LENGTH")


def test_stops_are_tokens_that_come() -> None:
    cases = greedy_cases(9, MODEL, seed=0)
    stopped = with_stops(cases, [[5, 6, 7]] * 9, seed=0)
    assert [bool(case.stop_token_ids) for case in stopped] == [False, False, True] * 3
    assert all(set(case.stop_token_ids) <= {5, 6, 7} for case in stopped)


def test_seeded_cases_are_drawn_and_keep_their_prompts() -> None:
    greedy = greedy_cases(10, MODEL, seed=0)
    seeded = seeded_cases(greedy, 4, seed=0)
    assert [case.prompt_ids for case in seeded] == [case.prompt_ids for case in greedy[:4]]
    assert not any(case.greedy for case in seeded)
    assert len({case.sampling.seed for case in seeded}) == 4


def test_a_request_carries_everything_and_is_unique_by_attempt() -> None:
    case = Case("c", (1, 2), 5, ignore_eos=False, stop_token_ids=(9,), sampling=Sampling(0.5, 0.9, 3, 11))
    request = case.request("first")
    assert request.request_id != case.request("second").request_id
    assert list(request.token_ids.ids) == [1, 2]
    assert (request.stop.max_tokens, request.stop.ignore_eos, list(request.stop.stop_token_ids)) == (5, False, [9])
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.seed) == (0.5, 0.9, 3, 11)
