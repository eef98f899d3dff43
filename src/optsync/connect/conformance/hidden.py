"""Opt-outs that a record does not show any more: whoever is archived hides what they said before."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import pytest

from optsync.connect.conformance.desk import Desk, people, person
from optsync.connect.contract import CanArchive, CanTellDepartures, Departure
from optsync.model.change import WriteKind
from optsync.model.record import Origin, Record

LACKS = "it does not offer this power"
_MANY = 40
_PATIENCE = 30


def _hide(desk: Desk, records: Iterable[Record]) -> None:
    """Takes them off the list, where that can be done."""
    desk.harness.clock.advance(60)
    if isinstance(desk.connector, CanArchive):
        desk.connector.archive([desk.to(WriteKind.ARCHIVE, record) for record in records], desk.spec)


def _told(desk: Desk, asked: Mapping[str, datetime | None]) -> Mapping[str, Departure | None]:
    assert isinstance(desk.connector, CanTellDepartures)
    return desk.connector.departures(desk.spec.collection, asked, None).told


class HiddenChecks:
    """What is told of who left, whatever their records show."""

    def test_an_opt_out_that_nothing_shows_is_told_with_its_time_and_author(self, desk: Desk) -> None:
        if not isinstance(desk.connector, CanTellDepartures):
            pytest.skip(LACKS)
        desk.seed(person("self"), person("admin"), person("stayed"), person("back"))
        records = {who.partition("@")[0]: record for who, record in desk.records().items()}
        since = desk.harness.clock.now()
        desk.harness.clock.advance(60)
        left_at = desk.harness.clock.now()
        desk.leave("self@example.com")
        desk.leave("back@example.com")
        desk.act("admin_unsubscribe", "admin@example.com")
        desk.harness.clock.advance(3600)
        desk.come_back("back@example.com")
        _hide(desk, records.values())
        told = _told(desk, {record.id: since for record in records.values()})
        found = {name: told[record.id] for name, record in records.items()}
        assert {name for name, departure in found.items() if departure} == {"self", "admin"}
        assert (found["stayed"], found["back"]) == (None, None), "it is told of who stayed, or came back by themself"
        assert found["self"] is not None
        assert found["admin"] is not None
        assert (found["self"].origin, found["admin"].origin) == (Origin.PERSON, Origin.ADMIN)
        assert all(abs(d.at - left_at) < timedelta(minutes=1) for d in found.values() if d)
        assert desk.line.writes == (len(records) if isinstance(desk.connector, CanArchive) else 0)

    def test_only_an_opt_out_since_the_time_asked_about_is_told(self, desk: Desk) -> None:
        if not isinstance(desk.connector, CanTellDepartures):
            pytest.skip(LACKS)
        desk.seed(person("ann"))
        (record,) = desk.records().values()
        desk.harness.clock.advance(60)
        desk.leave("ann@example.com")
        _hide(desk, [record])
        departure = _told(desk, {record.id: None})[record.id]
        assert departure is not None
        assert _told(desk, {record.id: departure.at})[record.id] == departure
        assert _told(desk, {record.id: departure.at + timedelta(seconds=1)}) == {record.id: None}

    def test_many_are_told_in_the_end_whichever_process_asks(self, desk: Desk) -> None:
        if not isinstance(desk.connector, CanTellDepartures):
            pytest.skip(LACKS)
        desk.seed(*people(_MANY))
        records = desk.records()
        since = desk.harness.clock.now()
        desk.harness.clock.advance(60)
        left = {"p3@example.com", f"p{_MANY - 1}@example.com"}
        for who in left:
            desk.leave(who)
        _hide(desk, records.values())
        open_: dict[str, datetime | None] = {record.id: since for record in records.values()}
        found: dict[str, Departure | None] = {}
        ticket: str | None = "of nobody"
        for _ in range(_PATIENCE):
            connector = desk.connect()
            assert isinstance(connector, CanTellDepartures)
            answer = connector.departures(desk.spec.collection, open_, ticket)
            assert answer.told.keys() <= open_.keys()
            found |= answer.told
            open_ = {rid: at for rid, at in open_.items() if rid not in answer.told}
            if not open_:
                break
            ticket = answer.ticket
            assert ticket is None or len(ticket) <= 200
            desk.harness.clock.advance(60)
        assert not open_, f"{len(open_)} of {_MANY} were never told"
        assert {who for who, record in records.items() if found[record.id]} == left
