"""Owns the error tree's way into OpenAI's form: an HTTP status, and a body that names the field and says what to do."""

import math
from typing import Any

from splitwiser.errors import SplitwiserError

_HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    # Not 501: OpenAI's clients try every 5xx again, which could not help.
    "UNIMPLEMENTED": 400,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 503,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "FAILED_PRECONDITION": 503,
    "DEADLINE_EXCEEDED": 504,
}
_TYPES = {400: "invalid_request_error", 404: "not_found_error", 409: "conflict_error", 429: "rate_limit_error"}
_PARAMETERS = {"text": "prompt", "token_ids": "prompt", "deadline": "", "sampling.structured_output": "response_format"}


def http_status(error: SplitwiserError) -> int:
    """The HTTP status of an error; 500 for what has no class of its own."""
    return _HTTP_STATUS.get(error.status, 500)


def error_body(error: SplitwiserError) -> dict[str, Any]:
    """OpenAI's error object. code is the stable reason of docs/error-codes.md; message is cause and help."""
    parameter = _parameter(error.field)
    where = f"{parameter}: " if parameter else ""
    kind = _TYPES.get(http_status(error), "server_error")
    message = f"{where}{error.cause}\nhelp: {error.help}"
    return {"error": {"message": message, "type": kind, "param": parameter or None, "code": error.reason}}


def error_headers(error: SplitwiserError) -> dict[str, str]:
    """Retry-After in whole seconds, where waiting helps."""
    if error.retry_after_s is None:
        return {}
    return {"retry-after": str(math.ceil(error.retry_after_s))}


def _parameter(field: str) -> str:
    """The field by OpenAI's name: sections such as `stop.` are the protocol's own."""
    return _PARAMETERS.get(field, field.rpartition(".")[2])
