"""Writing to a portal: what is sent, what is read back, what is refused, and answers that get lost."""

from typing import Any

import msgspec
import pytest

from optsync.connect.mock import MockRequest
from optsync.errors import SystemUnavailable
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.record import Value
from optsync_bitrix24.tests.world import (
    OPT_OUT,
    World,
    contacts,
    fields_of,
    html_answer,
    json_answer,
    lost,
    people,
    status,
    with_error,
    world,
)

_SPEC = contacts(
    "NAME", "PHONE", "BIRTHDATE", "UF_CRM_PLAN", OPT_OUT, topics=["UF_CRM_TOPIC_NEWS"], clients={"TYPE_ID": "CLIENT"}
)


def _fields(record: str, *, key: str = "f", **values: Value) -> Write:
    return fields_of(record, values, key=key)


def _write(made: World, *writes: Write) -> list[Outcome]:
    return list(made.connector.write(writes, _SPEC))


def test_opt_outs_are_written_and_shown_by_one_call_for_forty_nine() -> None:
    made = world(people(49))
    ids = made.ids(_SPEC)
    writes = [status(one) for one in ids]
    outcomes: list[Outcome] = []
    assert made.calls(lambda: outcomes.extend(_write(made, *writes))) == 1
    assert [one.key for one in outcomes] == [one.key for one in writes]
    for one in outcomes:
        assert one.result is Result.APPLIED
        assert one.record is not None
        assert one.record.fields[OPT_OUT] is True
        assert one.record.lists == {"clients"}


def test_what_restricts_goes_first_and_alone() -> None:
    made = world(people(3))
    a, b, c = made.ids(_SPEC)
    before = len(made.transport.requests)
    _write(made, _fields(a, NAME="Zoe"), status(b, value=False), status(c))
    sent = [msgspec.json.decode(request.body)["cmd"] for request in made.transport.requests[before:]]
    assert [[key for key in cmd if key.startswith("u")] for cmd in sent] == [["u2"], ["u1"], ["u0"]]


def test_a_fields_write_carries_no_status_and_no_topics() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    write = Write(
        key="f",
        kind=WriteKind.FIELDS,
        collection="contact",
        record=record,
        fields={"NAME": "Zoe"},
        topics={"UF_CRM_TOPIC_NEWS": True},
    )
    (outcome,) = _write(made, write)
    assert outcome.record is not None
    assert outcome.record.topics == {"UF_CRM_TOPIC_NEWS": None}
    assert outcome.record.fields["NAME"] == "Zoe"


def test_topics_are_boolean_fields() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    topics = {"UF_CRM_TOPIC_NEWS": False}
    write = Write(key="t", kind=WriteKind.TOPICS, collection="contact", record=record, topics=topics)
    (outcome,) = _write(made, write)
    assert outcome.record is not None
    assert outcome.record.topics == topics


@pytest.mark.parametrize("text", ["$result[u0][NAME]", "costs $result", "a&b=c+d%20#é🎉 'q' \"x\"", "[x]", " edge "])
def test_any_text_arrives_as_it_is(text: str) -> None:
    made = world(people(2))
    first, second = made.ids(_SPEC)
    outcomes = _write(made, _fields(first, key="a", NAME=text), _fields(second, key="b", NAME="plain"))
    assert [one.result for one in outcomes] == [Result.APPLIED] * 2
    assert made.mock.act("dump", id=int(first))["NAME"] == text


def test_values_are_cleared() -> None:
    made = world(people(1, plan="Gold"))
    (record,) = made.ids(_SPEC)
    (outcome,) = _write(made, _fields(record, NAME=None, UF_CRM_PLAN=None))
    assert outcome.result is Result.APPLIED
    assert outcome.record is not None
    assert (outcome.record.fields["NAME"], outcome.record.fields["UF_CRM_PLAN"]) == (None, None)


