"""Owns what the sim engine computes: its weights, the KV record of a token, and the token that follows some KV.

The next token is a hash over every KV byte of the request, so that any wrong page shows as a wrong token.
"""

import hashlib
import struct
import zlib

from splitwiser.engine.base import Sampling
from splitwiser.engine.draw import uniform

RECORD_BYTES = 16
WEIGHTS_BYTES = 1 << 20
FIRST_PRINTABLE, PRINTABLE = 32, 95

_KEY = struct.Struct("<II")


def make_weights() -> bytes:
    """The same bytes every time: only their place in memory tells a mapped copy from a loaded one."""
    return hashlib.shake_256(b"splitwiser sim weights").digest(WEIGHTS_BYTES)


def fill_weights(memory: memoryview) -> None:
    """Make the weights in place; memory: WEIGHTS_BYTES."""
    memory[:] = make_weights()


def hash_seed(weights: bytes | memoryview) -> int:
    """What the weights add to every token: another byte in them is another model."""
    return zlib.crc32(weights)


def kv_record(token: int, position: int) -> bytes:
    """RECORD_BYTES of KV. They depend on the position, so that swapped pages are wrong pages."""
    return hashlib.blake2b(_KEY.pack(token, position), digest_size=RECORD_BYTES).digest()


def next_token(kv_hash: int, sampling: Sampling, index: int) -> int:
    """Token number index, in printable ASCII, after KV whose CRC-32 (from hash_seed on) is kv_hash."""
    place = kv_hash / (1 << 32)
    if sampling.temperature > 0:
        place = (place + uniform(sampling.seed, index)) % 1.0
    return FIRST_PRINTABLE + int(place * PRINTABLE)
