"""How much is asked for in one batch."""

from typing import Any

import msgspec
import pytest

from optsync.connect.mock import MockRequest
from optsync.model.change import Result, Write, WriteKind
from optsync_bitrix24.tests.world import OPT_OUT, World, contacts, people, status, world


def _commands_sent(made: World) -> list[int]:
    return [len(msgspec.json.decode(request.body)["cmd"]) for request in made.transport.requests]


def test_a_slow_portal_gets_smaller_batches() -> None:
    made = world(people(1300))

    def slow(_: MockRequest, body: dict[str, Any]) -> Any:
        body["time"]["duration"] = 45.0
        return body

    made.spoil(slow)
    assert len(made.ids(contacts("NAME"))) == 1300
    sent = _commands_sent(made)
    assert sent[0] == 1 + 10
    assert sent[1:] == [25]


@pytest.mark.parametrize(("where", "walks"), [({"TYPE_ID": "CLIENT"}, 1), ({"!TYPE_ID": "SUPPLIER"}, 2)])
def test_a_batch_asks_for_hardly_more_pages_than_there_probably_are(where: dict[str, Any], walks: int) -> None:
    made = world(people(120))
    spec = contacts("NAME", clients=where)
    assert next(iter(made.connector.read(spec, None))).is_last
    made.mock.populate(people(60))
    made.clock.advance(600)
    pages = made.read(spec)
    assert sum(len(page.records) for page in pages) == 180
    assert made.read(spec, pages[-1].cursor)[-1].is_last
    made.mock.populate(people(400))
    assert len(made.ids(spec)) == 580
    filling, again, delta, *grown = _commands_sent(made)
    assert filling == 1 + walks * 10
    assert again == walks * (120 // 50 + 2)
    assert delta == walks * 3
    assert len(grown) == 2


def test_a_delta_after_many_writes_asks_for_those_at_once() -> None:
    made = world(people(400))
    spec = contacts("NAME")
    pages = made.read(spec)
    made.clock.advance(600)
    ids = [record.id for page in pages for record in page.records]
    writes = [
        Write(key=one, kind=WriteKind.FIELDS, collection="contact", record=one, fields={"NAME": "Zoe"}) for one in ids
    ]
    made.connector.write(writes, spec)
    shown: list[str] = []
    assert made.calls(lambda: shown.extend(r.id for p in made.read(spec, pages[-1].cursor) for r in p.records)) == 1
    assert sorted(shown) == sorted(ids)
    made.clock.advance(600)
    assert made.read(spec, made.read(spec)[-1].cursor)[-1].is_last
    assert _commands_sent(made)[-1] == 3


def test_opt_outs_that_take_longer_than_a_request_may_are_told_as_open_and_then_go_in_smaller_batches() -> None:
    made = world(people(60), write_cost=2.0, has_operating_limit=False)
    spec = contacts(OPT_OUT)
    ids = made.ids(spec)
    outcomes = made.connector.write([status(one) for one in ids], spec)
    assert {one.result for one in outcomes} == {Result.UNKNOWN, Result.APPLIED}
    left = [one.id for one in made.records(spec).values() if not one.fields[OPT_OUT]]
    again = made.connector.write([status(one) for one in left], spec)

    assert {one.result for one in again} == {Result.APPLIED}
    assert all(one.fields[OPT_OUT] for one in made.records(spec).values())


def test_reading_that_goes_quickly_makes_no_batch_of_updates_larger_again() -> None:
    made = world(people(120))
    spec = contacts(OPT_OUT)
    ids = made.ids(spec)

    def timed(request: MockRequest, body: dict[str, Any]) -> Any:
        body["time"]["duration"] = 45.0 if b"update" in request.body else 0.5
        return body

    made.spoil(timed)
    made.connector.write([status(one) for one in ids[:49]], spec)
    for _ in range(5):
        made.ids(spec)
    sent = len(made.transport.requests)
    made.connector.write([status(one) for one in ids[49:]], spec)
    assert _commands_sent(made)[sent] <= 24 + 1
