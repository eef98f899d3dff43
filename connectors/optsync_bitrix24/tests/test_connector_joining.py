"""Updates of one record that travel as one, and what becomes of each."""

from urllib.parse import unquote

import msgspec
import pytest

from optsync.model.change import Outcome, Result, Write, WriteKind
from optsync_bitrix24.tests.world import OPT_OUT, World, contacts, fields_of, lost, people, status, with_error, world

_SPEC = contacts("NAME", "BIRTHDATE", OPT_OUT, topics=["UF_CRM_TOPIC_NEWS"])


def _write(made: World, *writes: Write) -> list[Outcome]:
    return list(made.connector.write(writes, _SPEC))


def _consent(record: str) -> list[Write]:
    topics = {"UF_CRM_TOPIC_NEWS": True}
    return [
        Write(key="t", kind=WriteKind.TOPICS, collection="contact", record=record, topics=topics),
        status(record, value=False),
        fields_of(record, {"BIRTHDATE": "2001-02-03"}, key="p"),
    ]


def _updates(made: World, before: int) -> list[list[str]]:
    bodies = [msgspec.json.decode(request.body) for request in made.transport.requests[before:]]
    return [[unquote(one) for one in body["cmd"].values() if ".update?" in one] for body in bodies]


def test_what_permits_something_to_one_record_travels_as_one_update_with_an_outcome_for_each() -> None:
    made = world(people(2, opt_out=True))
    ann, bob = made.ids(_SPEC)
    before = len(made.transport.requests)
    outcomes = _write(made, *_consent(ann), status(bob, value=False, key="b"))

    ((of_ann, of_bob),) = _updates(made, before)
    assert [name in of_ann for name in (OPT_OUT, "TOPIC_NEWS", "BIRTHDATE")] == [True] * 3
    assert "BIRTHDATE" not in of_bob
    assert [one.result for one in outcomes] == [Result.APPLIED] * 4
    shown = outcomes[0].record
    assert shown is not None
    assert (shown.fields[OPT_OUT], shown.fields["BIRTHDATE"], dict(shown.topics)) == (
        False,
        "2001-02-03",
        {"UF_CRM_TOPIC_NEWS": True},
    )


@pytest.mark.parametrize(
    ("code", "text"),
    [("ERROR_CORE", "Invalid value"), ("", "Access denied."), ("ACCESS_DENIED", "Нет прав"), ("", "anything else")],
)
def test_what_is_refused_together_is_sent_apart(code: str, text: str) -> None:
    made = world(people(2, opt_out=True))
    ann, bob = made.ids(_SPEC)
    before = len(made.transport.requests)
    made.spoil(with_error("u0", code, text))
    outcomes = _write(made, *_consent(ann), status(bob, value=False, key="b"))

    assert [len(updates) for updates in _updates(made, before)] == [2, 3]
    assert [one.result for one in outcomes] == [Result.APPLIED] * 4


@pytest.mark.parametrize("code", ["QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT"])
def test_what_is_put_off_together_is_not_sent_apart(code: str) -> None:
    made = world(people(1, opt_out=True))
    (ann,) = made.ids(_SPEC)
    before = len(made.transport.requests)
    made.spoil(with_error("u0", code, "Too many requests"))

    assert [one.result for one in _write(made, *_consent(ann))] == [Result.FAILED] * 3
    assert len(_updates(made, before)) == 1


def test_a_lost_answer_to_several_in_one_update_leaves_each_of_them_open() -> None:
    made = world(people(1, opt_out=True))
    (ann,) = made.ids(_SPEC)
    made.spoil(lost)
    outcomes: list[Outcome] = []
    assert made.calls(lambda: outcomes.extend(_write(made, *_consent(ann)))) == 1
    assert [one.result for one in outcomes] == [Result.UNKNOWN] * 3


def test_two_writes_of_one_field_are_two_updates() -> None:
    made = world(people(1))
    (ann,) = made.ids(_SPEC)
    before = len(made.transport.requests)
    outcomes = _write(made, fields_of(ann, {"NAME": "Zoe"}, key="a"), fields_of(ann, {"NAME": "Bo"}, key="b"))

    ((first, second),) = _updates(made, before)
    assert "Zoe" in first
    assert "Bo" in second
    assert [one.result for one in outcomes] == [Result.APPLIED] * 2


def test_what_restricts_travels_with_nothing_even_on_one_record() -> None:
    made = world(people(1))
    (ann,) = made.ids(_SPEC)
    before = len(made.transport.requests)
    _write(made, fields_of(ann, {"NAME": "Zoe"}), status(ann, value=True))

    (out,), (name,) = _updates(made, before)
    assert "NAME" not in out
    assert OPT_OUT not in name
