"""One authority for all tests of the web surface; a folder with fresh certificates for each."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from tests.support import web_files


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, authority: trustme.CA) -> Path:
    """A folder with a server's certificate and key, and the authority's certificate."""
    web_files.issue(authority, tmp_path)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path
