"""Worlds for scenarios. Every scenario ends at rest: two further cycles write nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios import states
from tests.scenarios.world import World

_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., World]]:
    """Makes a world: ``world(people, policy={…})``."""
    made: list[World] = []

    def make(*people: Any, **options: Any) -> World:
        made.append(World(tmp_path, people, **options))
        return made[-1]

    yield make
    if request.node.stash.get(_PASSED, False):
        for each in made:
            each.rest()


@pytest.fixture(autouse=True)
def _states_given_back() -> Iterator[None]:
    yield
    states.give_back_all()
