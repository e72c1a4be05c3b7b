"""Regular expressions of the configuration, which are run on what somebody else's server answers.

RE2, as Prometheus and Alertmanager have them: in linear time, whatever the pattern and the text. Python's own engine
can be made to stand still by either.
"""

from __future__ import annotations

from typing import Any

import re2

from ml_exporter.errors import ConfigError

_QUIET = re2.Options()
_QUIET.log_errors = False


class Pattern:
    """A regular expression, ready to be searched for."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str, where: str) -> None:
        """Raises `ConfigError`, which begins with `where`."""
        self.text = text
        try:
            self._compiled: Any = re2.compile(text, _QUIET)
        except re2.error as error:
            said = error.args[0]
            why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            raise ConfigError(f"{where}: found '{text}', which is no regular expression (RE2): {why}") from None

    def found(self, text: str) -> bool:
        """Whether it is found anywhere in a text."""
        return bool(self._compiled.search(text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)
