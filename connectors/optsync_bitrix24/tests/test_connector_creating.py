"""New records and changed addresses: never a second record, never a second address."""

from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest

from optsync.connect.contract import CanRename
from optsync.connect.mock import ConnectionLost, MockRequest
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.record import Value
from optsync_bitrix24.mapping import MULTIFIELDS
from optsync_bitrix24.tests.world import World, contacts, people, world

_OUT = "UF_CRM_OPT_OUT"
_SPEC = contacts("NAME", _OUT, clients={"TYPE_ID": "CLIENT"})


def _create(address: str, key: str = "new", **values: Value) -> Write:
    fields: dict[str, Value] = {"NAME": "Bo", **values}
    return Write(key=key, kind=WriteKind.CREATE, collection="contact", address=address, fields=fields)


def _write(made: World, *writes: Write) -> list[Outcome]:
    return list(made.connector.write(writes, _SPEC))


def _lost(*_: Any) -> Any:
    raise ConnectionLost


def _methods(made: World) -> list[list[str]]:
    """Of every request so far, the methods it carried."""
    found = []
    for request in made.transport.requests:
        method = request.path.rpartition("/")[2].removesuffix(".json")
        cmd = msgspec.json.decode(request.body).get("cmd", {})
        found.append([one.partition("?")[0] for one in cmd.values()] if method == "batch" else [method])
    return found


def test_a_new_record_is_made_once_with_its_origin() -> None:
    made = world(people(1))
    (outcome,) = _write(made, _create("bo@example.org", TYPE_ID="CLIENT"))
    assert outcome.result is Result.APPLIED
    assert outcome.record is not None
    assert outcome.record.addresses == ("bo@example.org",)
    assert outcome.record.lists == {"clients"}
    stored = made.mock.act("dump", id=int(outcome.record_id or 0))
    assert stored["ORIGINATOR_ID"] == "optsync"
    assert stored["ORIGIN_ID"].startswith("new-")


def test_a_record_made_by_a_write_of_the_same_name_for_somebody_else_is_not_taken_for_ours() -> None:
    made = world(people(1))
    (first,) = _write(made, _create("bo@example.org", key="17"))
    (second,) = _write(made, _create("cy@example.org", key="17"))
    assert second.result is Result.APPLIED
    assert second.record is not None
    assert second.record_id != first.record_id
    assert second.record.addresses == ("cy@example.org",)


def test_a_record_that_exists_is_not_touched() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    (outcome,) = _write(made, _create("ANN0@example.com"))
    assert (outcome.result, outcome.fact, outcome.record_id) == (Result.REFUSED, Fact.EXISTS, record)
    assert made.mock.act("dump", id=int(record))["NAME"] == "Ann0"


def test_two_creates_of_one_address_make_one_record() -> None:
    made = world()
    first, second = _write(made, _create("bo@example.org", key="a"), _create("BO@example.org", key="b"))
    assert first.result is Result.APPLIED
    assert (second.result, second.fact, second.record_id) == (Result.REFUSED, Fact.EXISTS, first.record_id)
    assert made.mock.act("count") == {"records": 1}


def test_a_create_whose_answer_was_lost_is_found_and_not_made_twice() -> None:
    made = world()
    made.ids(_SPEC)
    made.spoil(None, _lost)
    (outcome,) = _write(made, _create("bo@example.org"))
    assert outcome.result is Result.APPLIED
    assert outcome.record is not None
    (again,) = _write(made, _create("bo@example.org"))
    assert (again.result, again.record_id) == (Result.APPLIED, outcome.record_id)
    assert made.mock.act("count") == {"records": 1}


def test_a_create_that_never_arrived_is_unknown_and_made_by_the_next_try() -> None:
    made = world()
    made.ids(_SPEC)
    made.mock.act("fault", kind="lost_before", method="batch", skip=1)
    (outcome,) = _write(made, _create("bo@example.org"))
    assert outcome.result is Result.UNKNOWN
    (again,) = _write(made, _create("bo@example.org"))
    assert again.result is Result.APPLIED
    assert made.mock.act("count") == {"records": 1}


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_bad_address_spoils_only_its_own_create(position: int) -> None:
    made = world()
    addresses = ["a@example.org", "b@example.org", "c@example.org"]
    addresses[position] = "no address"
    outcomes = _write(made, *[_create(one, key=one) for one in addresses])
    assert outcomes.pop(position).result is Result.INVALID
    assert [one.result for one in outcomes] == [Result.APPLIED] * 2


