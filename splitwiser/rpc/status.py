"""Owns the wire form of errors: a gRPC status with google.rpc details, out of the error tree and back into it."""

from collections.abc import Iterator
from typing import NoReturn

import grpc
from google.protobuf import any_pb2, message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from splitwiser import errors
from splitwiser.errors import SplitwiserError, class_of

DOMAIN = "splitwiser"
DETAILS_KEY = "grpc-status-details-bin"
MAX_CAUSE_BYTES = 1024
"""A cause goes along three times, escaped. Of metadata beyond 8 KiB gRPC may drop all, the status with it."""


async def abort(context: "grpc.aio.ServicerContext[object, object]", error: SplitwiserError) -> NoReturn:
    """End the call with the error's status; google.rpc details carry its reason, help, field and retry time."""
    error.cause = _clipped(error.cause)
    details = encode(error).SerializeToString()
    await context.abort(grpc.StatusCode[error.status], error.cause, ((DETAILS_KEY, details),))
    raise AssertionError("abort returned")


def _clipped(cause: str) -> str:
    content = cause.encode()
    return cause if len(content) <= MAX_CAUSE_BYTES else content[:MAX_CAUSE_BYTES].decode(errors="ignore") + "..."


def encode(error: SplitwiserError) -> status_pb2.Status:
    """The error as google.rpc.Status: ErrorInfo always, BadRequest for a named field, RetryInfo where waiting helps."""
    status = status_pb2.Status(code=code_pb2.Code.Value(error.status), message=error.cause)
    for detail in _details(error):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _details(error: SplitwiserError) -> Iterator[message.Message]:
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata={"help": error.help})
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=str(error))
        yield error_details_pb2.BadRequest(field_violations=[violation])
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        yield retry


def decode(error: grpc.aio.AioRpcError) -> SplitwiserError:
    """The error tree's own exception for a failed call; a peer that went away becomes WorkerLost."""
    info, field, retry_after_s = error_details_pb2.ErrorInfo(), "", None
    for detail in _status_of(error).details:
        violations, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(violations) and violations.field_violations:
            field = violations.field_violations[0].field
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
        else:
            detail.Unpack(info)
    kind = class_of(info.reason) or _CLASS_OF_CODE.get(error.code(), SplitwiserError)
    cause = error.details() or error.code().name
    return kind(cause, help=info.metadata["help"] or "see the service's log", field=field, retry_after_s=retry_after_s)


def _status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()


_CLASS_OF_CODE = {
    grpc.StatusCode.UNAVAILABLE: errors.WorkerLost,
    # Not our own cancellation, which never becomes an RPC error here: a server that stops cancels what comes too late.
    grpc.StatusCode.CANCELLED: errors.WorkerLost,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
}