def test_a_phone_number_is_changed_and_not_added() -> None:
    made = world(people(2, phone="+3711"))
    first, second = made.ids(_SPEC)
    outcomes = _write(made, _fields(first, key="a", PHONE="+3712"), _fields(second, key="b", PHONE=None))
    assert [one.result for one in outcomes] == [Result.APPLIED] * 2
    assert [row["VALUE"] for row in made.mock.act("dump", id=int(first))["PHONE"]] == ["+3712"]
    assert made.mock.act("dump", id=int(second))["PHONE"] == []


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_record_that_is_gone_stops_only_itself(position: int) -> None:
    made = world(people(3))
    ids = made.ids(_SPEC)
    made.mock.act("delete", email=f"ann{position}@example.com")
    outcomes = _write(made, *[status(one) for one in ids])
    for place, one in enumerate(outcomes):
        assert one.result is (Result.REFUSED if place == position else Result.APPLIED)
        assert one.fact is (Fact.GONE if place == position else None)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(
    ("code", "text", "result", "fact", "field"),
    [
        ("", "Access denied.", Result.REFUSED, Fact.NOT_ALLOWED, None),
        ("", "Доступ запрещён", Result.REFUSED, Fact.NOT_ALLOWED, None),
        ("ACCESS_DENIED", "Нет прав", Result.REFUSED, Fact.NOT_ALLOWED, None),
        ("", "Contact is not found", Result.REFUSED, Fact.GONE, None),
        ("ERROR_CORE", 'Das Feld "First name" ist falsch<br>', Result.INVALID, None, "NAME"),
        ("CRM_FIELD_ERROR_VALUE_NOT_VALID", 'Invalid value for field "NAME"', Result.INVALID, None, "NAME"),
        ("QUERY_LIMIT_EXCEEDED", "Too many requests", Result.FAILED, None, None),
        ("OPERATION_TIME_LIMIT", "Method is blocked", Result.FAILED, None, None),
        ("", "Disk resource exhausted", Result.FAILED, None, None),
    ],
)
def test_a_command_that_fails_in_a_batch_is_judged_alone(
    position: int, code: str, text: str, result: Result, fact: Fact | None, field: str | None
) -> None:
    made = world(people(3))
    writes = [_fields(one, key=one, NAME="Zoe") for one in made.ids(_SPEC)]
    made.spoil(with_error(f"u{position}", code, text))
    outcomes = _write(made, *writes)
    failed = outcomes.pop(position)
    assert (failed.result, failed.fact, failed.field) == (result, fact, field)
    assert (failed.record is None) == (fact is Fact.GONE)
    assert (failed.retry_at is not None) == (code in ("QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT"))
    assert [one.result for one in outcomes] == [Result.APPLIED] * 2


def test_a_write_that_failed_tells_what_somebody_else_has_set_meanwhile() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    made.mock.act("opt_out", email="ann0@example.com")
    made.spoil(with_error("u0", "INTERNAL_SERVER_ERROR", "Internal server error"))
    (outcome,) = _write(made, _fields(record, NAME="Zoe"))

    assert outcome.record is not None
    assert outcome.record.fields[OPT_OUT] is True


def test_a_refusal_in_any_language_about_a_vanished_record_says_gone() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    made.mock.act("delete", email="ann0@example.com")
    made.spoil(with_error("u0", "", "Контакт не найден"))
    (outcome,) = _write(made, status(record))
    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.GONE)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_command_without_an_answer_is_judged_by_the_read_back(position: int) -> None:
    made = world(people(3))
    ids = made.ids(_SPEC)

    def silent(_: MockRequest, body: dict[str, Any]) -> Any:
        del body["result"]["result"][f"u{position}"]
        return body

    made.spoil(silent)
    assert [one.result for one in _write(made, *[status(one) for one in ids])] == [Result.APPLIED] * 3

    def silent_all_over(_: MockRequest, body: dict[str, Any]) -> Any:
        del body["result"]["result"][f"u{position}"]
        del body["result"]["result"]["zr"]
        return body

    made.spoil(silent_all_over)
    results = [one.result for one in _write(made, *[status(one) for one in ids])]
    assert results.pop(position) is Result.UNKNOWN
    assert results == [Result.APPLIED] * 2


@pytest.mark.parametrize("answer", [False, None, [], 0, ""])
def test_an_update_that_the_portal_does_not_confirm_is_not_taken_for_done(answer: Any) -> None:
    made = world(people(1))
    (one,) = made.ids(_SPEC)

    def unconfirmed(_: MockRequest, body: dict[str, Any]) -> Any:
        body["result"]["result"]["u0"] = answer
        body["result"]["result"]["zr"][0][OPT_OUT] = "0"
        return body

    made.spoil(unconfirmed)
    (outcome,) = _write(made, status(one))
    assert outcome.result is Result.UNKNOWN


