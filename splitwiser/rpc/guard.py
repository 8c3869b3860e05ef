"""Owns what every call of a service passes before its servicer sees it: metadata bounds, admission, readable requests,
and the error tree's way onto the wire."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import message

from splitwiser.errors import DeadlineExceeded, InvalidRequest, SplitwiserError
from splitwiser.rpc import status
from splitwiser.rpc.admission import Admission
from splitwiser.rpc.decoding import tolerant
from splitwiser.rpc.requests import Requests

Handler = Callable[[Any, Any], Awaitable[Any]]


class Guard(grpc.aio.ServerInterceptor):
    """Wraps the methods of our own services; health and reflection pass untouched.

    kinds: the request class by full method name, such as /splitwiser.v1.InferenceService/Generate.
    """

    def __init__(
        self,
        kinds: dict[str, type[message.Message]],
        admission: Admission,
        requests: Requests,
        max_metadata_bytes: int,
    ) -> None:
        self._kinds = kinds
        self._admission = admission
        self._requests = requests
        self._max_metadata_bytes = max_metadata_bytes

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        """Wrap the method's handler, if the method is ours."""
        handler = await continuation(details)
        kind = self._kinds.get(details.method)
        if handler is None or kind is None:
            return handler
        size_bytes = sum(len(key) + len(value) for key, value in details.invocation_metadata or ())
        inner = handler.unary_stream or handler.unary_unary
        make = (
            grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(
            self._guarded(details.method, inner, size_bytes),
            request_deserializer=tolerant(kind),
            response_serializer=handler.response_serializer,
        )

    def _guarded(self, method: str, inner: Handler, metadata_bytes: int) -> Handler:
        async def call(request: Any, context: Any) -> Any:
            try:
                self._check(request, context, metadata_bytes)
                with self._admission.admit(method), self._requests.call(method):
                    return await inner(request, context)
            except SplitwiserError as error:
                await status.abort(context, error)

        return call

    def _check(self, request: Any, context: Any, metadata_bytes: int) -> None:
        if metadata_bytes > self._max_metadata_bytes:
            raise InvalidRequest(
                f"metadata takes {metadata_bytes} bytes, {self._max_metadata_bytes} is the most",
                field="metadata",
                help="send less metadata",
            )
        if isinstance(request, SplitwiserError):
            raise request
        remaining_s = context.time_remaining()
        if remaining_s is not None and remaining_s <= 0:
            raise DeadlineExceeded("the deadline had passed on arrival", field="deadline", help="allow more time")
