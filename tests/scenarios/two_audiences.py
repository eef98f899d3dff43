"""The small world with a second audience, at another e-mail platform account, for the same contacts and scope."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from requests.adapters import BaseAdapter

from optsync.config.load import load
from optsync.connect.mock import MockTransport, Person, VendorMock
from optsync.connect.registry import mocks
from optsync.sync.compose import compose
from optsync.sync.run import run_cycle
from tests.scenarios.states import empty_state
from tests.scenarios.world import CRM, ESP, World

OTHER = "http://127.0.0.1:1/other"


class TwoAudiences:
    """``w`` is the world of the first audience; ``other`` the second platform, with ``members`` of its own.
    ``second``: keys of the second sync that differ from the first one's; ``guard``: as of the world."""

    def __init__(
        self,
        folder: Path,
        people: Sequence[Person],
        members: Sequence[Person],
        *,
        second: Mapping[str, Any] | None = None,
        guard: Mapping[str, Any] | None = None,
    ) -> None:
        self.w = World(folder, people, guard=guard)
        self.other: VendorMock = mocks()["mailchimp"](clock=self.w.clock, rng=random.Random(9))
        self.other.populate(members)
        document: dict[str, Any] = dict(self.w.document)
        shown = self.other.config(OTHER)
        document["systems"]["other"] = shown.system
        first = document["syncs"]["newsletter"]
        document["syncs"]["second"] = {
            "scope": first["scope"],
            "crm": first["crm"],
            "esp": {"system": "other", "audience": shown.side["audience"]}
            if second
            else {"system": "other", **shown.side},
            **(second or {}),
        }
        path = folder / "audiences.yaml"
        path.write_text(yaml.safe_dump(document))
        self._transport = MockTransport({CRM: self.w.crm, ESP: self.w.esp, OTHER: self.other})
        self._store, self._config = empty_state(self.w.clock), load(path, {})
        self.start()

    def start(self, transport: BaseAdapter | None = None) -> None:
        """A process that begins, whose requests go this way."""
        self.engine = compose(
            self._config,
            clock=self.w.clock,
            rng=random.Random(3),
            transport=transport or self._transport,
            store=self._store,
        )

    def sync(self) -> int:
        """Runs both syncs; answers how many changes there were."""
        self.w.wait(minutes=10)
        report = run_cycle(self.engine)
        assert report.state == "done", report.to_json()
        return sum(len(sync.changes) for sync in report.syncs.values())

    def settle(self) -> None:
        """Whatever follows is done within two cycles; the third changes nothing."""
        self.sync()
        self.sync()
        assert self.sync() == 0

    def marker(self, email: str) -> bool:
        with self.engine.store.reading() as unit:
            key = unit.points.find([email])[email]
            rid = next(o.record.id for o in unit.records.load(unit.records.holding([key])) if o.system == "crm")
        return self.w.crm.act("dump", id=rid).get("UF_CRM_EMAIL_BOUNCED") in ("1", True)
