"""Tokens become text piece by piece: nothing split, nothing lost, nothing held back for long."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from splitwiser.text.detokenizer import CHARACTER_TOKENS, REPLACEMENT, ByteDetokenizer, Detokenizer, WindowDetokenizer
from splitwiser.text.tokenizer import ByteTokenizer, LibraryTokenizer, Tokenizer
from tests.unit.text.samples import byte_fallback, byte_level, word_piece

BYTE_LEVEL, BYTE_FALLBACK = LibraryTokenizer(byte_level()), LibraryTokenizer(byte_fallback())
WORD_PIECE, BYTES = LibraryTokenizer(word_piece()), ByteTokenizer()
ANY = st.sampled_from([BYTE_LEVEL, BYTE_FALLBACK, BYTES])
TEXT = st.text(st.characters(codec="utf-8"), max_size=40) | st.text("the 🎉é価\n", max_size=40)


def window(tokenizer: Tokenizer, prompt_ids: Sequence[int] = ()) -> Detokenizer:
    return WindowDetokenizer(tokenizer.decode, prompt_ids)


def pieces(detokenizer: Detokenizer, token_ids: Sequence[int]) -> list[str]:
    return [*(detokenizer.add(token_id) for token_id in token_ids), detokenizer.flush()]


def continuation(tokenizer: Tokenizer, prompt_ids: Sequence[int], token_ids: Sequence[int]) -> str:
    return tokenizer.decode([*prompt_ids, *token_ids])[len(tokenizer.decode(prompt_ids)) :]


@given(ANY, TEXT, st.integers(1, 12))
@example(BYTE_FALLBACK, "0\x80\U00010000\u0800\x1f", 12)
def test_pieces_join_to_the_text_that_the_tokens_add_to_their_prompt(tokenizer: Tokenizer, text: str, cut: int) -> None:
    token_ids = tokenizer.encode("the " + text)
    prompt_ids, completion = token_ids[:cut], token_ids[cut:]
    if REPLACEMENT in tokenizer.decode(prompt_ids):
        return
    for detokenizer in (tokenizer.detokenizer(prompt_ids), window(tokenizer, prompt_ids)):
        output = pieces(detokenizer, completion)
        assert "".join(output) == continuation(tokenizer, prompt_ids, completion)
        assert REPLACEMENT in text or not any(REPLACEMENT in piece for piece in output)


@given(st.lists(st.integers(0, BYTE_LEVEL.vocab_size + 1), max_size=60))
def test_bytes_that_are_no_text_come_out_as_the_tokenizer_itself_decodes_them(token_ids: list[int]) -> None:
    assert "".join(pieces(BYTE_LEVEL.detokenizer(), token_ids)) == BYTE_LEVEL.decode(token_ids)


@given(st.lists(st.integers(0, 256), max_size=60))
def test_the_sim_engines_bytes_come_out_as_its_tokenizer_decodes_them(token_ids: list[int]) -> None:
    assert "".join(pieces(BYTES.detokenizer(), token_ids)) == BYTES.decode(token_ids)


@given(ANY, st.data())
def test_no_token_is_held_back_for_longer_than_a_character(tokenizer: Tokenizer, data: st.DataObject) -> None:
    token_ids = data.draw(st.lists(st.integers(3, 256), max_size=40))
    for detokenizer in (tokenizer.detokenizer(), window(tokenizer)):
        output = pieces(detokenizer, token_ids)[:-1]
        for start in range(len(output) - CHARACTER_TOKENS):
            assert any(output[start : start + CHARACTER_TOKENS + 1])


def test_a_character_over_several_tokens_comes_whole_with_the_last_one() -> None:
    for tokenizer in (BYTES, BYTE_FALLBACK):
        token_ids = tokenizer.encode("🎉")[-4:]
        assert pieces(tokenizer.detokenizer(), token_ids) == ["", "", "", "🎉", ""]


def test_what_stays_incomplete_is_flushed_at_the_end() -> None:
    token_ids = BYTES.encode("🎉")[:-1]
    assert pieces(BYTES.detokenizer(), token_ids) == ["", "", "", REPLACEMENT]


def test_a_character_that_the_prompt_began_comes_whole() -> None:
    token_ids = BYTES.encode("a 🎉")
    assert pieces(BYTES.detokenizer(token_ids[:-2]), token_ids[-2:]) == ["", "🎉", ""]


def test_the_first_token_keeps_its_space_after_a_prompt() -> None:
    the = BYTE_FALLBACK.encode("the")
    assert pieces(BYTE_FALLBACK.detokenizer(the), the) == [" the", ""]
    assert pieces(window(BYTE_FALLBACK, the), the) == [" the", ""]


def test_tokens_whose_text_depends_on_their_neighbours_are_decoded_among_them() -> None:
    token_ids = WORD_PIECE.encode("the quick brown fox jumps over the lazy dog")
    detokenizer = WORD_PIECE.detokenizer(token_ids[:2])
    assert isinstance(detokenizer, WindowDetokenizer)
    assert "".join(pieces(detokenizer, token_ids[2:])) == continuation(WORD_PIECE, token_ids[:2], token_ids[2:])


@pytest.mark.parametrize("special", [0, 1, 10**6])
def test_special_and_unknown_tokens_have_no_text_and_break_no_character(special: int) -> None:
    detokenizer = BYTE_LEVEL.detokenizer()
    assert isinstance(detokenizer, ByteDetokenizer)
    party = BYTE_LEVEL.encode("🎉 x")[1:]
    assert "".join(pieces(detokenizer, [special, party[0], special, *party[1:], special])) == "🎉 x"
