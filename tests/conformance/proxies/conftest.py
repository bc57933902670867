from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit import servers


@pytest.fixture(scope="session")
def web() -> Iterator[servers.Web]:
    """A site without any code of notify."""
    with servers.Uvicorn("tests.kit.proxies.site:application") as server:
        yield server
