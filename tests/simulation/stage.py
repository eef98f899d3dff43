"""Where a world happens: two vendor mocks, virtual time with a clock for each system, a state database in memory."""

import random
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from requests.adapters import BaseAdapter
from sqlalchemy.exc import OperationalError

from optsync.clock import ManualClock
from optsync.config.load import load
from optsync.config.parts import Guard, Policy
from optsync.config.schema import Config
from optsync.connect.mock import Person
from optsync.connect.registry import mocks
from optsync.model.record import Origin, Status
from optsync.state.store import Store
from optsync.state.unit import Unit
from optsync.sync.compose import compose
from optsync.sync.engine import Engine
from tests.simulation.script import SLOTS, Script, address
from tests.simulation.terms import CHOICES, DIRECTIONS, Terms

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
CRM, ESP = "http://127.0.0.1:1/crm", "http://127.0.0.1:1/esp"
PURPOSE, SYNC = "acme/marketing", "newsletter"
_NAMES = ("first_name", "city")


class Killed(BaseException):
    """The process is gone."""


class VendorClock:
    """A system's own clock: ``ahead`` of ours by some seconds, and for what is ``late`` further back."""

    def __init__(self, clock: ManualClock, ahead: float) -> None:
        self._clock = clock
        self.ahead = ahead
        self.late = 0.0

    def now(self) -> datetime:
        ahead = self.ahead - self.late
        return self._clock.now() + timedelta(seconds=ahead) if ahead else self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


@dataclass(slots=True)
class Fate:
    """What happens to the requests and commits of the cycle under way; ``struck``: the classes of what did happen."""

    faults: Mapping[int, str] = field(default_factory=dict)
    kill: tuple[str, int] | None = None
    troubled: Mapping[int, str] = field(default_factory=dict)
    requests: int = 0
    commits: int = 0
    is_dead: bool = False
    struck: set[str] = field(default_factory=set)

    def kills(self, when: str, number: int) -> bool:
        if self.kill == (when, number):
            self.is_dead = True
        return self.is_dead


class SimStore(Store):
    """Begins as a copy of a migrated database; dies, is busy or leaves a commit in doubt when fate says so.

    Worlds that are played one after another share the connection, and with it what SQLAlchemy has compiled."""

    fate: Fate
    driver: sqlite3.Connection
    _template: bytes

    def migrate(self) -> None:
        """The database is a migrated one already."""

    @classmethod
    def empty(cls, clock: ManualClock) -> "SimStore":
        store = cls.opened(clock, None, Fate())
        store.driver.deserialize(store._template)
        return store

    @classmethod
    def opened(cls, clock: ManualClock, keys: Any, fate: Fate) -> "SimStore":
        """On the shared connection, with whatever is in the database."""
        store = copy(cls._first())
        store._clock, store.keys, store.fate = clock, keys, fate
        return store

    @classmethod
    @cache
    def _first(cls) -> "SimStore":
        """The one of which all others are copies."""
        store = cls("sqlite://", ManualClock(START))
        Store.migrate(store)
        with store._engine.connect() as connection:
            store.driver = connection.connection.driver_connection  # type: ignore[assignment]
        store._template = store.driver.serialize()
        return store

    @contextmanager
    def transaction(self) -> Iterator[Unit]:
        fate = self.fate
        fate.commits += 1
        number = fate.commits
        if fate.is_dead:
            raise Killed
        trouble = fate.troubled.get(number)
        if trouble == "busy":
            fate.struck.add("database busy")
            raise OperationalError("BEGIN IMMEDIATE", {}, sqlite3.OperationalError("database is locked"))
        with super().transaction() as unit:
            yield unit
            if fate.kills("before commit", number):
                raise Killed
        if fate.kills("after commit", number):
            raise Killed
        if trouble:
            fate.struck.add("commit in doubt")
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("the connection is closed"))

    def wipe(self) -> bool:
        """There are no files; writing the database anew would take longer than the rest of a world."""
        return True


