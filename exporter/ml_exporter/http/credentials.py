"""What proves who we are to a backend: read from files when needed, and struck out of every text that leaves."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_exporter.errors import Reason, Rejected

MASK = "***"
_MAX_SECRET_BYTES = 65_536
_SHORTEST_HEADER_SECRET = 8  # a configured header such as `X-Scope: 1` is no secret worth garbling a text for

_SECRET_PARAMETER = re.compile(r"(?<!page)(?<!page_)token|key|password|secret", re.IGNORECASE)
_SECRET_FIELD = re.compile(
    r'("[^"]*(?:(?<!page)(?<!page_)token|password|secret|api_?key|authorization)"\s*:\s*)"(?:[^"\\]|\\.)*"?',
    re.IGNORECASE,
)


class SecretFile:
    """A token or password in a file, read again when the file has changed."""

    def __init__(self, path: str, what: str) -> None:
        self._path = Path(path)
        self._what = what
        self._stamp: tuple[int, int, int] | None = None
        self._value = ""

    def read(self, *, again: bool = False) -> str:
        """The secret. Raises `Rejected` that names the file when it cannot be read or holds no single line."""
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if again or stamp != self._stamp:
                self._value = self._load()
                self._stamp = stamp
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise Rejected(f"{self._what} {self._path}: cannot be read: {why}", Reason.AUTH) from None
        return self._value

    def _load(self) -> str:
        with self._path.open("rb") as file:
            raw = file.read(_MAX_SECRET_BYTES + 1)
        value = raw.decode("utf-8").strip()
        if not value or len(raw) > _MAX_SECRET_BYTES or not value.isprintable():
            found = "nothing" if not value else "more than one line or unprintable characters"
            raise Rejected(f"{self._what} {self._path}: holds {found}; allowed is one line", Reason.AUTH)
        return value


@dataclass(frozen=True, slots=True)
class _Proof:
    secret: str
    header: str


class Credentials:
    """The `Authorization` header of one source, and the masking of everything secret about it."""

    def __init__(
        self,
        *,
        username: str | None = None,
        password: str | None = None,
        password_file: str | None = None,
        token_file: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._username = username
        self._password = password
        self._bearer = token_file is not None
        self._file: SecretFile | None = None
        if token_file is not None:
            self._file = SecretFile(token_file, "token_file")
        elif password_file is not None:
            self._file = SecretFile(password_file, "password_file")
        self._last: _Proof | None = None
        self._secret_headers = [v for v in (headers or {}).values() if len(v) >= _SHORTEST_HEADER_SECRET]

    def authorization(self, *, again: bool = False) -> str | None:
        """The header's value, None without credentials; `again` reads the file even if it looks unchanged."""
        secret = self._file.read(again=again) if self._file else self._password
        if secret is None:
            return None
        if self._last is None or self._last.secret != secret:
            self._last = _Proof(secret, f"Bearer {secret}" if self._bearer else self._basic(secret))
        return self._last.header

    def renewed(self) -> bool:
        """Read the file again after a refusal: True if it holds something else than what was refused."""
        before = self._last
        return self._file is not None and self.authorization(again=True) is not None and self._last != before

    def mask(self, text: str) -> str:
        """Strike out our own secrets, and fields of JSON that look like somebody's."""
        for secret in self._secrets():
            text = text.replace(secret, MASK)
        return _SECRET_FIELD.sub(rf'\1"{MASK}"', text)

    def _secrets(self) -> Iterable[str]:
        if self._last is not None:
            yield self._last.header.partition(" ")[2]
            yield self._last.secret
            yield json.dumps(self._last.secret)[1:-1]
        for value in self._secret_headers:
            yield value
            yield value.split()[-1]

    def _basic(self, password: str) -> str:
        return "Basic " + base64.b64encode(f"{self._username or ''}:{password}".encode()).decode()


def masked_params(params: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Query parameters as they may be shown."""
    return [(name, MASK if _SECRET_PARAMETER.search(name) else value) for name, value in params]
