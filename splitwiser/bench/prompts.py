"""Owns made-up prompts: token ids or words, of a given length, from a seed alone."""

from collections.abc import Collection
from itertools import islice
from random import Random

WORDS = """
the one this that river mountain window letter garden morning engine paper story city light winter question
answer teacher market island summer bridge music number travel history science kitchen village ocean forest
small large quiet bright early open simple strong distant gentle clear heavy walks reads writes finds keeps
builds opens carries remembers follows explains crosses watches and or but while because before after under
over near with without through toward slowly often never always
"""


def random_token_ids(count: int, *, vocab_size: int, excluded: Collection[int] = (), seed: int) -> list[int]:
    """count token ids, uniform over the vocabulary without the excluded ones (end of sequence, special tokens)."""
    draw = Random(f"prompt {seed}").randrange
    allowed = (token for token in iter(lambda: draw(vocab_size), None) if token not in excluded)
    return list(islice(allowed, count))


def random_words(count: int, *, seed: int) -> str:
    """count words of plain English in no order that means anything: about one token each for a trained tokenizer."""
    return " ".join(Random(f"words {seed}").choices(WORDS.split(), k=count))
