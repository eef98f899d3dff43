"""Every fault on every kind of call: a call ends well, or says truly how it ended."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from optsync.connect.conformance.asking import ANN, DONE
from optsync.connect.conformance.desk import NAME, OTHER_TOPIC, TOPIC, Desk, person
from optsync.connect.conformance.line import PASSING, Trouble
from optsync.connect.contract import (
    CanArchive,
    CanConfirmOptIn,
    CanForget,
    CanListTemplates,
    CanRename,
    CanReportActivity,
    CanScanIds,
    CanTag,
    CanTellDepartures,
)
from optsync.errors import SystemFailure
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.page import ReadSpec
from optsync.model.record import Record, Status

_POWERS = {"rename": CanRename, "tag": CanTag, "archive": CanArchive, "forget": CanForget}
_LASTING = (Trouble.DROP, Trouble.TOO_MANY, Trouble.ERROR_503, Trouble.CUT_AFTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One way to use a connector. ``go`` gives the outcomes of a write, None for a read; ``shows`` looks whether the
    write had its effect, None where nothing shows it."""

    name: str
    go: Callable[[], list[Outcome] | None]
    shows: Callable[[], bool] | None = None


def reads(desk: Desk) -> Iterator[Call]:
    """What asks for no change."""
    connector, spec = desk.connector, desk.spec
    record = desk.record(ANN)
    since = desk.harness.clock.now() - timedelta(days=9)

    def reading(name: str, go: Callable[[], object]) -> Call:
        def run() -> None:
            go()

        return Call(name=name, go=run)

    yield reading("check", lambda: connector.check([spec]))
    yield reading("describe", connector.describe)
    yield reading("read", desk.read)
    yield reading("read_ids", lambda: connector.read_ids(spec, [record.id]))
    if cursor := desk.read()[-1].cursor:
        yield reading("read from a cursor", lambda: desk.read(cursor))
    if isinstance(connector, CanScanIds):
        yield reading("scan_ids", lambda: list(connector.scan_ids(spec.collection)))
    if isinstance(connector, CanConfirmOptIn):
        yield reading("confirm_opt_in", lambda: connector.confirm_opt_in(spec.collection, record.id, since))
    if isinstance(connector, CanTellDepartures):
        yield reading("departures", lambda: connector.departures(spec.collection, {record.id: since}, None))
    if isinstance(connector, CanReportActivity):
        yield reading("activity", lambda: list(connector.activity(spec.collection, None, since)))
    if isinstance(connector, CanListTemplates):
        yield reading("templates", lambda: list(connector.templates()))


_Verb = Callable[[Sequence[Write], ReadSpec], Sequence[Outcome]]


def writes(desk: Desk) -> Iterator[Call]:
    """What asks for a change, each of another person."""
    # On a real server every person costs a call or two: only those who are needed.
    seeded = ["out", "fields", *(["topics"] if desk.topics else [])]
    seeded += [name for name, power in _POWERS.items() if isinstance(desk.connector, power)]
    desk.seed(person("in", opt_out=True), *(person(name) for name in seeded))
    records = {who.partition("@")[0]: record for who, record in desk.records().items()}
    if desk.is_esp:
        desk.act("admin_unsubscribe", "in@example.com")

    def writing(name: str, write: Write, shows: Callable[[], bool]) -> Call:
        return Call(name=name, go=lambda: desk.write(write), shows=shows)

    yield writing("out", desk.out(records["out"]), lambda: desk.is_out("out@example.com"))
    yield writing("in", desk.into(records["in"]), lambda: desk.is_in("in@example.com"))
    yield writing("fields", desk.named(records["fields"], "Robert"), lambda: _name(desk, "fields") == "Robert")
    yield writing("create", desk.create("cleo@example.com"), lambda: desk.view("cleo@example.com") is not None)
    if desk.topics:
        ticked = desk.ticked(records["topics"], **{TOPIC: True, OTHER_TOPIC: False})
        yield writing("topics", ticked, lambda: _has_topic(desk, "topics"))
    yield from _powers(desk, records)


