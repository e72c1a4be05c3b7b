"""Answers in plain JSON."""

from __future__ import annotations

import time

import pytest

from ml_exporter.errors import Malformed, WrongPrediction
from ml_exporter.plain_json import content_type, json_of
from ml_exporter.ports import Answer


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
@pytest.mark.parametrize("body", [b"%s", b"[[1, %s]]", b'{"a": [{"b": %s}]}'])
def test_numbers_that_json_has_not_are_wrong(body: bytes, number: bytes) -> None:
    with pytest.raises(WrongPrediction, match=r"the answer holds -?(NaN|Infinity); expected are finite numbers"):
        json_of(Answer(200, {}, body % number))


def test_everything_else_is_given_as_it_is() -> None:
    assert json_of(Answer(200, {}, b'{"a": [1, 2.5, null, true]}')) == {"a": [1, 2.5, None, True]}


def test_their_names_are_texts_like_any_other() -> None:
    assert json_of(Answer(200, {}, b'["NaN", "-Infinity"]')) == ["NaN", "-Infinity"]


@pytest.mark.parametrize("item", [b"1.5,", b'"NaN",'])
def test_ten_megabytes_are_read_soon(item: bytes) -> None:
    body = b"[" + item * (10_000_000 // len(item)) + b"0]"
    started = time.process_time()
    json_of(Answer(200, {}, body))
    assert time.process_time() - started < 5


def test_a_number_that_is_too_large_is_malformed() -> None:
    with pytest.raises(Malformed, match="Number out of range"):
        json_of(Answer(200, {}, b"[1e999]"))


def test_a_page_is_no_json() -> None:
    with pytest.raises(Malformed, match="an HTML page"):
        json_of(Answer(200, {"content-type": "Text/HTML; charset=utf-8"}, b"1"))


def test_a_content_type_is_read_whatever_its_case_and_parameters() -> None:
    assert content_type(Answer(200, {"content-type": "Application/JSON; charset=utf-8"}, b"")) == "application/json"
    assert content_type(Answer(200, {}, b"")) == ""
