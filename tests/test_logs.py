"""One event, one line, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from ml_exporter import logs


@pytest.fixture(autouse=True)
def _the_logging_of_before() -> Iterator[None]:
    root, aiohttp_server = logging.getLogger(), logging.getLogger("aiohttp.server")
    handlers, level, other = root.handlers[:], root.level, aiohttp_server.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    aiohttp_server.setLevel(other)


def written(format: logs.Format, message: str = "poll done", level: str = "info", **extra: Any) -> str:
    stream = io.StringIO()
    logs.configure(format, level, stream)
    logging.getLogger("ml_exporter.poller").info(message, extra=extra)
    return stream.getvalue()


def test_logfmt_is_readable_and_has_the_extras() -> None:
    line = written("logfmt", source="tracking", runs=7, seconds=0.25, ok=True, error_count=None)
    assert line.startswith("ts=20")
    assert line.endswith(
        'level=info logger=ml_exporter.poller msg="poll done" source=tracking runs=7 seconds=0.25 ok=true '
        "error_count=null\n"
    )


def test_json_is_json() -> None:
    event = json.loads(written("json", source="trägung", runs=7, nested={"a": [1]}))
    assert event["msg"] == "poll done"
    assert event["level"] == "info"
    assert event["source"] == "trägung"
    assert event["runs"] == 7
    assert event["nested"] == {"a": [1]}


def test_times_are_utc_and_iso() -> None:
    at = json.loads(written("json"))["ts"]
    assert at.endswith("Z")
    assert abs(datetime.fromisoformat(at).timestamp() - datetime.now().timestamp()) < 5


@pytest.mark.parametrize("format", ["logfmt", "json"])
@pytest.mark.parametrize("name", ['a\nlevel=error msg="forged"', "a\r\u2028\x85\x0bb\x1b[31m", "half \ud800", 'quo"te'])
def test_a_hostile_name_stays_on_its_line_and_in_its_quotes(format: logs.Format, name: str) -> None:
    line = written(format, pipeline=name)
    assert len(line.splitlines()) == 1
    assert line.removesuffix("\n").isprintable()
    value = json.loads(line)["pipeline"] if format == "json" else json.loads(line.partition("pipeline=")[2])
    assert value == name


def test_a_hostile_key_cannot_forge_another() -> None:
    assert " a_b_level_error=1\n" in written("logfmt", **{"a b=level\nerror": 1})


def test_an_extra_cannot_replace_what_every_line_has() -> None:
    event = json.loads(written("json", level_="x", logger="other"))
    assert event["logger"] == "ml_exporter.poller"
    assert event["logger_"] == "other"


def test_an_exception_is_one_line_with_its_traceback() -> None:
    stream = io.StringIO()
    logs.configure("logfmt", "info", stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("x").exception("a bug")
    line = stream.getvalue()
    assert len(line.splitlines()) == 1
    assert r'error="ValueError: two\nlines"' in line
    assert "test_logs.py" in line


def test_numbers_that_json_does_not_know_become_text() -> None:
    assert json.loads(written("json", ratio=float("nan")))["ratio"] == "nan"


def test_events_below_the_level_are_left_out() -> None:
    assert written("logfmt", level="warning") == ""


def test_configuring_twice_writes_once() -> None:
    written("logfmt")
    assert len(written("logfmt").splitlines()) == 1
