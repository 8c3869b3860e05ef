"""Owns the KV handle: where a request's KV is and under which epoch it may be claimed, once; and the promise of one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Epoch:
    """The fence. A restarted store draws a new incarnation, a promise raises the counter: no pair ever comes twice."""

    incarnation: int
    counter: int

    def __str__(self) -> str:
        return f"{self.incarnation:016x}.{self.counter}"


@dataclass(frozen=True, slots=True)
class KvHandle:
    """Granted pages. handle_id says whose they are, epoch which grant it was.

    shared: pages before them that others read as well, and that change no owner. next_token: the one that comes after
    tokens, whose KV is not written yet.
    """

    store: str
    handle_id: str
    epoch: Epoch
    pages: tuple[int, ...]
    tokens: int
    layout_hash: str
    granted_monotonic_ns: int
    shared: tuple[int, ...] = ()
    next_token: int = 0


@dataclass(frozen=True, slots=True)
class KvPromise:
    """A handle to come. pages, shared and tokens: how many of each it will name."""

    handle_id: str
    epoch: Epoch
    pages: int
    shared: int
    tokens: int
    layout_hash: str
