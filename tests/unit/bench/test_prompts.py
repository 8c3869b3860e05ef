"""Made-up prompts: the length asked for, no forbidden token, and the same again from the same seed."""

from splitwiser.bench.prompts import random_token_ids, random_words


def test_token_ids_have_the_length_and_leave_the_excluded_out() -> None:
    tokens = random_token_ids(5000, vocab_size=10, excluded={0, 9}, seed=1)
    assert len(tokens) == 5000
    assert set(tokens) == set(range(1, 9))
    assert tokens == random_token_ids(5000, vocab_size=10, excluded={0, 9}, seed=1)
    assert tokens != random_token_ids(5000, vocab_size=10, excluded={0, 9}, seed=2)


def test_words_have_the_count_and_come_again() -> None:
    assert len(random_words(300, seed=4).split()) == 300
    assert random_words(300, seed=4) == random_words(300, seed=4)
