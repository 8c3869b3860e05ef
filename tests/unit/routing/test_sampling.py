"""How tokens are to be drawn: each wrong field is refused by its name, and each wish reaches the engines as it was."""

import pytest
import tokenizers
from tokenizers.models import BPE

from splitwiser.engine.base import Sampling, StopRule, StructuredOutput
from splitwiser.engine.offers import OFFERS, require_offered
from splitwiser.errors import InvalidRequest, Unsupported
from splitwiser.routing.sampling import check_sampling
from splitwiser.rpc import convert
from splitwiser.text.tokenizer import ByteTokenizer, LibraryTokenizer
from splitwiser.v1.sampling_pb2 import Choices, LogitBias, SamplingParams, TokenSequence
from splitwiser.v1.sampling_pb2 import StructuredOutput as Output

VOCABULARY = 150


@pytest.mark.parametrize(
    ("proto", "field"),
    [
        (SamplingParams(min_p=-0.1), "min_p"),
        (SamplingParams(min_p=1.5), "min_p"),
        (SamplingParams(min_p=float("nan")), "min_p"),
        (SamplingParams(logprobs=21), "logprobs"),
        (SamplingParams(logit_bias=[LogitBias(token_id=150, bias=1)]), "logit_bias"),
        (SamplingParams(logit_bias=[LogitBias(token_id=1, bias=101)]), "logit_bias"),
        (SamplingParams(logit_bias=[LogitBias(token_id=1, bias=float("nan"))]), "logit_bias"),
        (SamplingParams(logit_bias=[LogitBias(token_id=1, bias=1)] * 2), "logit_bias"),
        *((SamplingParams(presence_penalty=value), "presence_penalty") for value in (2.1, -2.1, float("nan"))),
        *((SamplingParams(frequency_penalty=value), "frequency_penalty") for value in (2.1, -2.1, float("inf"))),
        *((SamplingParams(repetition_penalty=value), "repetition_penalty") for value in (0, -1, float("inf"))),
        (SamplingParams(bad_words=[""]), "bad_words"),
        (SamplingParams(bad_words=[" "]), "bad_words"),
        (SamplingParams(bad_words=["\xff"]), "bad_words"),
        (SamplingParams(bad_words=[f"word {number}" for number in range(129)]), "bad_words"),
        (SamplingParams(bad_words=["x" * 1025]), "bad_words"),
        (SamplingParams(bad_words=["x" * 20_000]), "bad_words"),
        (SamplingParams(bad_token_ids=[TokenSequence()]), "bad_words"),
        (SamplingParams(bad_token_ids=[TokenSequence(token_ids=[1, 150])]), "bad_words"),
        (SamplingParams(structured_output=Output(json_schema="{")), "structured_output"),
        (SamplingParams(structured_output=Output(json_schema="[1]")), "structured_output"),
        (SamplingParams(structured_output=Output(json_schema="[" * 60_000)), "structured_output"),
        (SamplingParams(structured_output=Output(regex="")), "structured_output"),
        (SamplingParams(structured_output=Output(choice=Choices())), "structured_output"),
        (SamplingParams(structured_output=Output(grammar="x" * 70_000)), "structured_output"),
    ],
)
def test_a_wrong_field_is_named(proto: SamplingParams, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_sampling(proto, VOCABULARY, ByteTokenizer())
    assert caught.value.field == f"sampling.{field}"
    assert caught.value.help


WISHES = [
    SamplingParams(temperature=0.5, top_p=0.25, top_k=7, seed=9, min_p=0.125),
    SamplingParams(logprobs=0),
    SamplingParams(logprobs=5, logit_bias=[LogitBias(token_id=3, bias=-2), LogitBias(token_id=4, bias=1.5)]),
    SamplingParams(presence_penalty=1.5, frequency_penalty=-0.25, repetition_penalty=1.125),
    SamplingParams(
        bad_words=["ab", "C"], bad_token_ids=[TokenSequence(token_ids=[4]), TokenSequence(token_ids=[5, 6])]
    ),
    SamplingParams(structured_output=Output(json_object=True)),
    SamplingParams(structured_output=Output(json_schema='{"type": "object"}')),
    SamplingParams(structured_output=Output(regex="a+")),
    SamplingParams(structured_output=Output(choice=Choices(choices=["a", 'b"']))),
    SamplingParams(structured_output=Output(grammar='root ::= "a"')),
]


@pytest.mark.parametrize("proto", WISHES)
def test_every_wish_crosses_between_services(proto: SamplingParams) -> None:
    sampling = check_sampling(proto, VOCABULARY, ByteTokenizer())
    assert convert.sampling_from_proto(convert.sampling_to_proto(sampling)) == sampling


def test_a_choice_is_kept_as_it_was() -> None:
    proto = SamplingParams(structured_output=Output(choice=Choices(choices=["é", '"'])))
    sampling = check_sampling(proto, VOCABULARY, ByteTokenizer())
    assert convert.sampling_to_proto(sampling).structured_output == proto.structured_output


def test_a_word_is_meant_after_a_space_too_where_it_is_as_many_tokens() -> None:
    """The tokenizer knows "ab" and " ab", but no " c"; of bytes, a space is one more."""
    vocabulary = {"a": 0, "b": 1, "c": 2, " ": 3, "ab": 4, " ab": 5}
    library = LibraryTokenizer(tokenizers.Tokenizer(BPE(vocabulary, [("a", "b"), (" ", "ab")])))
    proto = SamplingParams(bad_words=["ab", "c", "ab", "  ab"], bad_token_ids=[TokenSequence(token_ids=[1])])
    assert check_sampling(proto, 6, library).bad_words == ((4,), (5,), (2,), (4,), (5,), (1,))
    assert check_sampling(SamplingParams(bad_words=["ab"]), 256, ByteTokenizer()).bad_words == ((97, 98),)


PLAIN, END = Sampling(1, 1, 0, 0), StopRule(5, frozenset())


@pytest.mark.parametrize("engine", OFFERS)
@pytest.mark.parametrize(
    ("field", "sampling", "stop"),
    [
        ("sampling.logprobs", Sampling(1, 1, 0, 0, logprobs=0), END),
        ("sampling.min_p", Sampling(1, 1, 0, 0, min_p=0.1), END),
        ("sampling.logit_bias", Sampling(1, 1, 0, 0, logit_bias=((1, 1.0),)), END),
        ("sampling.structured_output", Sampling(1, 1, 0, 0, structured_output=StructuredOutput("regex", "a")), END),
        ("sampling.presence_penalty", Sampling(1, 1, 0, 0, presence_penalty=0.1), END),
        ("sampling.frequency_penalty", Sampling(1, 1, 0, 0, frequency_penalty=-0.1), END),
        ("sampling.repetition_penalty", Sampling(1, 1, 0, 0, repetition_penalty=1.1), END),
        ("sampling.bad_words", Sampling(1, 1, 0, 0, bad_words=((1,),)), END),
        ("stop.min_tokens", PLAIN, StopRule(5, frozenset(), min_tokens=2)),
    ],
)
def test_an_engine_refuses_what_it_does_not_offer(engine: str, field: str, sampling: Sampling, stop: StopRule) -> None:
    require_offered(engine, PLAIN, END)
    if field in OFFERS[engine]:
        require_offered(engine, sampling, stop)
        return
    with pytest.raises(Unsupported) as caught:
        require_offered(engine, sampling, stop)
    assert (caught.value.field, "vllm" in caught.value.help) == (field, True)
