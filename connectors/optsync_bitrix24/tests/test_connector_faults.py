"""Seeded worlds: batches lose commands, answers get lost, people edit meanwhile. A failing seed replays exactly."""

import random
from typing import Any

import pytest

from optsync.connect.mock import MockRequest
from optsync.errors import SystemFailure
from optsync.model.change import Outcome, Result, Write, WriteKind
from optsync.model.page import ReadSpec
from optsync_bitrix24.tests.world import Spoil, World, contacts, people, world

_OUT = "UF_CRM_OPT_OUT"
_CODES = ("QUERY_LIMIT_EXCEEDED", "INTERNAL_SERVER_ERROR", "OPERATION_TIME_LIMIT")


def _leaky(rng: random.Random, made: World, *, edits: int, share: float = 0.05) -> Spoil:
    """Takes commands out of an answer, and lets people opt out between two calls."""

    def spoil(_: MockRequest, body: dict[str, Any]) -> Any:
        if "result" not in body:
            return body
        results, errors = body["result"]["result"], {}
        for key in [key for key in results if rng.random() < share]:
            del results[key]
            # Of a write that was carried out, no portal says that it was not.
            if rng.random() < 0.7 and key[0] not in "ua":
                errors[key] = {"error": rng.choice(_CODES), "error_description": "später"}
        body["result"]["result_error"] = errors or []
        rows = list(made.mock.portal.table("contact").rows)
        for _number in range(edits if rows else 0):
            made.mock.act("edit", id=rng.choice(rows), fields={_OUT: 1})
        return body

    return spoil


def _shows_out(made: World, record: str) -> bool:
    return str(made.mock.act("dump", id=int(record)).get(_OUT) or "0") == "1"


@pytest.mark.parametrize("seed", range(30))
def test_under_faults_and_edits_a_read_and_its_delta_show_everybody_as_they_are(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.choice([0, 30, 130, 700, 2600])
    made = world(people(count), booleans=rng.choice(["text", "json"]), shows_operating=rng.random() < 0.7)
    scopes: list[dict[str, Any]] = [{"TYPE_ID": "CLIENT"}, {"@TYPE_ID": ["CLIENT"]}, {}]
    lists = {f"l{number}": where for number, where in enumerate(scopes[: rng.randint(0, 3)])}
    spec = ReadSpec(collection="contact", fields=frozenset({"NAME", _OUT}), lists=lists)
    made.spoil(*[rng.choice([_leaky(rng, made, edits=3), None]) for _ in range(40)])
    for _ in range(rng.randint(0, 4)):
        kind = rng.choice(["error", "html", "lost_before", "lost_after", "truncated"])
        made.mock.act("fault", kind=kind, method="batch", skip=rng.randint(0, 3))
    pages = made.read(spec)
    shown = {record.id: record for page in pages for record in page.records}
    assert pages[-1].is_complete
    assert len(shown) == count
    assert all(record.lists == set(lists) for record in shown.values())
    made.mock.spoils.clear()
    made.clock.advance(rng.randint(0, 300))
    shown |= {record.id: record for page in made.read(spec, pages[-1].cursor) for record in page.records}
    for record in shown.values():
        assert (record.fields[_OUT] is True) == _shows_out(made, record.id)


@pytest.mark.parametrize("seed", range(30))
def test_under_faults_outcomes_never_say_more_than_the_portal_holds(seed: int) -> None:
    rng = random.Random(seed)
    made = world(people(90))
    ids = made.ids(contacts(_OUT))
    spec = contacts("NAME", _OUT)
    made.spoil(*[rng.choice([_leaky(rng, made, edits=0, share=0.1), None]) for _ in range(9)])
    for _ in range(rng.randint(0, 3)):
        kind = rng.choice(["error", "html", "lost_before", "lost_after", "truncated"])
        made.mock.act("fault", kind=kind, method="batch", skip=rng.randint(0, 4))
    writes = [_status(one) for one in ids[:70]] + [_create(number) for number in range(30)]
    rng.shuffle(writes)
    outcomes = _outcomes(made, writes, spec)
    assert [one.key for one in outcomes] == [write.key for write in writes]
    for write, outcome in zip(writes, outcomes, strict=True):
        holders = made.mock.act("view", email=write.address, all=True) if write.address else []
        is_there = bool(holders) if write.address else _shows_out(made, str(write.record))
        assert len(holders) <= 1
        if outcome.result is Result.APPLIED:
            assert is_there
        if write.address and outcome.result in (Result.FAILED, Result.INVALID, Result.REFUSED):
            assert not is_there


def _status(record: str) -> Write:
    fields = {_OUT: True}
    return Write(
        key=record, kind=WriteKind.STATUS, collection="contact", record=record, fields=fields, restrictive=True
    )


def _create(number: int) -> Write:
    fields = {"NAME": "Bo"}
    address = f"bo{number}@example.org"
    return Write(key=f"n{number}", kind=WriteKind.CREATE, collection="contact", address=address, fields=fields)


def _outcomes(made: World, writes: list[Write], spec: ReadSpec) -> list[Outcome]:
    """The second try meets whatever the first one left."""
    try:
        return list(made.connector.write(writes, spec))
    except SystemFailure:
        return list(made.connector.write(writes, spec))
