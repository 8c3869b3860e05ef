"""Owns the sim engine's right answers, computed from the tokens alone: no pool, no pages, no phases."""

import zlib
from collections.abc import Sequence
from functools import cache

from splitwiser.engine.base import Sampling
from splitwiser.engine.sim.model import hash_seed, kv_record, make_weights, next_token


@cache
def _seed() -> int:
    return hash_seed(make_weights())


def expected_tokens(prompt_ids: Sequence[int], max_tokens: int, sampling: Sampling) -> list[int]:
    """The max_tokens tokens that follow the prompt, token 0 included."""
    kv_hash = _seed()
    for position, token in enumerate(prompt_ids):
        kv_hash = zlib.crc32(kv_record(token, position), kv_hash)
    tokens: list[int] = []
    for index in range(max_tokens):
        tokens.append(next_token(kv_hash, sampling, index))
        kv_hash = zlib.crc32(kv_record(tokens[-1], len(prompt_ids) + index), kv_hash)
    return tokens
