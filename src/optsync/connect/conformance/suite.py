"""The suite that a connector's test file names."""

import pytest

from optsync.connect.conformance.asking import AskingChecks
from optsync.connect.conformance.batches import BatchChecks
from optsync.connect.conformance.calls import CallChecks
from optsync.connect.conformance.changes import ChangeChecks
from optsync.connect.conformance.clauses import told
from optsync.connect.conformance.contract import ContractChecks
from optsync.connect.conformance.crowds import CrowdChecks
from optsync.connect.conformance.desk import Desk, people
from optsync.connect.conformance.fields import FieldChecks
from optsync.connect.conformance.harness import Harness
from optsync.connect.conformance.hidden import HiddenChecks
from optsync.connect.conformance.honesty import HonestyChecks
from optsync.connect.conformance.losses import LossChecks
from optsync.connect.conformance.powers import PowerChecks
from optsync.connect.conformance.reading import ReadingChecks
from optsync.connect.conformance.refusals import RefusalChecks


class ConnectorSuite(
    ContractChecks,
    ReadingChecks,
    CrowdChecks,
    ChangeChecks,
    AskingChecks,
    PowerChecks,
    HiddenChecks,
    FieldChecks,
    RefusalChecks,
    BatchChecks,
    LossChecks,
    CallChecks,
    HonestyChecks,
):
    """Subclass it as ``Test…`` with a fixture ``harness`` that gives a fresh account to every test."""

    @pytest.fixture
    def harness(self) -> Harness:
        """To be overridden."""
        raise NotImplementedError("override the fixture harness")

    @pytest.fixture
    def desk(self, harness: Harness) -> Desk:
        """A connector on an account without anybody."""
        return Desk(harness)

    @pytest.fixture
    def crowd(self, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Desk:
        """One with a crowd, read in at least three pages; the people are p0, p1 … at example.com."""
        for name, rows in harness.pages.items():
            monkeypatch.setattr(name, rows)
        desk = Desk(harness)
        desk.seed(*people(harness.crowd))
        harness.clock.advance(3600)
        return desk


for _kind in ConnectorSuite.__mro__:
    for _name, _check in list(vars(_kind).items()):
        if _name.startswith("test_"):
            setattr(_kind, _name, told(_check))
