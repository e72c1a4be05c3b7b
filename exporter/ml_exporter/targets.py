"""What /probe may be asked about: the address as it will be connected to, and the list of those that are allowed."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TypeAlias

from yarl import URL

from ml_exporter.errors import ConfigError

LONGEST = 2_000
ANYTHING = "*"
_FORM = "http(s)://host[:port][/path] without user, query or fragment"
_URL = re.compile(r"https?://[^\s/?#@\\]+(/[^\s?#\\]*)?", re.IGNORECASE)
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_ENDS_IN_NUMBER = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")
_ENTRY = re.compile(r"(\[(?P<v6>[^\[\]]+)\]|(?P<host>[^:\[\]\s/@]+))(:(?P<port>[0-9]{1,5}))?")
_WILDCARDS = re.compile(r"[a-z0-9_.*?-]+")

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Verdict(Enum):
    """Whether a destination may be connected to."""

    NO = "no"
    YES = "yes"
    BY_ADDRESS = "by address"
    """Only to those of the name's addresses that `AllowList.contains`."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a probe goes. The host in `url` is spelt as in `host`, so that what is judged is what is connected to."""

    url: str
    host: str | Address
    port: int

    @property
    def shown(self) -> str:
        """As it would stand in `probes.allow`."""
        return (
            f"[{self.host}]:{self.port}" if isinstance(self.host, ipaddress.IPv6Address) else f"{self.host}:{self.port}"
        )


@dataclass(frozen=True, slots=True)
class _Pattern:
    host: str | Address
    """A name, maybe with wildcards, or an address."""
    port: int | None

    def matches(self, destination: Destination) -> bool:
        host = destination.host
        if self.port not in (None, destination.port):
            return False
        # No wildcard but the one for everything matches an address: `f*` is meant for names, not for fd00::1.
        if isinstance(host, str) and isinstance(self.host, str):
            return fnmatchcase(host, self.host)
        return self.host in (host, ANYTHING)


class AllowList:
    """The entries of `probes.allow`. Raises `ConfigError` that begins with the number of the entry, [0]."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._networks: list[Network] = []
        self._patterns: list[_Pattern] = []
        for number, text in enumerate(entries):
            entry = _entry(text, f"[{number}]")
            if isinstance(entry, _Pattern):
                self._patterns.append(entry)
            else:
                self._networks.append(entry)

    def verdict(self, destination: Destination) -> Verdict:
        """What is known before a name has been resolved."""
        host = destination.host
        if any(pattern.matches(destination) for pattern in self._patterns):
            return Verdict.YES
        if isinstance(host, str):
            return Verdict.BY_ADDRESS if self._networks else Verdict.NO
        return Verdict.YES if self._holds(host) else Verdict.NO

    def contains(self, address: str) -> bool:
        """Whether an address lies in one of the networks."""
        try:
            return self._holds(_plain(ipaddress.ip_address(address)))
        except ValueError:
            return False

    def _holds(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


@functools.lru_cache(maxsize=8)
def allow_list(entries: tuple[str, ...]) -> AllowList:
    """The list of these entries, made once."""
    return AllowList(entries)


def destination(text: str) -> Destination:
    """The destination of a target. Raises `ConfigError` that begins with `target`; it quotes nothing secret."""
    if not text:
        raise ConfigError(f"target: missing; it is {_FORM}")
    if len(text) > LONGEST:
        raise ConfigError(f"target: {len(text)} characters; allowed are {LONGEST}")
    if not _URL.fullmatch(text) or not text.isprintable():
        raise ConfigError(f"target: allowed is {_FORM}")
    try:
        url = URL(text)
        host = _host(url.raw_host or "")
        port = url.port or 0
        if not 0 < port < 65536:
            raise ValueError(f"port {port} is none")
        return Destination(str(url.with_host(str(host))).rstrip("/"), host, port)
    except ValueError as error:
        raise ConfigError(f"target: {error}; allowed is {_FORM}") from None


def _host(text: str) -> str | Address:
    """A name in its one spelling, or an address. Raises `ValueError` for what is neither.

    The system would take 2130706433, 0x7f.1 and 127.1 for 127.0.0.1, and 0177.0.0.1 for that or another address,
    depending on who reads it: what ends in a number must be four plain ones.
    """
    host = text.lower().removesuffix(".")
    if ":" in host:
        address = ipaddress.IPv6Address(host)
        if address.scope_id:
            raise ValueError("an address with a zone is that of a neighbour, not of a server")
        return _plain(address)
    if _ENDS_IN_NUMBER.fullmatch(host):
        return ipaddress.IPv4Address(host)
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise ValueError("the host is neither a name nor an address")
    return host


def _plain(address: Address) -> Address:
    """::ffff:127.0.0.1 leads to 127.0.0.1."""
    return getattr(address, "ipv4_mapped", None) or address


def _entry(text: str, path: str) -> Network | _Pattern:
    try:
        return _network(text) if "/" in text else _pattern(text)
    except ValueError as error:
        allowed = "host, host:port, [IPv6]:port or a network such as 10.0.0.0/8"
        raise ConfigError(f"{path}: found '{text}'; allowed is {allowed}: {error}") from None


def _network(text: str) -> Network:
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("write it as a network of IPv4")
    return network


def _pattern(text: str) -> _Pattern:
    if text.count(":") > 1 and "[" not in text:
        return _Pattern(_host(text), None)
    match = _ENTRY.fullmatch(text)
    if match is None:
        raise ValueError("it is none of these")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"port {port} is none")
    if match["v6"]:
        return _Pattern(_host(match["v6"]), port)
    host = match["host"].lower().removesuffix(".")
    if "*" in host or "?" in host:
        return _Pattern(_wildcards(host), port)
    return _Pattern(_host(URL.build(scheme="http", host=host).raw_host or ""), port)


def _wildcards(host: str) -> str:
    if not _WILDCARDS.fullmatch(host):
        raise ValueError("around wildcards, write names in ASCII (xn--…)")
    if re.fullmatch(r"[0-9.*?]*[0-9][0-9.*?]*", host):
        # 10.* is meant for addresses, and 10.evil.example would match it.
        raise ValueError("wildcards are for names; for addresses, write a network")
    return host
