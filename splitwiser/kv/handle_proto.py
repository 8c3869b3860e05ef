"""Owns the wire form of a handle, the same over gRPC and on the store's socket."""

from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.v1 import kv_pb2


def epoch_to_proto(epoch: Epoch) -> kv_pb2.Epoch:
    return kv_pb2.Epoch(incarnation=epoch.incarnation, counter=epoch.counter)


def epoch_from_proto(proto: kv_pb2.Epoch) -> Epoch:
    return Epoch(proto.incarnation, proto.counter)


def handle_to_proto(handle: KvHandle) -> kv_pb2.KvHandle:
    """The handle as it travels from the store by prefill and router to decode."""
    return kv_pb2.KvHandle(
        store=handle.store,
        handle_id=handle.handle_id,
        epoch=epoch_to_proto(handle.epoch),
        pages=handle.pages,
        tokens=handle.tokens,
        layout_hash=handle.layout_hash,
        granted_monotonic_ns=handle.granted_monotonic_ns,
        shared=handle.shared,
    )


def handle_from_proto(proto: kv_pb2.KvHandle) -> KvHandle:
    """The handle as its reader has it; the store checks what is claimed."""
    return KvHandle(
        store=proto.store,
        handle_id=proto.handle_id,
        epoch=epoch_from_proto(proto.epoch),
        pages=tuple(proto.pages),
        tokens=proto.tokens,
        layout_hash=proto.layout_hash,
        granted_monotonic_ns=proto.granted_monotonic_ns,
        shared=tuple(proto.shared),
    )
