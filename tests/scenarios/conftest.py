"""Worlds for scenarios."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.world import World


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    """Makes a world: ``world(people, policy={…})``."""

    def make(*people: Any, **options: Any) -> World:
        return World(tmp_path, people, **options)

    return make
