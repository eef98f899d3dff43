"""Real servers, one each for the whole run."""

import os
from collections.abc import Iterator

import pytest

from tests.real.mailman_server import MailmanMissing, MailmanServer, running


@pytest.fixture(scope="session")
def mailman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailmanServer]:
    """A running GNU Mailman; each test makes its own lists. Where it cannot be had, continuous integration fails
    and everybody else skips."""
    place = running(tmp_path_factory.mktemp("mailman"))
    try:
        server = place.__enter__()
    except MailmanMissing as missing:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"no Mailman: {missing}")
        pytest.skip(f"no Mailman here: {missing}")
    try:
        yield server
    finally:
        place.__exit__(None, None, None)
