"""Playing a script: the unmodified engine, mocks in process, virtual time; every write is inspected."""

import json
import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import requests

from optsync.connect.mock import MockTransport, Person
from optsync.model.record import Origin, Status
from optsync.state.store import Store
from optsync.state.unit import Unit
from optsync.sync.report import Report
from optsync_mock.faults import FaultKind, Rule, answer_with_fault
from tests.scenarios.world import CRM, ESP, World
from tests.simulation.hands import Sight, carry_out, sight
from tests.simulation.script import PEOPLE, Act, Cycle, Script, address
from tests.simulation.witness import Witness


class Killed(BaseException):
    """The process is gone."""


class Violation(AssertionError):
    """A rule did not hold."""


@dataclass(slots=True)
class Fate:
    """What happens to the requests and commits of the cycle under way."""

    faults: Mapping[int, str] = field(default_factory=dict)
    kill: tuple[str, int] | None = None
    requests: int = 0
    commits: int = 0
    is_dead: bool = False

    def kills(self, when: str, number: int) -> bool:
        if self.kill == (when, number):
            self.is_dead = True
        return self.is_dead


class SimStore(Store):
    """Begins as a copy of a migrated database; dies at a commit when fate says so."""

    fate = Fate()
    _template: bytes | None = None
    _is_ready = False

    def migrate(self) -> None:
        if self._is_ready:
            return
        self._is_ready = True
        if SimStore._template is None:
            super().migrate()
            with self._engine.connect() as connection:
                SimStore._template = connection.connection.driver_connection.serialize()  # type: ignore[union-attr]
        else:
            with self._engine.connect() as connection:
                connection.connection.driver_connection.deserialize(SimStore._template)  # type: ignore[union-attr]

    @contextmanager
    def transaction(self) -> Iterator[Unit]:
        self.fate.commits += 1
        number = self.fate.commits
        if self.fate.is_dead:
            raise Killed
        with super().transaction() as unit:
            yield unit
            if self.fate.kills("before commit", number):
                raise Killed
        if self.fate.kills("after commit", number):
            raise Killed


class Line(MockTransport):
    """Every request: fate strikes, and what would be written is looked at before the vendor sees it."""

    def __init__(self, w: World, player: "Player") -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.player = player

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        fate = self.player.fate
        fate.requests += 1
        number = fate.requests
        if fate.kills("before request", number):
            raise Killed
        self.player.inspect(request)
        answer = self._answer(request, fate.faults.get(number), *args, **options)
        if fate.kills("after request", number):
            raise Killed
        return answer

    def _answer(
        self, request: requests.PreparedRequest, fault: str | None, *args: Any, **options: Any
    ) -> requests.Response:
        if fault is None:
            return super().send(request, *args, **options)
        inner = self._mocks
        try:
            self._mocks = {base: _Spoiled(mock, fault) for base, mock in inner.items()}  # type: ignore[misc]
            return super().send(request, *args, **options)
        finally:
            self._mocks = inner


class _Spoiled:
    def __init__(self, mock: Any, fault: str) -> None:
        self._mock, self._rule = mock, Rule(kind=FaultKind(fault), retry_after=1)

    def handle(self, request: Any) -> Any:
        return answer_with_fault(self._rule, lambda: self._mock.handle(request))


