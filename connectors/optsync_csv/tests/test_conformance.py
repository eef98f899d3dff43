"""A CSV file passes the kit."""

from pathlib import Path

import pytest

from optsync.connect.conformance import ConnectorSuite, Harness
from optsync_csv.connector import Csv
from optsync_csv.tests.hands import harness


class TestCsv(ConnectorSuite):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        made = harness(tmp_path)
        assert issubclass(made.connector, Csv)
        return made
