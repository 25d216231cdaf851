"""One server of jobs for all tests of this folder: what is imported once is forked ever after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reliability.killing import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Starts runs that may be killed."""
    with Server(False, "bench") as made:
        yield made