def test_a_name_that_looks_like_a_reference_is_created_by_a_call_of_its_own() -> None:
    made = world()
    outcomes = _write(made, _create("a@example.org", key="a", NAME="$result[a1]"), _create("b@example.org", key="b"))
    assert [one.result for one in outcomes] == [Result.APPLIED] * 2
    assert outcomes[0].record is not None
    assert outcomes[0].record.fields["NAME"] == "$result[a1]"
    assert ["crm.contact.add"] in _methods(made)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_look_up_that_fails_holds_back_its_own_create_only(position: int) -> None:
    made = world()
    made.ids(_SPEC)

    def fail(_: MockRequest, body: dict[str, Any]) -> Any:
        del body["result"]["result"][f"d{position}"]
        error = {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}
        body["result"]["result_error"] = {f"d{position}": error}
        return body

    made.spoil(fail)
    outcomes = _write(made, *[_create(f"{name}@example.org", key=name) for name in "abc"])
    failed = outcomes.pop(position)
    assert failed.result is Result.FAILED
    assert failed.retry_at is not None
    assert [one.result for one in outcomes] == [Result.APPLIED] * 2
    assert made.mock.act("count") == {"records": 2}


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_create_without_an_answer_is_unknown_alone(position: int) -> None:
    made = world()
    made.ids(_SPEC)

    def silent(_: MockRequest, body: dict[str, Any]) -> Any:
        del body["result"]["result"][f"a{position}"]
        return body

    made.spoil(None, silent)
    outcomes = _write(made, *[_create(f"{name}@example.org", key=name) for name in "abc"])
    assert outcomes.pop(position).result is Result.UNKNOWN
    assert [one.result for one in outcomes] == [Result.APPLIED] * 2


def _rename(record: str, to: str) -> Write:
    return Write(key="r", kind=WriteKind.RENAME, collection="contact", record=record, address=to)


def test_an_address_is_changed_in_place_and_never_added() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    assert isinstance(made.connector, CanRename)
    (outcome,) = made.connector.rename([_rename(record, "new@example.org")], _SPEC)
    assert (outcome.result, outcome.record_id) == (Result.APPLIED, record)
    assert outcome.record is not None
    assert outcome.record.addresses == ("new@example.org",)
    (again,) = made.connector.rename([_rename(record, "new@example.org")], _SPEC)
    assert again.result is Result.SAME


def test_looking_for_the_rows_of_addresses_shows_nothing_that_nobody_would_hear() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    before = len(made.transport.requests)
    made.connector.rename([_rename(record, "new@example.org")], _SPEC)
    looks = [
        parse_qs(command.partition("?")[2])
        for request in made.transport.requests[before:]
        for command in msgspec.json.decode(request.body)["cmd"].values()
        if command.startswith("crm.contact.list")
    ]

    selected = [{value for name, (value,) in look.items() if name.startswith("select")} for look in looks]
    assert selected[0] == {"ID", *MULTIFIELDS}
    assert set(_SPEC.fields) < selected[1], "what the record shows after the write is heard"


def test_a_second_address_that_becomes_the_first_is_not_doubled() -> None:
    made = world(people(1))
    made.mock.act("add_address", email="ann0@example.com", address="new@example.org")
    (record,) = made.ids(_SPEC)
    (outcome,) = made.connector.rename([_rename(record, "new@example.org")], _SPEC)
    assert outcome.record is not None
    assert outcome.record.addresses == ("new@example.org",)


def test_renames_of_vanished_records_and_to_no_address_are_refused() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    gone, bad = made.connector.rename([_rename("9999", "new@example.org"), _rename(record, "no address")], _SPEC)
    assert (gone.result, gone.fact) == (Result.REFUSED, Fact.GONE)
    assert (bad.result, bad.field) == (Result.INVALID, "EMAIL")


@pytest.mark.parametrize("entity", ["lead", "company"])
def test_leads_and_companies_are_made_and_changed_alike(entity: str) -> None:
    made = world()
    spec = type(_SPEC)(collection=entity, fields=frozenset({"TITLE", _OUT}))
    create = Write(key="n", kind=WriteKind.CREATE, collection=entity, address="bo@example.org")
    (outcome,) = made.connector.write([create], spec)
    assert outcome.result is Result.APPLIED
    assert outcome.record is not None
    assert outcome.record.fields["TITLE"] == "bo@example.org"
    out = Write(
        key="o",
        kind=WriteKind.STATUS,
        collection=entity,
        record=outcome.record_id,
        fields={_OUT: True},
        restrictive=True,
    )
    (changed,) = made.connector.write([out], spec)
    assert changed.record is not None
    assert changed.record.fields[_OUT] is True
