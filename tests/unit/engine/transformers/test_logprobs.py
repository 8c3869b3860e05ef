"""Log probabilities are of the model's distribution, whatever was drawn and however."""

import math

import pytest
import torch

from splitwiser.engine.base import Sampling
from splitwiser.engine.batch import Drawn
from splitwiser.engine.transformers.logprobs import with_logprobs

LOGITS = torch.tensor([[0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]])


def asking(count: int | None) -> Sampling:
    return Sampling(0.1, 0.5, 1, 0, logprobs=count)


def test_only_rows_that_ask_are_told() -> None:
    first, second = with_logprobs(LOGITS, [3, 1], [asking(None), asking(0)])
    assert first == 3
    assert isinstance(second, Drawn)
    assert (second.token, second.logprobs.top) == (1, ())
    assert second.logprobs.logprob == pytest.approx(math.log(1 / 4))


def test_the_likeliest_come_first_and_temperature_changes_nothing() -> None:
    (drawn, _) = with_logprobs(LOGITS, [0, 0], [asking(3), asking(None)])
    assert isinstance(drawn, Drawn)
    expected = LOGITS[0].log_softmax(0).tolist()
    assert [token for token, _ in drawn.logprobs.top] == [3, 2, 1]
    assert [value for _, value in drawn.logprobs.top] == pytest.approx(expected[:0:-1])
    assert drawn.logprobs.logprob == pytest.approx(expected[0])


def test_more_than_the_vocabulary_is_all_of_it() -> None:
    (drawn,) = with_logprobs(LOGITS[:1], [0], [asking(20)])
    assert isinstance(drawn, Drawn)
    assert len(drawn.logprobs.top) == 4