class Stage:
    """One world's systems and state. ``engine`` is the process; ``restart()`` begins another one."""

    def __init__(self, script: Script) -> None:
        self.clock = ManualClock(START)
        self.crm_clock = VendorClock(self.clock, script.crm_ahead)
        self.esp_clock = VendorClock(self.clock, script.esp_ahead)
        self.crm: Any = _mock("bitrix24")(clock=self.crm_clock, rng=random.Random(1))
        self.esp: Any = _mock("mailchimp")(clock=self.esp_clock, rng=random.Random(2))
        population = people(script)
        self.crm.populate(population)
        self.esp.populate(population)
        self._take(configured(script))
        self.known_groups = {key: group.name.lower() for key, group in self.esp.audience.interests().items()}
        """The topic that each group of the platform stands for, also one that is not there any more."""
        self.groups = {topic: key for key, topic in self.known_groups.items()}
        self.away: dict[str, Any] = {}
        """Fields and groups that administrators have taken away, with what it takes to bring them back."""
        self.field_back_at: datetime | None = None
        """When one of those fields was brought back last."""
        self.store = SimStore.empty(self.clock)
        self.transport: BaseAdapter | None = None
        self.engine: Engine

    def restart(self, holder: str = "first") -> Engine:
        """A new process on the same database, with whatever the configuration is now."""
        engine = compose(
            self.config, clock=self.clock, rng=random.Random(3), transport=self.transport, store=self.store
        )
        object.__setattr__(engine, "holder", holder)
        return engine

    def _take(self, config: Config) -> None:
        self.config = config
        crm = config.syncs[SYNC].crm
        self.meaning = f"{sorted(crm.topics)} {crm.where}"
        """What of the configuration decides what a reading means."""

    @property
    def terms(self) -> Terms:
        """What the configuration promises now."""
        sync = self.config.syncs[SYNC]
        return Terms(
            stays=frozenset(side for way, side in DIRECTIONS.items() if not getattr(sync.opt_out, way)),
            enters=sync.policy.enter != "skip",
            stops=sync.policy.after_opt_out == "stop",
        )

    def reconfigure(self, what: str, other: int = 0) -> None:
        """``remap``: one topic less is mapped, or again; ``refilter``: another list scope, or the first again; the name
        of a direction: opt-outs travel that way or not, by ``other``; that of a policy: another one, chosen by it."""
        sync = self.config.syncs[SYNC]
        if what == "remap":
            topics = dict(sync.crm.topics)
            if "offers" in topics:
                del topics["offers"]
            else:
                topics["offers"] = "UF_CRM_TOPIC_OFFERS"
            self._put(sync, {"crm": sync.crm.model_copy(update={"topics": topics})})
        elif what in DIRECTIONS:
            self._put(sync, {"opt_out": sync.opt_out.model_copy(update={what: bool(other)})})
        elif what in CHOICES:
            chosen = CHOICES[what][other % len(CHOICES[what])]
            self._put(sync, {"policy": sync.policy.model_copy(update={what: chosen})})
        else:
            where = {"TYPE_ID": "SUPPLIER" if sync.crm.where == {"TYPE_ID": "CLIENT"} else "CLIENT"}
            self._put(sync, {"crm": sync.crm.model_copy(update={"where": where})})

    def _put(self, sync: Any, changes: Mapping[str, Any]) -> None:
        self._take(self.config.model_copy(update={"syncs": {SYNC: sync.model_copy(update=changes).named(SYNC)}}))


@cache
def _mock(name: str) -> Any:
    return mocks()[name]


def configured(script: Script) -> Config:
    """The base configuration with the script's policy, read once from a file as every other."""
    base = _base(script.basis, script.conflict, script.handled)
    policy = {key: value for key, value in script.policy.items() if key != "inactive"}
    if "inactive" in script.policy:
        policy["inactive"] = script.policy["inactive"]
    sync = base.syncs[SYNC].model_copy(update={"policy": Policy(**policy)}).named(SYNC)
    few = {"max": script.guard, "percent": 20, "cap": 1000}
    kinds = {"opt_outs": few, "opt_ins": few, "archives": few}
    return base.model_copy(update={"syncs": {SYNC: sync}, "guard": Guard(**kinds)})


@cache
def _base(basis: str, conflict: str, handled: bool) -> Config:
    crm, esp = _mock("bitrix24"), _mock("mailchimp")
    of_crm = crm(clock=ManualClock(START), rng=random.Random(1)).config(CRM)
    of_esp = esp(clock=ManualClock(START), rng=random.Random(2)).config(ESP)
    sync: dict[str, Any] = {
        "scope": PURPOSE,
        "crm": {"system": "crm", **of_crm.side},
        "esp": {"system": "esp", **of_esp.side},
        "fields": [{"crm": of_crm.fields[n], "esp": of_esp.fields[n], "conflict": conflict} for n in _NAMES],
        "full": "720h",
    }
    if handled:
        sync["on_opt_out"] = {PURPOSE: {"LAST_NAME": "left"}}
        sync["on_opt_in"] = {PURPOSE: {"LAST_NAME": "came"}}
    purposes = {
        "marketing": {"kind": "commercial", "basis": basis, "topics": ["news", "offers", "events"]},
        "service": {"kind": "transactional"},
    }
    document = {
        "state": {"url": "sqlite://"},
        "secret_keys": ["a secret of the simulation"],
        "brands": {"acme": {"purposes": purposes}},
        "systems": {"crm": of_crm.system, "esp": of_esp.system},
        "syncs": {SYNC: sync},
        "consent": {"inactive_after": "45d"},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return load(path, {})


def people(script: Script) -> list[Person]:
    """Who lives in the world of that seed."""
    rng = random.Random(f"{script.seed} people")
    return [_person(number, rng) for number in range(script.people)]


def _person(number: int, rng: random.Random) -> Person:
    made = START - timedelta(days=rng.randrange(3, 400), seconds=rng.randrange(86400))
    has_consent = rng.random() < 0.3
    status = rng.choice([Status.IN] * 5 + [Status.OUT, Status.OUT, Status.PENDING, Status.UNKNOWN])
    return Person(
        number=number,
        first_name=f"Ann{number}",
        last_name=f"Lee{number}",
        addresses=(address(number), *((address((number + 1) % SLOTS),) if rng.random() < 0.12 else ())),
        city=rng.choice(["Riga", "Riga", "", "Oslo"]),
        is_client=rng.random() < 0.9,
        in_crm=rng.random() < 0.88,
        in_esp=rng.random() < 0.85,
        status=status,
        origin=rng.choice([Origin.PERSON, Origin.ADMIN, Origin.COMPLAINT]),
        opted_in_at=made if status is Status.IN and rng.random() < 0.5 else None,
        opt_out=rng.random() < 0.12,
        opt_in=has_consent,
        consent_at=made if has_consent and rng.random() < 0.8 else None,
        crm_topics={"news": rng.random() < 0.5} if rng.random() < 0.5 else {},
        esp_topics={"news": rng.random() < 0.5, "offers": rng.random() < 0.5},
        created_at=made,
    )
