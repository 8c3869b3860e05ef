"""Stop strings across any border: nothing of them gets out, and nothing else is held back at the end."""

from hypothesis import given
from hypothesis import strategies as st

from splitwiser.text.stop import StopMatcher, beginning_at_end

LETTERS = st.text("ab", max_size=6)
STOPS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=4)


def before_first_stop(text: str, stops: list[str]) -> str | None:
    """What is before the stop string that is complete first (of two that end together, the longer), by trying all."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)]
    return None


@given(st.lists(LETTERS, max_size=12), STOPS)
def test_any_cut_of_the_text_gives_what_a_search_of_the_whole_gives(parts: list[str], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    output = ""
    for part in parts:
        output += matcher.add(part)
        if matcher.matched:
            break
    output += matcher.flush()
    text = "".join(parts)
    expected = before_first_stop(text, stops)
    assert matcher.matched is (expected is not None)
    assert output == (text if expected is None else expected)


@given(st.lists(LETTERS, max_size=12), STOPS)
def test_only_what_may_become_a_stop_string_is_held_back(parts: list[str], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    text, output = "", ""
    for part in parts:
        text += part
        output += matcher.add(part)
        if matcher.matched:
            return
        held = text[len(output) :]
        assert text.startswith(output)
        assert not held or any(stop.startswith(held) for stop in stops)


@given(LETTERS, st.text("ab", min_size=1, max_size=4))
def test_the_beginning_of_a_stop_string_is_found_at_the_end_of_the_text(text: str, stop: str) -> None:
    assert beginning_at_end(text, stop) == max(n for n in range(len(stop)) if text.endswith(stop[:n]))


def test_without_stop_strings_everything_goes_out_at_once() -> None:
    assert StopMatcher([]).add("text") == "text"


def test_a_stop_string_over_three_tokens_never_shows() -> None:
    matcher = StopMatcher(["\n\nUser:"])
    assert [matcher.add(text) for text in ("Hello.\n", "\nUs", "er: hi")] == ["Hello.", "", ""]
    assert matcher.matched
    assert matcher.flush() == ""