def _powers(desk: Desk, records: Mapping[str, Record]) -> Iterator[Call]:
    connector, spec = desk.connector, desk.spec

    def power(
        name: str, verb: Callable[..., Sequence[Outcome]], write: Write, shows: Callable[[], bool] | None
    ) -> Call:
        return Call(name=name, go=lambda: list(verb([write], spec)), shows=shows)

    if isinstance(connector, CanRename):
        rename = desk.to(WriteKind.RENAME, records["rename"], address="new.name@example.com")
        yield power("rename", connector.rename, rename, lambda: desk.view("new.name@example.com") is not None)
    if isinstance(connector, CanTag):
        yield power("tag", connector.tag, desk.to(WriteKind.TAG, records["tag"], tags={"optsync": True}), None)
    if isinstance(connector, CanArchive):
        archive = desk.to(WriteKind.ARCHIVE, records["archive"])
        yield power("archive", connector.archive, archive, lambda: _status(desk, "archive") is Status.ARCHIVED)
    if isinstance(connector, CanForget):
        forgetting, rid = connector.forget, records["forget"].id
        go = lambda: [forgetting(spec.collection, rid)]  # noqa: E731
        yield Call(name="forget", go=go, shows=lambda: desk.view("forget@example.com") is None)


def _status(desk: Desk, name: str) -> Status | None:
    return desk.record(f"{name}@example.com").status


def _name(desk: Desk, name: str) -> object:
    view = desk.view(f"{name}@example.com")
    return view and view["fields"][NAME]


def _has_topic(desk: Desk, name: str) -> bool:
    view = desk.view(f"{name}@example.com")
    return view is not None and bool(view["topics"][TOPIC])


class CallChecks:
    """Fault x call."""

    def test_every_reading_call_answers_lasting_trouble_with_a_typed_failure(self, desk: Desk) -> None:
        desk.seed(person("ann"), person("bob"))
        for call in reads(desk):
            for trouble in sorted(desk.line.troubles):
                desk.line.trouble(trouble, times=100_000)
                before = len(desk.line.sent)
                try:
                    call.go()
                except SystemFailure:
                    pass
                else:
                    assert len(desk.line.sent) == before, f"{call.name} ended well while {trouble} spoiled everything"
                desk.line.clear()

    def test_every_reading_call_waits_passing_trouble_out(self, desk: Desk) -> None:
        desk.seed(person("ann"), person("bob"))
        for call in reads(desk):
            for trouble in sorted(desk.line.troubles.intersection(PASSING)):
                desk.line.trouble(trouble)
                call.go()
                desk.line.clear()

    @pytest.mark.parametrize("skip", range(2))
    @pytest.mark.parametrize("trouble", _LASTING)
    def test_every_writing_call_tells_the_truth_in_lasting_trouble(
        self, desk: Desk, trouble: Trouble, skip: int
    ) -> None:
        for call in writes(desk):
            desk.trouble(trouble, skip=skip, times=100_000)
            self._is_honest(desk, call, may_fail=True)

    @pytest.mark.parametrize("trouble", PASSING)
    def test_every_writing_call_tells_the_truth_in_passing_trouble(self, desk: Desk, trouble: Trouble) -> None:
        for call in writes(desk):
            desk.trouble(trouble, is_for_writes=True)
            self._is_honest(desk, call, may_fail=False)

    @pytest.mark.parametrize("trouble", [Trouble.EMPTY, Trouble.EMPTY_AFTER])
    def test_every_writing_call_tells_the_truth_where_an_answer_says_nothing(
        self, desk: Desk, trouble: Trouble
    ) -> None:
        for call in writes(desk):
            desk.trouble(trouble, times=100_000, is_for_writes=True)
            self._is_honest(desk, call, may_fail=True)

    @staticmethod
    def _is_honest(desk: Desk, call: Call, *, may_fail: bool) -> None:
        try:
            told = call.go()
        except SystemFailure:
            if not may_fail:
                raise
            told = []
        desk.line.clear()
        is_done = call.shows is None or call.shows()
        assert told is not None
        if not told:
            assert not is_done or call.shows is None, f"{call.name} raised although it had its effect"
            return
        (outcome,) = told
        if outcome.result in DONE or outcome.fact is Fact.GONE:
            assert is_done, f"{call.name}: {outcome.result}, and it is not so"
        elif outcome.result is not Result.UNKNOWN:
            assert not is_done or call.shows is None, f"{call.name}: {outcome.result}, and yet it is so"
