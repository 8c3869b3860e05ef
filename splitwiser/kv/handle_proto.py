"""Owns the wire form of epochs, handles and promises, the same over gRPC and on the store's socket."""

from splitwiser.kv.handle import Epoch, KvHandle, KvPromise
from splitwiser.v1 import kv_pb2


def epoch_to_proto(epoch: Epoch) -> kv_pb2.Epoch:
    return kv_pb2.Epoch(incarnation=epoch.incarnation, counter=epoch.counter)


def epoch_from_proto(proto: kv_pb2.Epoch) -> Epoch:
    return Epoch(proto.incarnation, proto.counter)


def handle_to_proto(handle: KvHandle) -> kv_pb2.KvHandle:
    """The handle as the store tells grantor and claimer."""
    return kv_pb2.KvHandle(
        store=handle.store,
        handle_id=handle.handle_id,
        epoch=epoch_to_proto(handle.epoch),
        pages=handle.pages,
        tokens=handle.tokens,
        layout_hash=handle.layout_hash,
        granted_monotonic_ns=handle.granted_monotonic_ns,
        shared=handle.shared,
        next_token_id=handle.next_token,
    )


def handle_from_proto(proto: kv_pb2.KvHandle) -> KvHandle:
    """The handle as its reader has it."""
    return KvHandle(
        store=proto.store,
        handle_id=proto.handle_id,
        epoch=epoch_from_proto(proto.epoch),
        pages=tuple(proto.pages),
        tokens=proto.tokens,
        layout_hash=proto.layout_hash,
        granted_monotonic_ns=proto.granted_monotonic_ns,
        shared=tuple(proto.shared),
        next_token=proto.next_token_id,
    )


def promise_to_proto(promise: KvPromise) -> kv_pb2.KvPromise:
    """The promise as it travels from prefill by the router to decode."""
    return kv_pb2.KvPromise(
        handle_id=promise.handle_id,
        epoch=epoch_to_proto(promise.epoch),
        pages=promise.pages,
        shared=promise.shared,
        tokens=promise.tokens,
        layout_hash=promise.layout_hash,
    )


def promise_from_proto(proto: kv_pb2.KvPromise) -> KvPromise:
    """The promise as its reader has it; the store checks what is claimed."""
    epoch = epoch_from_proto(proto.epoch)
    return KvPromise(proto.handle_id, epoch, proto.pages, proto.shared, proto.tokens, proto.layout_hash)
