"""The one error tree. Each class carries its stable reason and its gRPC status; rpc/status.py puts both on the wire.

An error's text is its cause; `help` says what to do. docs/error-codes.md lists every class and a test keeps it true.
"""

from collections.abc import Iterator
from typing import ClassVar


class SplitwiserError(Exception):
    """Base of every error a user or another service can meet."""

    reason: ClassVar[str] = "INTERNAL"
    status: ClassVar[str] = "INTERNAL"

    def __init__(self, cause: str, *, help: str, field: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.help = help
        self.field = field
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.cause}\nhelp: {self.help}"


class InvalidRequest(SplitwiserError):
    """A field of the request is wrong; sending it again cannot help."""

    reason = "INVALID_REQUEST"
    status = "INVALID_ARGUMENT"


class PromptTooLong(InvalidRequest):
    """Prompt and completion do not fit the model's length or the pool."""

    reason = "PROMPT_TOO_LONG"


class ModelNotFound(SplitwiserError):
    """The request names a model that is not served here."""

    reason = "MODEL_NOT_FOUND"
    status = "NOT_FOUND"


class Unsupported(SplitwiserError):
    """What the request asks for is not offered by the engine or the model that is served."""

    reason = "UNSUPPORTED"
    status = "UNIMPLEMENTED"


class DuplicateRequest(SplitwiserError):
    """A request of the same id is in flight."""

    reason = "DUPLICATE_REQUEST"
    status = "ALREADY_EXISTS"


class UnknownHandle(SplitwiserError):
    """No grant of that handle id was ever made by this store."""

    reason = "UNKNOWN_HANDLE"
    status = "NOT_FOUND"


class StaleHandle(SplitwiserError):
    """The handle was claimed, withdrawn, or lost with its grantor; its pages may hold another prompt's KV."""

    reason = "STALE_HANDLE"
    status = "FAILED_PRECONDITION"


class LayoutMismatch(SplitwiserError):
    """The two sides do not agree on model, dtype, page size or order."""

    reason = "LAYOUT_MISMATCH"
    status = "FAILED_PRECONDITION"


class ForeignPages(SplitwiserError):
    """A worker named pages that are out of range or not its own."""

    reason = "FOREIGN_PAGES"
    status = "INVALID_ARGUMENT"


class Overloaded(SplitwiserError):
    """A bounded queue is full; retry_after_s says when to try again."""

    reason = "OVERLOADED"
    status = "RESOURCE_EXHAUSTED"


class DeadlineExceeded(SplitwiserError):
    """The caller's deadline passed before the outcome."""

    reason = "DEADLINE_EXCEEDED"
    status = "DEADLINE_EXCEEDED"


class WorkerLost(SplitwiserError):
    """A prefill or decode worker went away under the request."""

    reason = "WORKER_LOST"
    status = "UNAVAILABLE"


class GaveWay(SplitwiserError):
    """Decode ran out of pages, and this request came last. The router prefills it again; a client never sees it."""

    reason = "GAVE_WAY"
    status = "ABORTED"


class Draining(SplitwiserError):
    """The service is leaving and takes nothing new."""

    reason = "DRAINING"
    status = "UNAVAILABLE"


class RegistryUnavailable(SplitwiserError):
    """Redis does not answer; new requests wait for it, those in flight go on."""

    reason = "REGISTRY_UNAVAILABLE"
    status = "UNAVAILABLE"


class StoreLost(SplitwiserError):
    """The store's connection ended: page ownership is unknown, so the worker must stop."""

    reason = "STORE_LOST"
    status = "UNAVAILABLE"


class ConfigurationError(SplitwiserError):
    """A setting is wrong; found before anything starts. Exit code 2."""

    reason = "CONFIGURATION"
    status = "FAILED_PRECONDITION"


class StartupError(SplitwiserError):
    """Something a service needs is missing: a model, a port, Redis, a folder. Exit code 1."""

    reason = "STARTUP"
    status = "FAILED_PRECONDITION"


def class_of(reason: str) -> type[SplitwiserError] | None:
    """The class that a reason read off a wire stands for."""
    return _CLASS_OF_REASON.get(reason)


def _tree(kind: type[SplitwiserError]) -> Iterator[type[SplitwiserError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


_CLASS_OF_REASON = {kind.reason: kind for kind in _tree(SplitwiserError)}
