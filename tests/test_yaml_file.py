"""Files that would fill the memory or overrun the stack are refused in one line, by way of a file of objectives."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ml_exporter.__main__ import main

SERVICES = [{"name": "fraud-detection", "owner": "risk-ml"}]


def tenfold(first: str, again: str, levels: int = 9) -> str:
    """Aliases, each of ten of the one before."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {again % ', '.join([f'*a{n - 1}'] * 10)}" for n in range(1, levels + 1)]
    return "\n".join(lines) + "\n"


LISTS = tenfold("[x]", "[%s]")
CHAIN = "a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000))
# What `k` holds is only reached by the last of them.
HIDDEN = "a0: &a0 []\n" + "".join(f"a{n}: {{<<: {{k: &a{n} [*a{n - 1}]}}, k: 1}}\n" for n in range(1, 3000))
REPEATED = "aliases make more than 1,000,000 values of it"
DEEP = "lists and sections within each other, more than 100 levels"
HOSTILE = {
    "aliases in the version": (LISTS + "apiVersion: *a9\nkind: SLO\n", REPEATED),
    "aliases in the kind": (LISTS + "apiVersion: openslo/v1\nkind: *a9\n", REPEATED),
    "aliases in the name": (LISTS + "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: *a9}\n", REPEATED),
    "merges of merges": (tenfold("{k: v}", "{<<: [%s]}"), "line 6, column 5: more than 10,000 merged keys"),
    "a list in itself": ("- &a [*a]\n", DEEP),
    "5,000 brackets": ("[" * 5000 + "]" * 5000, f"line 1, column 100: {DEEP}"),
    "100,000 brackets that are left open": ("[" * 100_000, f"line 1, column 100: {DEEP}"),
    "a chain of aliases": (CHAIN + "apiVersion: *a2999\n", DEEP),
    "a hidden chain of aliases": (HIDDEN + "apiVersion: *a2999\n", DEEP),
    "a large number": (f"apiVersion: 0x{'f' * 5000}\n", "a number that nothing can count to"),
    "a day that no month has": ("apiVersion: 2026-02-30\n", "day is out of range for month"),
}


@pytest.mark.parametrize(("text", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    config, file = tmp_path / "ml-exporter.yaml", tmp_path / "slo.yaml"
    config.write_text(yaml.safe_dump({"services": SERVICES}))
    file.write_text(text)
    assert main(["slo", "--config", str(config), "--file", str(file)]) == 2
    assert capsys.readouterr().err == f"ml-exporter: --file: {file}: not YAML: {said}\n"
