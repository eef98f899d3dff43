"""What may have arrived is called unknown, whatever becomes of its repetition."""

from typing import Any

import pytest

from optsync.model.change import Result, WriteKind
from optsync.model.record import Status
from optsync_mailchimp.tests.world import World, numbered

_A, _B = "person0@example.org", "person1@example.org"


def _results(world: World, *writes: Any) -> list[Result]:
    return [outcome.result for outcome in world.write(*writes)]


@pytest.mark.parametrize("kind", ["fields", "out"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_write_that_may_have_arrived_is_not_called_failed_where_its_repetition_is_refused_the_key(
    kind: str, count: int
) -> None:
    world = World(numbered(2))
    records = [world.records()[address] for address in (_A, _B)[:count]]
    lost = iter([True])

    def lose(method: str, _path: str) -> bool:
        is_first = method in {"POST", "PATCH"} and next(lost, False)
        if is_first:
            world.mock.act("account", state="UserDisabled")
        return is_first

    world.line.lose = lose
    writes = [
        world.out(r) if kind == "out" else world.to(WriteKind.FIELDS, r, fields={"CITY": "Bern"}) for r in records
    ]
    results = _results(world, *writes)

    shown = world.shows(_A)
    assert shown["fields"]["city"] == "Bern" if kind == "fields" else shown["word"] == "unsubscribed"
    assert set(results) == {Result.UNKNOWN}


def test_a_value_that_the_answer_leaves_out_is_not_called_failed_where_the_system_goes_down_after_it() -> None:
    world = World(numbered(2))
    records = world.records()

    def leave_out(method: str, _path: str, body: Any) -> Any:
        if method != "POST" or "updated_members" not in body:
            return body
        world.mock.act("account", state="UserDisabled")
        return {**body, "updated_members": [m for m in body["updated_members"] if m["email_address"] != _A]}

    world.line.rewrite = leave_out
    results = _results(world, *(world.to(WriteKind.FIELDS, records[a], fields={"CITY": "Bern"}) for a in (_A, _B)))

    assert world.shows(_A)["fields"]["city"] == "Bern"
    assert results == [Result.UNKNOWN, Result.APPLIED]


@pytest.mark.parametrize("status", [Status.IN, Status.PENDING])
def test_a_member_that_we_may_have_made_is_no_other_because_somebody_has_edited_it(status: Status) -> None:
    world = World({})
    lost = iter([True])

    def lose(method: str, _path: str) -> bool:
        is_first = method == "POST" and next(lost, False)
        if is_first:
            world.act("set_field", "new@example.org", field="city", value="Graz")
        return is_first

    world.line.lose = lose
    [result] = _results(world, world.create("new@example.org", status, fields={"CITY": "Bern"}))

    assert result in {Result.UNKNOWN, Result.APPLIED}


def test_a_rename_that_arrived_is_not_called_refused_because_the_person_left_before_its_repetition() -> None:
    world = World(numbered(2))
    record = world.records()[_A]
    lost = iter([True])

    def lose(method: str, _path: str) -> bool:
        is_first = method == "PATCH" and next(lost, False)
        if is_first:
            world.act("unsubscribe", "new@example.org")
        return is_first

    world.line.lose = lose
    write = world.to(WriteKind.RENAME, record, address="new@example.org", former=_A)
    [outcome] = world.connector.rename([write], world.spec)

    assert world.shows("new@example.org")["word"] == "unsubscribed"
    assert outcome.result in {Result.UNKNOWN, Result.APPLIED}
