"""Log probabilities in OpenAI's two forms."""

from splitwiser.openai.logprobs import chat_logprobs, completion_logprobs
from splitwiser.v1.sampling_pb2 import TokenLogprobs

PIECES = {1: b"a", 2: b"bc", 3: b"\xc3", 4: b"\xa9"}
TOLD = [
    TokenLogprobs(logprob=-0.5, top_token_ids=[1, 2], top_logprobs=[-0.5, -1]),
    TokenLogprobs(logprob=-3, top_token_ids=[4, 2], top_logprobs=[-0.25, -2]),
]


def piece(token_id: int) -> bytes:
    return PIECES[token_id]


def test_a_completion_has_four_arrays() -> None:
    assert completion_logprobs(piece, [1, 3], TOLD, offset=7) == {
        "tokens": ["a", "\ufffd"],
        "token_logprobs": [-0.5, -3],
        "top_logprobs": [{"a": -0.5, "bc": -1}, {"\ufffd": -3, "bc": -2}],
        "text_offset": [7, 8],
    }


def test_without_likeliest_tokens_there_are_none() -> None:
    assert completion_logprobs(piece, [1], [TokenLogprobs(logprob=-1)], 0)["top_logprobs"] == [None]


def test_a_chat_has_the_bytes_of_parts_of_characters() -> None:
    (first, second) = chat_logprobs(piece, [1, 3], TOLD)["content"]
    assert (first["token"], first["bytes"], first["logprob"]) == ("a", [97], -0.5)
    assert [entry["bytes"] for entry in second["top_logprobs"]] == [[0xA9], [98, 99]]
