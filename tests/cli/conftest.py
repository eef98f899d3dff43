import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from optsync_mock.server import RunningServer
from tests.cli.desk import Desk, imitations
from tests.migrated import migrations
from tests.scenarios.world import person

__all__ = ["migrations"]


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command sets logging up for its process; the next test must not write to this one's captured output."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    """Three people whom both systems know."""
    with RunningServer(mocks=imitations([person(n) for n in (1, 2, 3)])) as server:
        yield Desk(tmp_path, capsys, server)


@pytest.fixture
def lonely(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A desk whose systems nobody can reach."""
    return Desk(tmp_path, capsys, None)
