"""What tests that need a Docker engine share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from tests.support import containers
from tests.support.debian import Unavailable


@pytest.fixture(scope="session")
def aloud(pytestconfig: pytest.Config) -> Callable[[], AbstractContextManager[None]]:
    """What is printed inside is shown, whether the test passes or not: what is installed, what is left out and why."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert capture
    disabled: Callable[[], AbstractContextManager[None]] = capture.global_and_fixture_disabled
    return disabled


@pytest.fixture(scope="session")
def engine(aloud: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            with aloud():
                stack.enter_context(containers.engine())
        except Unavailable as reason:
            pytest.skip(f"no Docker engine: {reason}")
        yield


@pytest.fixture(scope="session")
def docker_compose_command(engine: None) -> str:
    try:
        return containers.compose()
    except Unavailable as reason:
        pytest.skip(f"no Compose: {reason}")
