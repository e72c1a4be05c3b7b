"""The web configuration file: what it may say, and what it says about what it may not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from tests.support.web_backend import run, serving
from tests.support.web_files import HASH, status_with, tls, write

from ml_exporter.errors import ConfigError
from ml_exporter.web.toolkit import load


def test_an_empty_file_protects_nothing(tmp_path: Path) -> None:
    assert status_with(write(tmp_path, "")) == 200


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"tls_server_confg": {}}, "tls_server_confg: unknown key; did you mean 'tls_server_config'"),
        (tls(cert_fil="x"), "tls_server_config.cert_fil: unknown key; did you mean 'cert_file'"),
        (tls(client_allowed_sans=["x"]), "tls_server_config.client_allowed_sans: unknown key"),
        ({"tls_server_config": {"cert_file": "cert.pem"}}, "tls_server_config.key_file: missing"),
        (tls(cert_file="absent.pem"), "tls_server_config.cert_file: .*/absent.pem cannot be read: No such file"),
        (tls(key_file="ca.pem"), "tls_server_config.key_file: found .*/ca.pem"),
        (tls(client_auth_type="Maybe"), "tls_server_config.client_auth_type: found 'Maybe'; allowed are NoClientCert"),
        (tls(client_ca_file="ca.pem"), "tls_server_config.client_auth_type: found NoClientCert with a client_ca_file"),
        (tls(client_auth_type="RequireAndVerifyClientCert"), "tls_server_config.client_ca_file: missing"),
        (tls(client_auth_type="RequireAnyClientCert"), "tls_server_config.client_ca_file: missing"),
        (
            tls(client_auth_type="VerifyClientCertIfGiven", client_ca_file="key.pem"),
            "tls_server_config.client_ca_file: found",
        ),
        (tls(min_version="SSL3"), "tls_server_config.min_version: found 'SSL3'; "),
        (tls(min_version="TLS13", max_version="TLS12"), "tls_server_config.max_version: found TLS12"),
        (tls(cipher_suites=["TLS_NULL"]), "tls_server_config.cipher_suites: found 'TLS_NULL'; allowed are"),
        (tls(cipher_suites=["ALL"]), "tls_server_config.cipher_suites: found 'ALL'"),
        (
            tls(cipher_suites=["TLS_AES_128_GCM_SHA256"], max_version="TLS12"),
            "tls_server_config.cipher_suites: found TLS 1.3 suites only",
        ),
        ({"http_server_config": {"headers": {"X-Evil": "1"}}}, "http_server_config.headers.X-Evil: unknown key"),
        (
            {"http_server_config": {"headers": {"X-Frame-Options": "maybe"}}},
            "http_server_config.headers.X-Frame-Options: found 'maybe'; allowed are deny, sameorigin",
        ),
        ({"basic_auth_users": ["me"]}, "basic_auth_users: allowed is a mapping"),
        ([1], "found list; allowed is a mapping"),
        ("a: [", "not YAML: line 1"),
    ],
)
def test_a_wrong_file_says_where_and_what_is_allowed(folder: Path, data: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"web.yml: {message}"):
        load(write(folder, data))


@pytest.mark.parametrize("value", ["open sesame", 12345, None, "$2y$99$" + "a" * 53, HASH[:-1]])
def test_a_password_in_the_place_of_a_hash_is_refused_and_not_shown(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"basic_auth_users\.me: found something else than a bcrypt hash") as caught:
        load(write(tmp_path, {"basic_auth_users": {"me": value}}))
    assert str(value) not in str(caught.value).replace("None", "")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yml: cannot be read"):
        load(tmp_path / "absent.yml")


def test_http2_is_ignored_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(write(tmp_path, {"http_server_config": {"http2": False}}))
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        load(write(tmp_path, {"http_server_config": {"http2": True}}))
    assert "HTTP/2 is not spoken here" in caplog.text


def test_its_headers_go_before_the_defaults(tmp_path: Path) -> None:
    headers = {"X-Frame-Options": "sameorigin", "Strict-Transport-Security": "max-age=60", "X-XSS-Protection": ""}

    async def test() -> None:
        path = write(tmp_path, {"http_server_config": {"headers": headers}})
        async with serving(config=load(path)) as (_, session), session.get("/") as response:
            assert response.headers["X-Frame-Options"] == "sameorigin"
            assert response.headers["Strict-Transport-Security"] == "max-age=60"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "X-XSS-Protection" not in response.headers

    run(test())
