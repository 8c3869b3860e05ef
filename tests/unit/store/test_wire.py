"""What crosses the store's socket arrives as it was, and the largest page lists fit a frame."""

from collections.abc import Iterator

import pytest

from splitwiser.errors import SplitwiserError
from splitwiser.kv.handle import Epoch, KvHandle, KvPromise
from splitwiser.kv.handle_proto import (
    epoch_to_proto,
    handle_from_proto,
    handle_to_proto,
    promise_from_proto,
    promise_to_proto,
)
from splitwiser.kv.owner import Counts
from splitwiser.memory.frame import MAX_PAYLOAD_BYTES
from splitwiser.store.desk import MAX_POOL_PAGES
from splitwiser.store.wire import (
    MAX_FRAME_PAGES,
    MAX_NAME_CHARS,
    counts_from_proto,
    counts_to_proto,
    error_from_proto,
    error_to_proto,
)
from splitwiser.v1.store_pb2 import ClaimPages, Failure, StoreReply, StoreRequest

PAGES = range(MAX_POOL_PAGES - MAX_FRAME_PAGES, MAX_POOL_PAGES)
LONG_NAME = "\N{GRINNING FACE}" * MAX_NAME_CHARS


def error_classes(kind: type[SplitwiserError] = SplitwiserError) -> Iterator[type[SplitwiserError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from error_classes(child)


@pytest.mark.parametrize("kind", list(error_classes()))
def test_every_error_arrives_as_its_own_class(kind: type[SplitwiserError]) -> None:
    arrived = error_from_proto(error_to_proto(kind("cause", help="help")))
    assert (type(arrived), arrived.cause, arrived.help) == (kind, "cause", "help")


def test_a_reason_from_a_later_version_is_still_an_error() -> None:
    assert type(error_from_proto(Failure(reason="NEW", message="cause"))) is SplitwiserError


def test_counts_arrive_as_they_were() -> None:
    counts = Counts(36, 1, 2, 3, 30, 5, 6, 7)
    assert counts_from_proto(counts_to_proto(counts)) == counts


def test_the_longest_lists_of_the_highest_pages_fit_a_frame() -> None:
    epoch = Epoch((1 << 64) - 1, (1 << 64) - 1)
    handle = KvHandle(LONG_NAME, LONG_NAME, epoch, tuple(PAGES), (1 << 32) - 1, "f" * 32, (1 << 64) - 1, (), 7)
    assert handle_from_proto(handle_to_proto(handle)) == handle
    reply = StoreReply(call_id=(1 << 64) - 1, granted=handle_to_proto(handle))
    verb = ClaimPages(handle_id=LONG_NAME, epoch=epoch_to_proto(epoch), give=PAGES, layout_hash="f" * 32)
    claim = StoreRequest(call_id=(1 << 64) - 1, claim_pages=verb)
    promise = KvPromise(LONG_NAME, epoch, 25_000, 1, (1 << 32) - 1, "f" * 32)
    assert promise_from_proto(promise_to_proto(promise)) == promise
    assert reply.ByteSize() <= MAX_PAYLOAD_BYTES
    assert claim.ByteSize() <= MAX_PAYLOAD_BYTES
