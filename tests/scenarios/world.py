"""A small world for scenarios: two vendor mocks, a virtual clock, the real engine over in-process HTTP."""

import random
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from requests.adapters import BaseAdapter

from optsync.clock import ManualClock
from optsync.config.load import load
from optsync.config.schema import Config
from optsync.connect.mock import MockConfig, MockTransport, Person, VendorMock
from optsync.connect.registry import mocks
from optsync.state.store import Store
from optsync.sync.compose import compose
from optsync.sync.engine import Engine
from optsync.sync.report import Report
from optsync.sync.run import run_cycle
from tests.postgresql import text_of
from tests.scenarios.states import empty_state, give_back

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
CRM, ESP = "http://127.0.0.1:1/crm", "http://127.0.0.1:1/esp"
BRANDS = {
    "acme": {
        "purposes": {
            "marketing": {"kind": "commercial", "basis": "consent", "topics": ["news", "offers", "events"]},
            "service": {"kind": "transactional"},
        }
    }
}


class Skewed:
    """A vendor's clock that is ahead of ours by some seconds."""

    def __init__(self, clock: ManualClock, ahead: float) -> None:
        self._clock, self.ahead = clock, timedelta(seconds=ahead)

    def now(self) -> datetime:
        return self._clock.now() + self.ahead

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


_loaded: dict[tuple[str, str], Config] = {}
"""By place and document; reading and checking one anew would take longer than making the rest of a world."""


class World:
    """``crm`` and ``esp`` are the mocks; ``sync()`` runs a cycle. Every act happens at a later second.
    ``portal``: switches of the CRM's mock."""

    def __init__(
        self,
        folder: Path,
        people: Iterable[Person] = (),
        *,
        policy: Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
        guard: Mapping[str, Any] | None = None,
        state_url: str | None = None,
        transport: BaseAdapter | None = None,
        store: type[Store] = Store,
        esp_ahead: float = 0,
        brands: Mapping[str, Any] | None = None,
        portal: Mapping[str, Any] | None = None,
    ) -> None:
        self.clock = ManualClock(START)
        found = mocks()
        self.crm: VendorMock = found["bitrix24"](clock=self.clock, rng=random.Random(1), **(portal or {}))
        self.esp_clock = Skewed(self.clock, esp_ahead)
        self.esp: VendorMock = found["mailchimp"](clock=self.esp_clock, rng=random.Random(2))
        population = list(people)
        self.crm.populate(population)
        self.esp.populate(population)
        self.transport = MockTransport({CRM: self.crm, ESP: self.esp})
        self._is_shared = state_url is None
        self.store = store(state_url, self.clock) if state_url else empty_state(self.clock, store)
        self.document = self._document(policy or {}, changes or {}, text_of(self.store._engine.url))
        self.document["brands"] = deepcopy(brands or BRANDS)
        if guard is not None:
            self.document["guard"] = dict(guard)
        self._path = folder / "config.yaml"
        self.config = self._load()
        self._transport = transport
        self.engine = self.compose()

    def close(self) -> None:
        """For those who make many worlds one after another; nothing of this one may be used any more."""
        if self._is_shared:
            give_back(self.store)

    def _load(self) -> Config:
        # Only the place of a state file depends on the folder.
        place = "" if self.document["state"]["url"] == "sqlite://" else str(self._path)
        key = (place, repr(self.document))
        if key not in _loaded:
            self._path.write_text(yaml.safe_dump(self.document))
            _loaded[key] = load(self._path, {})
        return _loaded[key]

    def reconfigure(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Changes the configuration and starts the process again; ``change`` gets the sync's part of it."""
        change(self.document["syncs"]["newsletter"])
        self.config = self._load()
        self.engine = self.compose()

    def compose(self, *, is_read_only: bool = False, transport: BaseAdapter | None = None) -> Engine:
        """Another engine on the same state: what a restarted process is."""
        return compose(
            self.config,
            clock=self.clock,
            rng=random.Random(3),
            transport=transport or self._transport or self.transport,
            store=self.store,
            is_read_only=is_read_only,
        )

    def use(self, transport: BaseAdapter) -> None:
        """From now on requests go this way, from a process that was just started."""
        self._transport = transport
        self.engine = self.compose()

    def _document(self, policy: Mapping[str, Any], changes: Mapping[str, Any], state_url: str) -> dict[str, Any]:
        crm: MockConfig = self.crm.config(CRM)
        esp: MockConfig = self.esp.config(ESP)
        names = [name for name in ("first_name", "last_name", "city", "plan") if name in crm.fields]
        fields: list[dict[str, Any]] = [{"crm": crm.fields[n], "esp": esp.fields[n]} for n in names]
        for field in fields:
            if field["crm"] == crm.fields.get("plan"):
                field["transform"] = {"map": {v: k for k, v in crm.plan_values.items()}}
        sync: dict[str, Any] = {
            "scope": "acme/marketing",
            "crm": {"system": "crm", **crm.side},
            "esp": {"system": "esp", **esp.side},
            "fields": fields,
            "policy": dict(policy),
            **changes,
        }
        return {
            "state": {"url": state_url},
            "secret_keys": ["a secret of the tests"],
            "systems": {"crm": crm.system, "esp": esp.system},
            "syncs": {"newsletter": sync},
        }

    def wait(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        self.clock.advance(timedelta(seconds=seconds, minutes=minutes, hours=hours).total_seconds())

    def sync(self, **options: Any) -> Report:
        """One cycle, ten minutes after whatever came before."""
        self.wait(minutes=10)
        report = run_cycle(self.engine, **options)
        for name, sync in report.syncs.items():
            outcome = sync.outcome
            counted = outcome["changed"] + outcome["same"] + sum(outcome["skipped"].values()) + outcome["quarantined"]
            assert sum(sync.seen.values()) == counted, f"{name}: a record has no outcome, or two: {sync.to_json()}"
        return report

    def settle(self) -> None:
        """Two more cycles, the second of which must write nothing."""
        self.sync()
        before = self.writes()
        report = self.sync()
        assert self.writes() == before, report.to_json()
        assert report.syncs["newsletter"].outcome["changed"] == 0

    def rest(self) -> None:
        """Two further cycles, neither of which writes anything."""
        for _ in range(2):
            before = self.writes()
            report = self.sync()
            assert self.writes() == before, report.to_json()

    def crm_id(self, email: str) -> str:
        """The CRM's id of the record that was read with this address."""
        with self.store.reading() as unit:
            key = unit.points.find([email])[email]
            return next(o.record.id for o in unit.records.load(unit.records.holding([key])) if o.system == "crm")

    def writes(self) -> int:
        """Writing requests sent so far."""
        return sum(1 for r in self.transport.requests if (self.crm if r.base_url == CRM else self.esp).is_write(r))

    def crm_shows(self, email: str) -> dict[str, Any]:
        view = self.crm.act("view", email=email)
        assert view is not None, f"no CRM record holds {email}"
        return dict(view)

    def esp_shows(self, email: str) -> dict[str, Any]:
        view = self.esp.act("view", email=email)
        assert view is not None, f"no member has {email}"
        return dict(view)


def person(number: int = 1, **details: Any) -> Person:
    """Somebody known to both sides and subscribed, unless the details say otherwise."""
    defaults: dict[str, Any] = {
        "number": number,
        "first_name": f"Ann{number}",
        "last_name": f"Lee{number}",
        "addresses": (f"ann{number}@example.com",),
        "city": "Riga",
        "created_at": START - timedelta(days=100),
    }
    return Person(**{**defaults, **details})
