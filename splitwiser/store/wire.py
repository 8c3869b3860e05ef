"""Owns the border between the store's frames and the library's own types, for both ends of the socket."""

from importlib.metadata import version

from google.protobuf.message import DecodeError

from splitwiser.errors import SplitwiserError, class_of
from splitwiser.kv.owner import Counts, Role
from splitwiser.memory.frame import Frame
from splitwiser.v1 import store_pb2

VERSION = version("splitwiser")
MAX_FRAME_PAGES = 25_000
"""Page numbers of one frame: the most that its bytes hold, with room for the rest."""
MAX_NAME_CHARS = 256
"""Longest handle id, worker name or segment name."""

ROLE_TO_PROTO = {
    Role.PREFILL: store_pb2.ROLE_PREFILL,
    Role.DECODE: store_pb2.ROLE_DECODE,
    Role.OBSERVER: store_pb2.ROLE_OBSERVER,
}
ROLE_FROM_PROTO = {value: key for key, value in ROLE_TO_PROTO.items()}


def read_request(frame: Frame) -> store_pb2.StoreRequest:
    """The request in a frame. Raises FrameError, with the frame's fds closed, for what no client would send."""
    try:
        request = store_pb2.StoreRequest.FromString(frame.payload)
    except DecodeError:
        raise frame.refuse("not a StoreRequest") from None
    verb = request.WhichOneof("verb")
    if verb is None or request.call_id == 0:
        raise frame.refuse("a request without verb or call id")
    if len(frame.fds) != (2 if verb == "publish_segment" else 0):
        raise frame.refuse(f"{verb} with {len(frame.fds)} file descriptors")
    return request


def read_reply(frame: Frame) -> store_pb2.StoreReply:
    """The reply or event in a frame. Raises FrameError as read_request does."""
    try:
        reply = store_pb2.StoreReply.FromString(frame.payload)
    except DecodeError:
        raise frame.refuse("not a StoreReply") from None
    if len(frame.fds) != (2 if reply.segment.present else 0):
        raise frame.refuse(f"a reply with {len(frame.fds)} file descriptors")
    return reply


def counts_to_proto(counts: Counts) -> store_pb2.Counts:
    return store_pb2.Counts(
        total=counts.total,
        free=counts.free,
        prefill=counts.prefill,
        granted=counts.granted,
        decode=counts.decode,
        grants=counts.grants,
        claims=counts.claims,
        refusals=counts.refusals,
        cached=counts.cached,
        shared=counts.shared,
    )


def counts_from_proto(proto: store_pb2.Counts) -> Counts:
    return Counts(
        proto.total,
        proto.free,
        proto.prefill,
        proto.granted,
        proto.decode,
        proto.grants,
        proto.claims,
        proto.refusals,
        proto.cached,
        proto.shared,
    )


def error_to_proto(error: SplitwiserError) -> store_pb2.Failure:
    return store_pb2.Failure(reason=error.reason, message=error.cause, help=error.help)


def error_from_proto(proto: store_pb2.Failure) -> SplitwiserError:
    """The class of the error tree that has this reason."""
    kind = class_of(proto.reason) or SplitwiserError
    return kind(proto.message, help=proto.help)
