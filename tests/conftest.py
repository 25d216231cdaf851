"""What all tests share: helpers are imported as ``tests.<folder>.<file>``, one thread, and slow tests only if asked for.

``pytest -n auto --dist loadgroup`` runs on all cores.  ``pytest`` leaves out what is marked ``slow``, and ``full``: the rest
of a product of which a sample is run.  ``pytest -m slow`` runs that alone, ``pytest -m ""`` leaves that choice to the marker
expression and runs everything.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
pytest.register_assert_rewrite("tests.contract")


#: fixtures that start processes of their own: with several workers all their tests go to one, which runs one at a time
PROCESSES = frozenset({"results", "stored", "server"})


def pytest_configure(config: pytest.Config) -> None:
    """Workers, and what they start, share the cores: threads inside them would only wait for each other."""
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Workers do not see the command line of the process that starts them."""
    node.workerinput["marked"] = marked(node.config)


def marked(config: pytest.Config) -> bool:
    """Whether a marker expression was given."""
    given: dict[str, bool] | None = getattr(config, "workerinput", None)
    if given is not None:
        return given["marked"]
    return any(str(arg).startswith("-m") for arg in config.invocation_params.args)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--paper KEY``."""
    parser.addoption("--paper", metavar="KEY", help="only what concerns one method, claim or file of claims")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what concerns one paper; leave out what is slow or full, unless a marker expression or a single test was given."""
    for item in items:
        if PROCESSES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("processes"))
    if key := config.getoption("paper"):
        from tests.paper import find  # imports the library, which other runs leave to the tests

        try:
            paper = find(key)
        except KeyError as error:
            raise pytest.UsageError(*error.args) from None
        others = [item for item in items if not paper.has(item.nodeid)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
    if marked(config) or all("::" in argument for argument in config.args):
        return
    left_out = ["slow"] if config.getoption("paper") else ["slow", "full"]
    rest = {item for item in items if any(map(item.get_closest_marker, left_out))}
    config.hook.pytest_deselected(items=list(rest))
    items[:] = [item for item in items if item not in rest]


def pytest_collection_finish() -> None:
    """Leave the twelve thousand collected tests out of every later walk through all objects.

    The garbage collector's passes, and the search for modules that hold the parameters of a new optimizer, took 0.1 s each.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Tensors of tests are tiny; threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
