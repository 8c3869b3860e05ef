"""Owns the order in which waiting requests are served: one small interface and its four policies."""

from typing import Protocol

from splitwiser.config.schema import RouterSettings
from splitwiser.routing.request import RoutedRequest


class Policy(Protocol):
    """Ranks a waiting request: the lowest rank goes first, equal ranks in order of arrival.

    ttft_s: from its arrival to its first token, were it given a place now. A request may get a higher rank as it waits.
    """

    def __call__(self, request: RoutedRequest, ttft_s: float) -> int: ...


def first_come(request: RoutedRequest, ttft_s: float) -> int:
    """First come, first served."""
    return 0


def shortest_prompt(request: RoutedRequest, ttft_s: float) -> int:
    """Shortest prompt first: the best mean TTFT, at the cost of long prompts under load."""
    return len(request.prompt_ids)


def by_priority(request: RoutedRequest, ttft_s: float) -> int:
    """The caller's priority, lower first."""
    return request.priority


def on_time(target_s: float) -> Policy:
    """Those first whose first token can still come in time.

    In order of arrival, a line that is too long by half a second makes everyone half a second late. So only as many
    are late as there are too many, and these wait until nobody else does.
    """

    def is_late(request: RoutedRequest, ttft_s: float) -> int:
        return int(ttft_s > target_s)

    return is_late


def policy_of(router: RouterSettings) -> Policy:
    """The one that the settings name."""
    policies: dict[str, Policy] = {
        "fcfs": first_come,
        "shortest": shortest_prompt,
        "priority": by_priority,
        "on-time": on_time(router.ttft_target_s),
    }
    return policies[router.policy]
