"""Owns admission by method: a bounded number of calls at a time for each, the others refused at once.

grpc's own maximum_concurrent_rpcs would refuse health checks too, and so make an overloaded service look dead.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from splitwiser.errors import Overloaded


class Admission:
    """Counts calls in flight by full method name. A method without a limit is always admitted."""

    def __init__(self, limits: Mapping[str, int], retry_after_s: float = 1.0) -> None:
        self._limits = limits
        self._retry_after_s = retry_after_s
        self._in_flight: Counter[str] = Counter()

    @contextmanager
    def admit(self, method: str) -> Iterator[None]:
        """Hold one place of the method for the length of the block; Overloaded when there is none."""
        limit = self._limits.get(method)
        if limit is not None and self._in_flight[method] >= limit:
            raise Overloaded(
                f"{limit} calls of {method} are in flight",
                help="wait as long as RetryInfo or Retry-After says, then try again",
                retry_after_s=self._retry_after_s,
            )
        self._in_flight[method] += 1
        try:
            yield
        finally:
            self._in_flight[method] -= 1
