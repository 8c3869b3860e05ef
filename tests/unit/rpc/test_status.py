"""Errors keep their reason, field, help and retry time across the wire."""

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from splitwiser import errors
from splitwiser.errors import SplitwiserError
from splitwiser.rpc import status


def received(error: SplitwiserError) -> AioRpcError:
    """What a client's stub raises for an error that a server aborted with."""
    trailing = Metadata((status.DETAILS_KEY, status.encode(error).SerializeToString()))
    return AioRpcError(grpc.StatusCode[error.status], Metadata(), trailing, details=error.cause)


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequest("is -1", field="sampling.temperature", help="use 0 to 2"),
        errors.Overloaded("256 requests are waiting", help="wait", retry_after_s=1.5),
        errors.StaleHandle("claimed before", help="prefill again"),
        errors.ModelNotFound("no such model", field="model", help="ask for llama"),
    ],
)
def test_an_error_comes_back_as_what_it_was(error: SplitwiserError) -> None:
    decoded = status.decode(received(error))
    assert type(decoded) is type(error)
    assert (decoded.cause, decoded.help, decoded.field) == (error.cause, error.help, error.field)
    assert decoded.retry_after_s == error.retry_after_s


def test_a_peer_that_went_away_is_a_lost_worker() -> None:
    error = AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata(), details="Socket closed")
    assert isinstance(status.decode(error), errors.WorkerLost)
