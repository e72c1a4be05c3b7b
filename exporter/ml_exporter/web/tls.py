"""The TLS half of the web configuration: from its keys to a server context."""

from __future__ import annotations

import re
import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ml_exporter.errors import ConfigError

ClientAuth = Literal[
    "NoClientCert",
    "RequestClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
]
Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
# Python cannot take a certificate without checking it. So "request" asks for none (nothing would come of it), and
# "require any" checks against client_ca_file: stricter than the toolkit, never laxer.
_VERIFY = {
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_NONE,
    "RequireAnyClientCert": ssl.CERT_REQUIRED,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_TLS13_SUITE = re.compile(r"TLS_(AES|CHACHA20)_.*")
_SECTION = "tls_server_config"


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """`tls_server_config` of the web configuration; file names are already absolute or relative to the process."""

    cert_file: str
    key_file: str
    client_auth_type: ClientAuth = "NoClientCert"
    client_ca_file: str | None = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True


def context(config: TlsConfig) -> ssl.SSLContext:
    """Read the files and build the context of a server. Raises `ConfigError` with the key path."""
    result = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _set_versions(result, config)
    _set_ciphers(result, config)
    _load_certificate(result, config)
    _set_client_auth(result, config)
    if config.prefer_server_cipher_suites:
        result.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    return result


def _set_versions(result: ssl.SSLContext, config: TlsConfig) -> None:
    low, high = _VERSIONS[config.min_version], _VERSIONS[config.max_version]
    if low > high:
        raise ConfigError(
            f"{_SECTION}.max_version: found {config.max_version}; allowed is min_version ({config.min_version}) "
            "or newer"
        )
    with warnings.catch_warnings():
        # TLS 1.0 and 1.1 are deprecated, and somebody who writes them down knows it.
        warnings.simplefilter("ignore", DeprecationWarning)
        result.minimum_version, result.maximum_version = low, high


def _set_ciphers(result: ssl.SSLContext, config: TlsConfig) -> None:
    if not config.cipher_suites:
        return
    # TLS 1.3 has only good suites, which cannot be chosen among.
    older = [suite for suite in config.cipher_suites if not _TLS13_SUITE.fullmatch(suite)]
    for suite in older:
        _check_suite(suite)
    if older:
        result.set_ciphers(":".join(openssl_name(suite) for suite in older))
    elif result.maximum_version < ssl.TLSVersion.TLSv1_3:
        raise ConfigError(f"{_SECTION}.cipher_suites: found TLS 1.3 suites only; allowed are TLS 1.2 suites too")
    else:
        result.minimum_version = ssl.TLSVersion.TLSv1_3


def _check_suite(suite: str) -> None:
    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    known = sorted(cipher["name"] for cipher in probe.get_ciphers())
    try:
        probe.set_ciphers(openssl_name(suite))
        found = openssl_name(suite) in {cipher["name"] for cipher in probe.get_ciphers()}
    except ssl.SSLError:
        found = False
    if not found:
        raise ConfigError(f"{_SECTION}.cipher_suites: found '{suite}'; allowed are {', '.join(known)}, or Go's names")


def openssl_name(suite: str) -> str:
    """Go's name of a cipher suite in OpenSSL's spelling; OpenSSL's own names stay."""
    if not suite.startswith("TLS_") or "_WITH_" not in suite:
        return suite
    exchange, _, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    cipher = re.sub(r"AES_(\d+)_(CBC_)?", r"AES\1-", cipher)
    cipher = cipher.removesuffix("_SHA256") if cipher.startswith("CHACHA20") else cipher
    name = cipher if exchange == "RSA" else f"{exchange}-{cipher}"
    # GCM_SHA256 and ECDHE_RSA are joined by hyphens, CHACHA20-POLY1305 too.
    return name.replace("_", "-")


def _load_certificate(result: ssl.SSLContext, config: TlsConfig) -> None:
    _must_be_readable("cert_file", config.cert_file)
    _must_be_readable("key_file", config.key_file)
    try:
        # An empty password, or a protected key would ask for one at the terminal.
        result.load_cert_chain(config.cert_file, config.key_file, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"{_SECTION}.key_file: found {config.key_file} with {config.cert_file}: {error}; "
            "allowed is a PEM certificate with its own key, without a password"
        ) from error


def _set_client_auth(result: ssl.SSLContext, config: TlsConfig) -> None:
    verify = _VERIFY[config.client_auth_type]
    if config.client_ca_file is None:
        if verify is not ssl.CERT_NONE:
            raise ConfigError(f"{_SECTION}.client_ca_file: missing; {config.client_auth_type} needs it")
        return
    if config.client_auth_type == "NoClientCert":
        raise ConfigError(
            f"{_SECTION}.client_auth_type: found NoClientCert with a client_ca_file; "
            "allowed is RequireAndVerifyClientCert"
        )
    _must_be_readable("client_ca_file", config.client_ca_file)
    try:
        result.load_verify_locations(config.client_ca_file)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{_SECTION}.client_ca_file: found {config.client_ca_file}: {error}; allowed are PEM certificates"
        ) from error
    result.verify_mode = verify


def _must_be_readable(key: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise ConfigError(
            f"{_SECTION}.{key}: {path} cannot be read: {error.strerror}; allowed is a PEM file"
        ) from error
