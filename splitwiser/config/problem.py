"""Owns how a wrong setting is told: its field, its value, where that came from, and what would be right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Never
from urllib.parse import urlsplit, urlunsplit

from splitwiser.errors import ConfigurationError

SECRETS = frozenset({"redis.password"})
"""Settings whose value is never told."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong setting. field is dotted, as in router.listen; origin is empty when nobody set the value."""

    field: str
    value: object
    cause: str
    remedy: str
    origin: str = ""

    @property
    def found(self) -> str:
        """The value and its origin, for a person to find it again; a password, also one in a URL, stays hidden."""
        value = hide_password(self.value) if isinstance(self.value, str) else self.value
        if self.field in SECRETS:
            value = "***"
        return f"{value!r} from {self.origin or 'the default'}: {self.cause}"

    def __str__(self) -> str:
        return f"{self.field}: {self.found}\n    {self.remedy}"


def raise_problems(problems: Sequence[Problem]) -> Never:
    """Raise all of them as one ConfigurationError."""
    if len(problems) == 1:
        (problem,) = problems
        raise ConfigurationError(problem.found, help=problem.remedy, field=problem.field)
    lines = "".join(f"\n  {problem}" for problem in problems)
    raise ConfigurationError(f"{len(problems)} settings are wrong{lines}", help="correct each as its second line says")


def hide_password(text: str) -> str:
    """The same text; if it is a URL with a password, that is replaced by stars."""
    try:
        url = urlsplit(text)
        password = url.password
    except ValueError:
        return text
    if not password:
        return text
    user, _, host = url.netloc.rpartition("@")
    return urlunsplit(url._replace(netloc=f"{user.partition(':')[0]}:***@{host}"))
