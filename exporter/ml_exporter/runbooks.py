"""What the alerts quote from their runbooks: the first thing to check."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ml_exporter.errors import RenderError

_FIRST_CHECK = re.compile(r"\*\*What to check first\*\*\n\n1\. (.+)")
_MARKUP = re.compile(r"\[([^]]+)\]\([^)]+\)|`|\*\*")


def first_checks_json(folder: Path) -> str:
    """The first line of item 1 under "What to check first" of every runbook, as plain text by alert, in JSON.

    Raises `RenderError` for a runbook that has no such item.
    """
    checks = {path.stem: _first_check(path) for path in sorted(folder.glob("*.md"))}
    return json.dumps(checks, indent=2, ensure_ascii=False) + "\n"


def _first_check(path: Path) -> str:
    found = _FIRST_CHECK.search(path.read_text(encoding="utf-8"))
    if not found:
        raise RenderError(f"{path}: has no item 1 under **What to check first**")
    return _MARKUP.sub(lambda match: match[1] or "", found[1])
