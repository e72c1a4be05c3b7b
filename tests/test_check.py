"""`ml-exporter check`: who answers, what is there, who owns it, and what was meant to own something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.recorded import Recorded, fixture

from ml_exporter.__main__ import main
from ml_exporter.check import check
from ml_exporter.config import from_data


@pytest.fixture
def prefect() -> Iterator[str]:
    with Recorded(fixture("prefect")["exchanges"]) as backend:
        yield backend.url


def said(services: list[dict[str, Any]], **sources: str) -> tuple[bool, list[str]]:
    """`sources`: kind → address; options are those of the fixture."""
    listed = [
        {"name": f"the-{kind}", "kind": kind, "url": url, **fixture(kind).get("options", {})}
        for kind, url in sources.items()
    ]
    lines: list[str] = []
    return check(from_data({"sources": listed, "services": services}), lines.append), lines


NAMES = sorted(fixture("prefect")["expect"]["pipelines"])


def test_a_source_that_answers_says_how_many_pipelines_it_has_and_whose(prefect: str) -> None:
    mine = {"pipeline": f"the-prefect/{NAMES[0]}"}
    fine, lines = said([{"name": "fraud", "owner": "me", "stages": {"training": [mine]}}], prefect=prefect)
    assert fine
    [line] = [line for line in lines if line.startswith("source the-prefect: ok")]
    assert "(fraud " in line
    assert not any(line.startswith("note") for line in lines)


def test_a_pattern_that_matches_nothing_names_the_nearest(prefect: str) -> None:
    near = {"pipeline": f"the-prefect/{NAMES[0][:-1]}"}
    fine, lines = said([{"name": "fraud", "owner": "me", "stages": {"training": [near]}}], prefect=prefect)
    assert fine
    notes = [line for line in lines if line.startswith("note")]
    assert f"note: services[0].stages.training[0].pipeline: '{near['pipeline']}' matches no pipeline" in notes[0]
    assert f"did you mean 'the-prefect/{NAMES[0][:5]}" in notes[0]
    assert "services[0]: nothing belongs to 'fraud', by a pattern or by a tag" in notes[1]


def test_nothing_is_said_of_what_a_source_that_does_not_answer_may_have(prefect: str) -> None:
    services = [{"name": "fraud", "owner": "me", "stages": {"training": [{"pipeline": "the-ray/train"}]}}]
    fine, lines = said(services, prefect=prefect, ray=f"{prefect}/nothing-here")
    assert not fine
    assert any(line.startswith("source the-ray: server_error: ") for line in lines)
    assert not any(line.startswith("note") for line in lines)


@pytest.mark.parametrize("kind", ["ray", "slurm", "kubernetes", "mlflow"])
def test_pipelines_that_only_their_runs_tell_of_are_counted_too(kind: str) -> None:
    with ExitStack() as stack:
        backend = stack.enter_context(Recorded(fixture(kind)["exchanges"]))
        fine, lines = said([], **{kind: backend.url})
    assert fine
    assert not lines[0].startswith(f"source the-{kind}: ok, 0 ")


def test_a_file_that_is_not_there_is_noted_without_asking_anybody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ml-exporter.yaml"
    file.write_text("sources: [{name: a, kind: ray, url: 'http://127.0.0.1:1', token_file: nope}]")
    assert main(["check", "--offline", "--config", str(file)]) == 0
    assert f"note: sources[0].token_file: {tmp_path / 'nope'} is not there" in capsys.readouterr().err
