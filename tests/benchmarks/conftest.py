"""Results of each measurement with few people; made once for all tests of a process."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from benchmarks.measurements import MEASUREMENTS

PEOPLE = 300
Measured = Callable[[str], dict[str, Any]]


@cache
def _results(name: str) -> dict[str, Any]:
    return MEASUREMENTS[name].measure(PEOPLE, 1)


@pytest.fixture(scope="session")
def measured() -> Measured:
    """What the measurement of that name found."""
    return _results