def test_a_flag_whose_field_was_deleted_meanwhile_is_not_taken_for_written() -> None:
    made = world(people(1))
    (one,) = made.ids(_SPEC)
    made.mock.act("delete_field", field=OPT_OUT)
    (outcome,) = _write(made, status(one))
    assert (outcome.result, outcome.field, outcome.record) == (Result.INVALID, OPT_OUT, None)


def test_a_value_that_the_portal_dropped_without_a_word_is_invalid() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)

    def dropped(_: MockRequest, body: dict[str, Any]) -> Any:
        body["result"]["result"]["zr"][0]["BIRTHDATE"] = ""
        return body

    made.spoil(dropped)
    (outcome,) = _write(made, _fields(record, BIRTHDATE="2001-02-03"))
    assert (outcome.result, outcome.field) == (Result.INVALID, "BIRTHDATE")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"UF_CRM_NOWHERE": "x"}, "UF_CRM_NOWHERE"),
        ({"DATE_MODIFY": "2026-01-01T00:00:00Z"}, "DATE_MODIFY"),
        ({"UF_CRM_PLAN": "Gold"}, "UF_CRM_PLAN"),
        ({"EMAIL": "new@example.com"}, "EMAIL"),
        ({"COMPANY_IDS": ("5",)}, "COMPANY_IDS"),
        ({"PHOTO": "x"}, "PHOTO"),
        ({OPT_OUT: "yes"}, OPT_OUT),
        ({"BIRTHDATE": "2001-02-30"}, "BIRTHDATE"),
        ({"ADDRESS_LOC_ADDR_ID": "12.5"}, "ADDRESS_LOC_ADDR_ID"),
        ({"ASSIGNED_BY_ID": "Ann"}, "ASSIGNED_BY_ID"),
    ],
)
def test_what_the_portal_would_ignore_is_not_sent(values: dict[str, Value], field: str) -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    outcomes: list[Outcome] = []
    assert made.calls(lambda: outcomes.extend(_write(made, fields_of(record, values)))) == 0
    assert [(one.result, one.field) for one in outcomes] == [(Result.INVALID, field)]


def test_a_lost_answer_to_an_opt_out_is_sent_again() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    made.spoil(lost)
    (outcome,) = _write(made, status(record))
    assert outcome.result is Result.APPLIED
    assert outcome.record is not None
    assert outcome.record.fields[OPT_OUT] is True


def test_a_lost_answer_to_an_opt_in_is_never_sent_again() -> None:
    """An opt-out may have come in between, and the second copy would undo it."""
    made = world(people(1, opt_out=True))
    (record,) = made.ids(_SPEC)
    made.spoil(lost)
    outcomes: list[Outcome] = []
    assert made.calls(lambda: outcomes.extend(_write(made, status(record, value=False)))) == 1
    assert [one.result for one in outcomes] == [Result.UNKNOWN]


def test_a_system_that_fails_half_way_leaves_failed_and_applied_apart() -> None:
    made = world(people(60))
    ids = made.ids(_SPEC)
    overload = json_answer({"error": "OVERLOAD_LIMIT", "error_description": "blocked"}, 503)
    made.spoil(None, lambda *_: overload)
    # The second batch is applied by the mock, but its answer says that the portal is blocked.
    results = [one.result for one in _write(made, *[status(one) for one in ids])]
    assert results == [Result.APPLIED] * 49 + [Result.FAILED] * 11


def test_a_system_that_fails_at_once_is_named() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    made.spoil(*[lambda *_: html_answer(404)])
    with pytest.raises(SystemUnavailable):
        _write(made, status(record))


@pytest.mark.parametrize("kind", [WriteKind.ARCHIVE, WriteKind.TAG])
def test_what_bitrix24_has_not_is_refused(kind: WriteKind) -> None:
    (outcome,) = _write(world(), Write(key="a", kind=kind, collection="contact", record="5"))
    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.NOT_ALLOWED)


