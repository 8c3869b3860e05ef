"""Owns the ledger's vocabulary: who may own pages, what a grant is, and how many pages are where."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from splitwiser.errors import SplitwiserError
from splitwiser.kv.handle import KvHandle


class Role(StrEnum):
    """What a worker may do: prefill grants, decode claims, an observer owns nothing."""

    PREFILL = "prefill"
    DECODE = "decode"
    OBSERVER = "observer"


@dataclass(frozen=True, slots=True)
class Owner:
    """One worker's life at the store: a worker that comes back is another owner."""

    id: int
    role: Role


@dataclass(frozen=True, slots=True)
class Grant:
    """Pages on their way from grantor to whoever claims the handle."""

    handle: KvHandle
    grantor: Owner


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claimer gives for granted pages. answer takes the grant once it is made, or the refusal."""

    claimer: Owner
    give: tuple[int, ...]
    answer: Callable[[Grant | SplitwiserError], None]


@dataclass(slots=True)
class Promise:
    """A grant to come. claim: the one that waits for it."""

    handle_id: str
    grantor: Owner
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Pages by place: free + prefill + granted + decode + cached + shared == total.

    Nobody's, but found by their content: shared pages, which a request reads, and cached ones, which none does now.
    grants, claims and refusals count calls so far.
    """

    total: int = 0
    free: int = 0
    prefill: int = 0
    granted: int = 0
    decode: int = 0
    grants: int = 0
    claims: int = 0
    refusals: int = 0
    cached: int = 0
    shared: int = 0
