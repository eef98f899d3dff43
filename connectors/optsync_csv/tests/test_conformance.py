"""A CSV file passes the kit, as spreadsheets save it and as programs do."""

from pathlib import Path

import pytest

from optsync.connect.conformance import ConnectorSuite, Harness
from optsync_csv.connector import Csv
from optsync_csv.tests.hands import harness

DIALECTS = {
    "spreadsheet": {"delimiter": ";", "encoding": "utf-8-sig", "line_end": "\r\n"},
    "program": {"delimiter": ",", "encoding": "utf-8", "line_end": "\n"},
}


@pytest.mark.parametrize("dialect", DIALECTS)
class TestCsv(ConnectorSuite):
    @pytest.fixture
    def harness(self, tmp_path: Path, dialect: str) -> Harness:
        made = harness(tmp_path, **DIALECTS[dialect])
        assert issubclass(made.connector, Csv)
        return made
