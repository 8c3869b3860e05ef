"""Owns the verdict on each answer: its tokens and its end, against those of the unsplit model."""

from dataclasses import dataclass

from splitwiser.bench.verify.answers import Answer
from splitwiser.bench.verify.cases import Case


@dataclass(frozen=True, slots=True)
class Expected:
    """Right tokens and finish reason."""

    tokens: list[int]
    end: str


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One answer that is not the expected one. position: of the first token that differs; up to three from there on."""

    model: str
    request: str
    prompt_tokens: int
    position: int
    expected: tuple[int, ...]
    got: tuple[int, ...]
    expected_end: str
    got_end: str


class FoundMismatch(Exception):
    """Ends a verification at its first mismatch."""


class Judge:
    """Takes one model's answers. expected has the cases by name. fail_fast: take raises FoundMismatch."""

    def __init__(self, model: str, expected: dict[str, Expected], *, fail_fast: bool) -> None:
        self._model = model
        self._expected = expected
        self._fail_fast = fail_fast
        self.answers: list[Answer] = []
        self.mismatches: list[Mismatch] = []
        self.seeded_mismatches: list[Mismatch] = []

    def take(self, answer: Answer) -> None:
        """Compare one answer; after the mismatch that ends a verification, none: some may still come in that moment."""
        if self._fail_fast and (self.mismatches or self.seeded_mismatches):
            return
        self.answers.append(answer)
        found = self._compare(answer)
        if found:
            (self.mismatches if answer.case.greedy else self.seeded_mismatches).append(found)
            if self._fail_fast:
                raise FoundMismatch

    def greedy_requests(self) -> int:
        """Different greedy cases that were answered, their next turns not counted."""
        return len({answer.case.name for answer in self.answers if answer.case.greedy and not answer.case.is_turn})

    def handed_over(self) -> list[Case]:
        """The case of each answer whose pages decode took over: all that went on after token 0."""
        return [answer.case for answer in self.answers if len(answer.tokens) > 1]

    def _compare(self, answer: Answer) -> Mismatch | None:
        expected = self._expected[answer.case.name]
        if (answer.tokens, answer.end) == (expected.tokens, expected.end):
            return None
        pairs = zip(answer.tokens, expected.tokens, strict=False)
        same = min(len(answer.tokens), len(expected.tokens))
        position = next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), same)
        return Mismatch(
            model=self._model,
            request=answer.case.name,
            prompt_tokens=len(answer.case.prompt_ids),
            position=position,
            expected=tuple(expected.tokens[position : position + 3]),
            got=tuple(answer.tokens[position : position + 3]),
            expected_end=expected.end,
            got_end=answer.end,
        )
