"""What the client reads: each token once, the reason with the last of them, and nothing after a stop string."""

from splitwiser.engine.base import FinishReason, Sampling, StopRule
from splitwiser.routing.answer import Answer
from splitwiser.routing.request import Outcome, RoutedRequest
from splitwiser.text.tokenizer import ByteTokenizer
from splitwiser.v1.sampling_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FINISH_REASON_UNSPECIFIED,
    TokenLogprobs,
)


def answer(max_tokens: int, *stop_strings: str, min_tokens: int = 0) -> Answer:
    stop = StopRule(max_tokens, frozenset({256}), min_tokens)
    request = RoutedRequest("id", (1, 2), Sampling(0, 1, 0, 0), stop, stop_strings, 0)
    return Answer(request, ByteTokenizer().detokenizer())


def test_the_message_with_the_last_token_says_why_it_is_the_last() -> None:
    building = answer(3)
    first, last = building.message([97]), building.message([98, 99])
    assert (first.request_id, first.prompt_tokens, first.finish_reason) == ("id", 2, FINISH_REASON_UNSPECIFIED)
    assert (last.request_id, last.text, last.finish_reason) == ("", "bc", FINISH_REASON_LENGTH)
    end, reason = building.end(Outcome(FinishReason.LENGTH, 3), None)
    assert (end.text, end.finish.usage.completion_tokens, reason) == ("", 3, FinishReason.LENGTH)


def test_with_the_last_token_goes_what_was_held_back() -> None:
    building = answer(2, "bcd")
    assert building.message([97, 98]).text == "ab"
    assert building.message([]).text == ""


def test_half_a_character_at_the_end_is_told_as_such() -> None:
    message = answer(1).message([0xC3])
    assert (message.text, message.finish_reason) == ("\ufffd", FINISH_REASON_LENGTH)


def test_a_stop_string_ends_it_and_no_log_probabilities_follow() -> None:
    building = answer(9, "bc")
    told = [TokenLogprobs(logprob=-float(place)) for place in range(4)]
    message = building.message([97, 98, 99, 100], told)
    assert (message.text, list(message.token_ids), message.finish_reason) == ("a", [97, 98, 99], FINISH_REASON_STOP)
    assert [entry.logprob for entry in message.logprobs] == [0, -1, -2]


def test_a_stop_string_before_the_least_length_is_text() -> None:
    building = answer(9, "ab", min_tokens=3)
    message = building.message([97, 98, 97, 98, 99])
    assert (message.text, message.finish_reason) == ("ab", FINISH_REASON_STOP)
    assert building.stopped
