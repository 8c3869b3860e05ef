"""Owns the order in which waiting requests are served: one small interface and its three policies."""

from typing import Protocol

from splitwiser.routing.request import RoutedRequest


class Policy(Protocol):
    """Ranks a waiting request: the lowest rank goes first, equal ranks in order of arrival."""

    def __call__(self, request: RoutedRequest) -> int: ...


def first_come(request: RoutedRequest) -> int:
    """First come, first served."""
    return 0


def shortest_prompt(request: RoutedRequest) -> int:
    """Shortest prompt first: the best mean TTFT, at the cost of long prompts under load."""
    return len(request.prompt_ids)


def by_priority(request: RoutedRequest) -> int:
    """The caller's priority, lower first."""
    return request.priority


POLICIES: dict[str, Policy] = {"fcfs": first_come, "shortest": shortest_prompt, "priority": by_priority}