class Player:
    """One world from its beginning to its end."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.fate = Fate()
        self.witness = Witness()
        self.trace: list[str] = []
        folder = tempfile.TemporaryDirectory()
        self._folder = folder
        self.w = World(
            Path(folder.name),
            _people(script),
            policy=script.policy,
            store=SimStore,
            esp_ahead=script.esp_ahead,
            changes={},
        )
        self.w.store.fate = self.fate  # type: ignore[attr-defined]
        self._restart()

    def play(self) -> None:
        """Raises :class:`Violation` when a rule did not hold."""
        try:
            for step in self.script.steps:
                self.w.wait(seconds=step.wait)
                if isinstance(step, Act):
                    self._act(step)
                else:
                    self._cycle(step)
            self._quieten()
        finally:
            self._folder.cleanup()

    def _act(self, act: Act) -> None:
        before = sight(self.w)
        is_done = carry_out(self.w, act)
        if is_done:
            self.witness.saw_act(act, before, sight(self.w), self.w.clock.now())
        self.trace.append(
            f"{self.w.clock.now():%d %H:%M:%S} {act.who} {act.what} {address(act.slot)} {address(act.other)} {is_done}"
        )

    def _cycle(self, cycle: Cycle) -> Report | None:
        self._set_fate(Fate(cycle.faults, cycle.kill))
        shown = sight(self.w)
        report: Report | None = None
        try:
            report = self.w.sync(full=cycle.is_full)
        except Killed:
            self.trace.append("killed")
        self._set_fate(Fate())
        was_read = report is not None and not report.syncs["newsletter"].failures
        self.witness.saw_cycle(shown, was_read=was_read)
        self.witness.ended = sight(self.w)
        if report is None:
            self._restart()
        else:
            self._note(report)
        return report

    def _note(self, report: Report) -> None:
        part = report.syncs["newsletter"]
        self.trace.append(f"{self.w.clock.now():%d %H:%M:%S} sync {part.state} {[str(f) for f in part.failures]}")
        for c in part.changes:
            what = f"{c.kind} {c.before} -> {c.after} {c.rule} {c.state} {c.message or ''}"
            self.trace.append(f"      {c.system} {c.record} {c.email} {what}")

    def _set_fate(self, fate: Fate) -> None:
        self.fate = fate
        self.w.store.fate = fate  # type: ignore[attr-defined]

    def _restart(self) -> None:
        """A new process on the same database."""
        self._line = Line(self.w, self)
        self.w._transport = self._line
        self.w.transport = self._line
        self.w.engine = self.w.compose()

    # what must hold

    def inspect(self, request: requests.PreparedRequest) -> None:
        """No 'subscribed' over somebody who did not say yes after the last no."""
        if not str(request.url).startswith(ESP) or request.method == "GET":
            return
        for path, body in _bodies(str(request.url), request.body):
            for item in body.get("members", [body]):
                if item.get("status") != "subscribed" and item.get("status_if_new") != "subscribed":
                    continue
                email = self._address(item.get("email_address"), path)
                member = next((m for m in sight(self.w).esp.values() if m.address == email), None)
                if member is None or member.status in {"subscribed", "archived"}:
                    continue
                if not self.witness.may_be_lifted(email):
                    raise Violation(f"'subscribed' is written over {member.status} of {email} without a later yes")

    def _address(self, given: str | None, path: str) -> str:
        if given:
            return given.lower()
        key = unquote(path.rsplit("/members/", 1)[1].split("/", maxsplit=1)[0].split("?", maxsplit=1)[0])
        found = self.w.esp.audience.find(key)  # type: ignore[attr-defined]
        return str(found.email).lower() if found else key

    def _quieten(self) -> None:
        """The weather is fine, nobody does anything: both sides agree and nothing is written any more."""
        for cycle in (Cycle(600), Cycle(4000, is_full=True), Cycle(8000, is_full=True), Cycle(600)):
            self.w.wait(seconds=cycle.wait)
            self._cycle(cycle)
        for _ in range(2):
            before = self.w.writes()
            self.w.wait(seconds=600)
            report = self._cycle(Cycle(600))
            if self.w.writes() != before:
                raise Violation(f"a write although nothing happened: {report and report.to_json()}")
        self._judge(sight(self.w))

    def _judge(self, end: Sight) -> None:
        for email in sorted(self.witness.outs):
            if not self.witness.must_be_out(email):
                continue
            for key, member in end.esp.items():
                if member.address == email and member.status == "subscribed":
                    raise Violation(f"{email} said no and is subscribed ({key})")
            for number, contact in end.crm.items():
                if contact.addresses[:1] == (email,) and not contact.is_out:
                    raise Violation(f"{email} said no and contact {number} does not show it")
            self._must_be_in_ledger(email)

    def _must_be_in_ledger(self, email: str) -> None:
        with self.w.store.reading() as unit:
            key = unit.points.find([email]).get(email)
            said = unit.ledger.about([key])[key] if key is not None else ()
        if not any(s.kind in {"out", "complaint"} for s in said):
            raise Violation(f"{email} said no and the ledger does not know it")


def _people(script: Script) -> list[Person]:
    rng = random.Random(f"{script.people} people")
    return [
        Person(
            number=n,
            first_name=f"Ann{n}",
            last_name=f"Lee{n}",
            addresses=(address(n), *((address((n + 1) % PEOPLE),) if rng.random() < 0.15 else ())),
            city="Riga",
            in_crm=rng.random() < 0.85,
            in_esp=rng.random() < 0.8,
            status=rng.choice([Status.IN, Status.IN, Status.IN, Status.OUT, Status.PENDING, Status.UNKNOWN]),
            origin=rng.choice([Origin.PERSON, Origin.ADMIN]),
            opt_out=rng.random() < 0.15,
            opt_in=rng.random() < 0.3,
            crm_topics={"news": rng.random() < 0.5} if rng.random() < 0.5 else {},
            esp_topics={"news": rng.random() < 0.5, "offers": rng.random() < 0.5},
        )
        for n in range(PEOPLE)
    ]


def _bodies(url: str, body: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    content = json.loads(body or b"{}")
    if url.endswith("/batches"):
        for operation in content["operations"]:
            yield operation["path"], json.loads(operation.get("body") or "{}")
    else:
        yield url, content
