"""Decode never goes by tokens that it was not told: a call without them is refused before anything is claimed."""

import pytest

from services.decode.tokens import check_tokens
from splitwiser.engine.base import Sampling, StopRule
from splitwiser.errors import InvalidRequest
from splitwiser.v1.decode_pb2 import DecodeRequest

PROMISED_TOKENS = 7
STOP = StopRule(10, frozenset())
PLAIN = Sampling(0, 1, 0, 0)
REPETITION = Sampling(0, 1, 0, 0, repetition_penalty=1.5)


@pytest.mark.parametrize(
    ("request_", "sampling"),
    [
        (DecodeRequest(), PLAIN),
        (DecodeRequest(prompt_token_ids=[1] * 7), REPETITION),
        (DecodeRequest(first_index=2, earlier_token_ids=[3, 4], prompt_token_ids=[1] * 5), REPETITION),
        (DecodeRequest(first_index=2, earlier_token_ids=[3, 4]), PLAIN),
        (DecodeRequest(first_index=2), PLAIN),
    ],
)
def test_a_call_with_what_it_needs_is_taken(request_: DecodeRequest, sampling: Sampling) -> None:
    check_tokens(request_, PROMISED_TOKENS, STOP, sampling)


@pytest.mark.parametrize(
    ("request_", "sampling", "field"),
    [
        (DecodeRequest(), REPETITION, "prompt_token_ids"),
        (DecodeRequest(prompt_token_ids=[1] * 6), PLAIN, "prompt_token_ids"),
        (DecodeRequest(first_index=2, earlier_token_ids=[3, 4], prompt_token_ids=[1] * 7), REPETITION, "prompt"),
        (DecodeRequest(first_index=2, earlier_token_ids=[3]), PLAIN, "earlier_token_ids"),
        (DecodeRequest(earlier_token_ids=[3]), PLAIN, "earlier_token_ids"),
        (DecodeRequest(first_index=7), PLAIN, "first_index"),
        (DecodeRequest(first_index=9), PLAIN, "first_index"),
    ],
)
def test_a_call_without_it_is_refused(request_: DecodeRequest, sampling: Sampling, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_tokens(request_, PROMISED_TOKENS, STOP, sampling)
    assert (caught.value.field or "").startswith(field)
