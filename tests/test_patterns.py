"""Regular expressions of the configuration: what is refused, and that none of them takes long."""

from __future__ import annotations

import time

import pytest

from ml_exporter.errors import ConfigError
from ml_exporter.patterns import Pattern


@pytest.mark.parametrize("pattern", ["(", "a{5,2}", "(?=lookahead)", "a{100000}"])
def test_what_is_no_pattern_is_refused_with_its_key(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"^body_matches\[0\]: found .* no regular expression \(RE2\): "):
        Pattern(pattern, "body_matches[0]")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a?){30}a{30}$", ".*a.*a.*a$"])
def test_a_pattern_that_stops_pythons_engine_takes_no_time_here(pattern: str) -> None:
    started = time.process_time()
    assert not Pattern(pattern, "key").found("a" * 1_000_000 + "!")
    assert time.process_time() - started < 2


def test_a_pattern_is_found_anywhere_in_a_text_of_any_script() -> None:
    assert Pattern("é+!$", "key").found("un café…\n" * 100_000 + "caféé!")
    assert not Pattern("^Paris", "key").found("in Paris")
