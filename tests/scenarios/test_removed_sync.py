"""A sync is taken out of the configuration for a while: what is said meanwhile reaches its systems when it is back."""

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from optsync.config.load import load
from optsync.connect.mock import MockTransport
from optsync.connect.registry import mocks
from optsync.model.record import Status
from optsync.sync.administer import opt_out
from optsync.sync.compose import compose
from optsync.sync.engine import Engine
from optsync.sync.run import run_cycle
from tests.scenarios.world import CRM, ESP, World, person

OTHER_CRM, OTHER_ESP = "http://127.0.0.1:1/crm2", "http://127.0.0.1:1/esp2"
ANN, BEN = "ann1@example.com", "ann2@example.com"


class TwoPairs:
    """Two syncs of one scope that share no system; ``crm`` and ``esp`` are those of the second."""

    def __init__(self, folder: Path) -> None:
        people = [person(1), person(2)]
        self.w = World(folder, people)
        self.crm = mocks()["bitrix24"](clock=self.w.clock, rng=random.Random(8))
        self.esp = mocks()["mailchimp"](clock=self.w.clock, rng=random.Random(9))
        self.crm.populate(people)
        self.esp.populate(people)
        self._transport = MockTransport({CRM: self.w.crm, ESP: self.w.esp, OTHER_CRM: self.crm, OTHER_ESP: self.esp})
        self._path = folder / "pairs.yaml"

    def engine(self, *, has_second: bool) -> Engine:
        """Of a process that is started with both syncs, or without the second."""
        document: dict[str, Any] = {**self.w.document, "systems": dict(self.w.document["systems"])}
        if has_second:
            crm, esp = self.crm.config(OTHER_CRM), self.esp.config(OTHER_ESP)
            document["systems"] |= {"crm2": crm.system, "esp2": esp.system}
            second = {"crm": {"system": "crm2", **crm.side}, "esp": {"system": "esp2", **esp.side}}
            document["syncs"] = {**document["syncs"], "second": {"scope": "acme/marketing", **second}}
        self._path.write_text(yaml.safe_dump(document))
        clock, store = self.w.clock, self.w.store
        config = load(self._path, {})
        return compose(config, clock=clock, rng=random.Random(3), transport=self._transport, store=store)

    def sync(self, engine: Engine) -> int:
        """A cycle of all; answers how many changes there were."""
        self.w.wait(minutes=10)
        return sum(len(sync.changes) for sync in run_cycle(engine).syncs.values())


@pytest.mark.rule("no opt-out is lost")
def test_an_opt_out_while_a_sync_was_not_configured_reaches_its_systems_when_it_is_back(tmp_path: Path) -> None:
    pairs = TwoPairs(tmp_path)
    both = pairs.engine(has_second=True)
    pairs.sync(both)
    pairs.sync(both)
    one = pairs.engine(has_second=False)
    pairs.w.esp.act("unsubscribe", email=ANN)
    opt_out(one, BEN, scope="*", actor="Eve")
    pairs.sync(one)
    both = pairs.engine(has_second=True)
    pairs.sync(both)

    for email in (ANN, BEN):
        assert pairs.esp.act("view", email=email)["status"] == Status.OUT
        assert pairs.crm.act("view", email=email)["opt_out"] is True
    assert pairs.sync(both) == pairs.sync(both) == 0