def test_a_write_of_nothing_is_the_same() -> None:
    made = world(people(1))
    (record,) = made.ids(_SPEC)
    assert [one.result for one in _write(made, _fields(record))] == [Result.SAME]


@pytest.mark.parametrize("charge", ["inner", "batch"])
def test_opt_outs_still_go_when_the_run_time_for_fields_is_used_up(charge: str) -> None:
    made = world(people(500), write_cost=1.0, operating_charge=charge)
    ids = made.ids(_SPEC)
    outcomes = _write(made, *[_fields(one, key=one, NAME="Zoe") for one in ids])
    results = [one.result for one in outcomes]
    assert results == sorted(results)
    held = [one for one in outcomes if one.result is Result.FAILED]
    assert 0 < len(held) < 500
    assert all(one.retry_at is not None and one.retry_at > made.clock.now() for one in held)
    assert [one.result for one in _write(made, _fields(ids[0], NAME="Bo"), status(ids[1]))] == [
        Result.FAILED,
        Result.APPLIED,
    ]
    made.clock.advance(600)
    assert [one.result for one in _write(made, _fields(ids[0], NAME="Bo"))] == [Result.APPLIED]


def test_fields_wait_for_the_run_time_of_their_read_back_too_and_hold_up_no_opt_out_meanwhile() -> None:
    made = world(people(2), settings={"operating_limit": 48}, operating_budget=48.0, read_cost=4.5)
    first, second = made.ids(_SPEC)
    begun = made.clock.now()
    outcomes = _write(made, _fields(first, NAME="Bo"), status(second))

    assert [one.result for one in outcomes] == [Result.FAILED, Result.APPLIED]
    assert outcomes[0].retry_at is not None
    assert (made.clock.now() - begun).total_seconds() < 10


def test_in_any_language_a_record_that_may_not_be_seen_is_told_from_one_that_is_gone() -> None:
    hidden: set[int] = set()
    made = world(people(3), language="other", can_see=lambda _, number: number not in hidden)
    first, gone, third = made.ids(_SPEC)
    hidden.update((int(first), int(third)))
    made.mock.act("delete", email="ann1@example.com")
    outcomes = _write(
        made,
        *[status(one) for one in (first, gone)],
        *[_fields(one, key=one, PHONE="+3712") for one in (gone, third)],
        status(third, value=False),
    )

    kept, lost = Fact.NOT_ALLOWED, Fact.GONE
    assert [one.fact for one in outcomes] == [kept, lost, lost, kept, kept]
    assert [one.result for one in outcomes] == [Result.REFUSED] * 5
    assert made.calls(lambda: _write(made, status(first), status(third))) == 2


def test_in_any_language_a_record_is_gone_only_where_the_portal_could_say_so() -> None:
    """Taken for a deleted one, it would be told of no opt-out any more."""
    made = world(people(2), language="other", can_see=lambda *_: False)

    def silent(request: MockRequest, body: dict[str, Any]) -> Any:
        if b"crm.item.get" in request.body:
            errors = body["result"]["result_error"]
            body["result"]["result_error"] = {key: {"error": "QUERY_LIMIT_EXCEEDED"} for key in errors}
        return body

    made.spoil(*[silent] * 9)
    outcomes = _write(made, status("1"), _fields("2", PHONE="+3712"))
    assert [(one.result, one.fact) for one in outcomes] == [(Result.FAILED, None)] * 2


def test_any_number_of_records_that_may_not_be_seen_are_told_from_those_that_are_gone() -> None:
    made = world(people(60), language="other", can_see=lambda *_: False)
    outcomes = _write(made, *[_fields(str(n), key=str(n), PHONE="+3712") for n in range(1, 61)])
    assert {one.fact for one in outcomes} == {Fact.NOT_ALLOWED}


def test_in_any_language_who_is_deleted_already_is_gone() -> None:
    hidden: set[int] = set()
    made = world(people(2), language="other", can_see=lambda _, number: number not in hidden)
    first, second = made.ids(_SPEC)
    hidden.add(int(second))
    assert made.connector.forget("contact", first).result is Result.APPLIED
    assert made.connector.forget("contact", first).fact is Fact.GONE
    refused = made.connector.forget("contact", second)
    assert (refused.result, refused.fact) == (Result.REFUSED, None)
    assert "may not" in (refused.message or "")
