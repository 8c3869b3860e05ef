"""Text to token ids and back."""

import pytest

from splitwiser.errors import InvalidRequest
from splitwiser.text.tokenizer import BYTE_EOS, ByteTokenizer, LibraryTokenizer, Tokenizer
from tests.unit.text.samples import byte_fallback, byte_level

TOKENIZERS = [LibraryTokenizer(byte_level()), LibraryTokenizer(byte_fallback()), ByteTokenizer()]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("text", ["", "the", "naïve 価格 🎉\x00\n"])
def test_text_survives_the_round_trip(tokenizer: Tokenizer, text: str) -> None:
    token_ids = tokenizer.encode(text)
    assert tokenizer.decode(token_ids) == text
    assert all(0 <= token_id < tokenizer.vocab_size for token_id in token_ids)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_lone_surrogate_is_an_invalid_request_that_says_where(tokenizer: Tokenizer) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tokenizer.encode("ab\ud800")
    assert (caught.value.field, "character 2" in caught.value.cause) == ("text", True)


def test_encoding_adds_the_special_tokens_of_the_tokenizers_post_processor() -> None:
    assert TOKENIZERS[0].encode("the")[0] == 0


def test_the_sim_engines_ids_are_bytes() -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.encode("é") == list("é".encode())
    assert tokenizer.decode([65, BYTE_EOS, 66]) == "AB"
    assert tokenizer.vocab_size == 257
