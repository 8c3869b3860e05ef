"""Owns the random numbers of sampling: token index of a request depends on (seed, index) alone, in either phase."""

import hashlib
import struct

_KEY = struct.Struct("<QQ")
_MANTISSA_BITS = 53


def uniform(seed: int, index: int) -> float:
    """A number in [0, 1) for token number index of a request. seed: 0 to 2**64 - 1."""
    digest = hashlib.blake2b(_KEY.pack(seed, index), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> (64 - _MANTISSA_BITS)) / (1 << _MANTISSA_BITS)
