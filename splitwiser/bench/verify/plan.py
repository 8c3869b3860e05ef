"""Owns what one model is asked, and the answers that are right."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from splitwiser.bench.verify.cases import GREEDY, Case, next_turns, with_stops
from splitwiser.bench.verify.judge import Expected

# Cases sent one by one, to see which pages each writes.
ALONE = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """Three rounds of cases, and their right answers by name.

    Every case is in the first round. The seeded ones come again in the second, among other neighbours. In the third,
    prompts go on where answers of the first were.
    """

    first: Sequence[Case]
    second: Sequence[Case]
    third: Sequence[Case]
    alone: Sequence[Case]
    seeded: int
    expected: dict[str, Expected]


def make_plan(
    drawn: Sequence[Case], unstopped: Sequence[list[int]], *, eos_token_ids: Collection[int], seed: int
) -> Plan:
    """Cases and what the unsplit model answered become rounds in an order of their own."""
    # To a penalty, what was the answer would be prompt in the next turn.
    turns = [pair for pair in next_turns(drawn, unstopped) if pair[0].sampling == GREEDY]
    cases = with_stops(drawn, unstopped, seed=seed)
    expected = {
        case.name: Expected(*case.expected(tokens, eos_token_ids))
        for case, tokens in zip(cases, unstopped, strict=True)
    }
    expected |= {turn.name: Expected(*turn.expected(tokens, eos_token_ids)) for turn, tokens in turns}
    greedy, seeded = [case for case in cases if case.greedy], [case for case in cases if not case.greedy]
    random = Random(f"order {seed}")
    return Plan(
        first=_shuffled(cases, random),
        second=_shuffled([*greedy[::2], *seeded], random),
        third=_shuffled([turn for turn, _ in turns], random),
        alone=[case for case in greedy if len(expected[case.name].tokens) > 1][:ALONE],
        seeded=len(seeded),
        expected=expected,
    )


def _shuffled(cases: Sequence[Case], random: Random) -> list[Case]:
    return random.sample(cases, len(cases))
