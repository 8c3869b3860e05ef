"""docs/error-codes.md says what the error tree says."""

import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from splitwiser import errors
from splitwiser.errors import SplitwiserError

PAGE = Path(__file__).parents[2] / "docs" / "error-codes.md"
ROW = re.compile(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \| (.+) \| (.+) \|$", re.MULTILINE)


def tree(kind: type[SplitwiserError] = SplitwiserError) -> Iterator[type[SplitwiserError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def test_the_page_lists_every_class_with_its_reason_and_status() -> None:
    page = {(name, reason, status) for name, reason, status, _, _ in ROW.findall(PAGE.read_text())}
    assert page == {(kind.__name__, kind.reason, kind.status) for kind in tree()}


def test_reasons_are_unique_so_that_a_caller_can_match_on_them() -> None:
    reasons = [kind.reason for kind in tree()]
    assert len(set(reasons)) == len(reasons)


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_every_status_is_one_of_grpcs(kind: type[SplitwiserError]) -> None:
    assert kind.status in grpc.StatusCode.__members__


def test_the_text_of_an_error_is_its_field_its_cause_and_what_to_do() -> None:
    error = errors.InvalidRequest("is 0", field="stop.max_tokens", help="give 1 or more")
    assert str(error) == "stop.max_tokens: is 0\nhelp: give 1 or more"
