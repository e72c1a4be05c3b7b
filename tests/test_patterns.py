"""Regular expressions of the configuration: what is refused, and how much of a text is searched."""

from __future__ import annotations

import time

import pytest

from ml_exporter.errors import ConfigError
from ml_exporter.patterns import SEARCHED, compiled, found

FOR_EVER = ["(a+)+$", r"(\w+\s?)*!", "(?:a|aa)+$", "((a*)b?){12,}", "(?=(x+)+y)", "(a?){30}a{30}"]


@pytest.mark.parametrize("pattern", FOR_EVER)
def test_a_pattern_that_can_take_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"^body_matches\[0\]: found .* can take for ever"):
        compiled(pattern, "body_matches[0]")


@pytest.mark.parametrize(
    "pattern",
    ['"status"\\s*:\\s*"ok"', r"(\d{1,3}\.){3}\d+", "(ab|cd)?x+", "[a-z]+(-[a-z]){2}", "(?:a+)++$", "(cat|dog)"],
)
def test_other_patterns_are_taken(pattern: str) -> None:
    assert compiled(pattern, "body_matches[0]").pattern == pattern


@pytest.mark.parametrize("pattern", ["(", "a{5,2}", "(" * 5_000 + ")" * 5_000])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"^body_matches\[0\]: .* is no regular expression"):
        compiled(pattern, "body_matches[0]")


def test_a_pattern_is_searched_in_the_beginning_of_a_text() -> None:
    pattern = compiled("x", "key")
    assert found(pattern, "-" * (SEARCHED - 1) + "x")
    assert not found(pattern, "-" * SEARCHED + "x")


def test_a_pattern_that_looks_at_everything_twice_ends_soon() -> None:
    started = time.process_time()
    assert not found(compiled(".*x", "key"), "-" * 10_000_000)
    assert time.process_time() - started < 2
