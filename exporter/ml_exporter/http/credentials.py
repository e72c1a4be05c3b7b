"""What proves who we are to a backend: read from files when needed, and struck out of every text that leaves."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.ports import Auth, Call

MASK = "***"
_CUT = "…"
"""What a text that was shortened has in the place of its rest."""
_MAX_SECRET_BYTES = 65_536
_SHORTEST_HEADER_SECRET = 8  # a configured header such as `X-Scope: 1` is no secret worth garbling a text for
_SHORTEST_BEGINNING = 4

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
    headers: Mapping[str, str]


class Credentials:
    """The headers that prove who one source is, and the masking of everything secret about it."""

    def __init__(
        self,
        *,
        username: str | None = None,
        password: str | None = None,
        password_file: str | None = None,
        token_file: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
    ) -> None:
        self._username = username
        self._password = password
        self._bearer = token_file is not None
        self._auth = auth or Auth()
        self._file: SecretFile | None = None
        if token_file is not None:
            self._file = SecretFile(token_file, "token_file")
        elif password_file is not None:
            self._file = SecretFile(password_file, "password_file")
        self._last: _Proof | None = None
        self._login = self._auth.login if self._secret_given() and not self._bearer else None
        self._token = ""
        self._secret_headers = [v for v in (headers or {}).values() if len(v) >= _SHORTEST_HEADER_SECRET]

    def _secret_given(self) -> bool:
        return self._file is not None or self._password is not None

    @property
    def advice(self) -> str:
        """What to look at when they are refused."""
        if not self._secret_given():
            return "no credentials are configured: set token_file, or username and password_file"
        return "check token_file, and what its owner may read" if self._bearer else "check username and password_file"

    def headers(self, *, again: bool = False) -> Mapping[str, str]:
        """The headers to send, none without credentials; `again` reads the file even if it looks unchanged."""
        if self._login:
            return {"Authorization": f"Bearer {self._token}"} if self._token else {}
        secret = self._file.read(again=again) if self._file else self._password
        if secret is None:
            # Behind a socket or a proxy that vouches for us, a name alone may be wanted.
            return {self._auth.user_header: self._username} if self._auth.user_header and self._username else {}
        if self._last is None or self._last.secret != secret:
            self._last = _Proof(secret, self._prove(secret))
        return self._last.headers

    def _prove(self, secret: str) -> Mapping[str, str]:
        if not self._bearer:
            return {"Authorization": self._basic(secret)}
        user_header = self._auth.user_header
        user = {user_header: self._username} if user_header and self._username else {}
        header = self._auth.token_header
        return user | ({header: secret} if header else {"Authorization": f"Bearer {secret}"})

    def renewed(self) -> bool:
        """Read the file again after a refusal: True if it holds something else than what was refused."""
        before = self._last
        return self._file is not None and bool(self.headers(again=True)) and self._last != before

    # A token for a password

    def expired(self, status: int) -> bool:
        """Whether an answer may mean that new credentials are wanted."""
        # A server that was started anew and does not know its own token any more says 403 (Airflow).
        return status == 401 or (status == 403 and self._login is not None)

    def login(self, *, again: bool) -> Call | None:
        """The call that gets a token; None where none is needed, or there is one and it is not asked for `again`."""
        if self._login is None or (self._token and not again):
            return None
        password = self._file.read(again=again) if self._file else self._password
        self._last, self._token = _Proof(password or "", {}), ""
        body = {"username": self._username or "", "password": password}
        return Call("POST", self._login.path, body=body, accept=frozenset({200, 201, 404, 405}))

    def logged_in(self, status: int, body: bytes) -> None:
        """Take the answer to `login`. Raises `Malformed` for one without a token."""
        if self._login is None or status in (404, 405):
            self._login, self._last = None, None
            return
        try:
            token = json.loads(body)[self._login.field]
        except (ValueError, KeyError, TypeError):
            token = None
        if not isinstance(token, str) or not token or not token.isprintable() or " " in token:
            raise Malformed(f"login at {self._login.path}: the reply holds no token in '{self._login.field}'")
        self._token = token

    def mask(self, text: str, *, cut: bool = False) -> str:
        """Strike out our own secrets, and fields of JSON that look like somebody's.

        Of a secret that was cut, the beginning is struck out: before each "…", and at the end of a text that was `cut`.
        """
        for secret in self._secrets():
            text = text.replace(secret, MASK)
            *shortened, rest = text.split(_CUT)
            if shortened or cut:
                ends = [_without_beginning(part, secret) for part in shortened]
                text = _CUT.join([*ends, _without_beginning(rest, secret) if cut else rest])
        return _SECRET_FIELD.sub(rf'\1"{MASK}"', text)

    def _secrets(self) -> Iterable[str]:
        if self._token:
            yield self._token
        if self._last is not None and self._last.secret:
            yield from (value.rpartition(" ")[2] for value in self._last.headers.values() if value != self._username)
            yield self._last.secret
            yield json.dumps(self._last.secret)[1:-1]
        for value in self._secret_headers:
            yield value
            yield value.split()[-1]

    def _basic(self, password: str) -> str:
        return "Basic " + base64.b64encode(f"{self._username or ''}:{password}".encode()).decode()


def _without_beginning(text: str, secret: str) -> str:
    """A text without the beginning of a secret at its end."""
    for length in range(min(len(secret), len(text)), _SHORTEST_BEGINNING - 1, -1):
        if text.endswith(secret[:length]):
            return text[:-length] + MASK
    return text


def masked_params(params: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Query parameters as they may be shown."""
    return [(name, MASK if _SECRET_PARAMETER.search(name) else value) for name, value in params]
