"""Each wrong field of a request is refused by its name; a right request leaves no value to a default."""

import pytest

from splitwiser.errors import InvalidRequest, ModelNotFound, PromptTooLong
from splitwiser.routing.intake import Intake, Limits
from splitwiser.text.model_info import ModelInfo
from splitwiser.text.tokenizer import ByteTokenizer
from splitwiser.v1.inference_pb2 import GenerateRequest, TokenIds
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions

MODEL = ModelInfo("tiny", max_tokens=32, vocab_size=257, eos_token_ids=frozenset({256}), engine="sim")
LIMITS = Limits(
    default_max_tokens=10, max_stop_strings=2, max_stop_chars=8, max_prompt_chars=100, max_request_tokens=1000
)


@pytest.fixture
def intake() -> Intake:
    return Intake(MODEL, ByteTokenizer(), LIMITS)


def stop(**fields: object) -> StopConditions:
    return StopConditions(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "error", "field"),
    [
        (GenerateRequest(), InvalidRequest, "prompt"),
        (GenerateRequest(text=""), InvalidRequest, "text"),
        (GenerateRequest(token_ids=TokenIds()), InvalidRequest, "token_ids"),
        (GenerateRequest(token_ids=TokenIds(ids=[300])), InvalidRequest, "token_ids"),
        (GenerateRequest(text="x" * 32), PromptTooLong, "prompt"),
        (GenerateRequest(text="x" * 101), PromptTooLong, "text"),
        (GenerateRequest(text="x", model="other"), ModelNotFound, "model"),
        (GenerateRequest(text="x", stop=stop(max_tokens=0)), InvalidRequest, "stop.max_tokens"),
        (GenerateRequest(text="x", stop=stop(max_tokens=32)), InvalidRequest, "stop.max_tokens"),
        (GenerateRequest(text="x", stop=stop(stop=["a", "b", "c"])), InvalidRequest, "stop.stop"),
        (GenerateRequest(text="x", stop=stop(stop=["a" * 9])), InvalidRequest, "stop.stop"),
        (GenerateRequest(text="x", stop=stop(stop=[""])), InvalidRequest, "stop.stop"),
        (GenerateRequest(text="x", stop=stop(stop_token_ids=[257])), InvalidRequest, "stop.stop_token_ids"),
        *(
            (
                GenerateRequest(text="x", sampling=SamplingParams(temperature=value)),
                InvalidRequest,
                "sampling.temperature",
            )
            for value in (-0.1, 2.1, float("nan"), float("inf"))
        ),
        *(
            (GenerateRequest(text="x", sampling=SamplingParams(top_p=value)), InvalidRequest, "sampling.top_p")
            for value in (0.0, -1.0, 1.1, float("nan"))
        ),
    ],
)
def test_a_wrong_field_is_named(
    intake: Intake, request_: GenerateRequest, error: type[InvalidRequest], field: str
) -> None:
    with pytest.raises(error) as caught:
        intake.admit("id", request_)
    assert caught.value.field == field
    assert caught.value.help


@pytest.mark.parametrize("request_id", ["a b", "x" * 129, "é", "a/b", "\n"])
def test_a_request_id_that_could_break_a_key_is_refused(intake: Intake, request_id: str) -> None:
    with pytest.raises(InvalidRequest):
        intake.request_id(GenerateRequest(request_id=request_id))


def test_ids_are_drawn_where_none_is_given(intake: Intake) -> None:
    assert intake.request_id(GenerateRequest()) != intake.request_id(GenerateRequest())


def test_defaults_are_filled_in(intake: Intake) -> None:
    routed = intake.admit("id", GenerateRequest(text="abc"))
    assert routed.prompt_ids == (97, 98, 99)
    assert (routed.sampling.temperature, routed.sampling.top_p, routed.sampling.top_k) == (1.0, 1.0, 0)
    assert (routed.stop.max_tokens, routed.stop.stop_token_ids) == (10, frozenset({256}))


def test_the_default_length_shrinks_to_the_room_that_is_left(intake: Intake) -> None:
    assert intake.admit("id", GenerateRequest(text="x" * 30)).stop.max_tokens == 2


def test_ignoring_the_end_keeps_the_callers_own_stop_tokens(intake: Intake) -> None:
    routed = intake.admit("id", GenerateRequest(text="x", stop=stop(ignore_eos=True, stop_token_ids=[5])))
    assert routed.stop.stop_token_ids == {5}


def test_the_pool_bounds_a_request_as_the_model_does() -> None:
    small = Limits(10, 2, 8, 100, max_request_tokens=8)
    with pytest.raises(PromptTooLong):
        Intake(MODEL, ByteTokenizer(), small).admit("id", GenerateRequest(text="x" * 8))
