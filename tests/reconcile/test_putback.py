"""What a record shows again after the out that it said was retracted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.change import ChangeKind
from optsync.model.record import Origin, Status
from optsync.model.statement import Source, Statement
from optsync.reconcile.departure import departed
from optsync.reconcile.detect import detect
from optsync.reconcile.plan import decide
from optsync.reconcile.putback import PutBack, put_back, remembered
from optsync.reconcile.reading import Reading
from optsync.reconcile.view import Intent, Written
from tests.reconcile.places import (
    CRM,
    ESP,
    NOW,
    OFFERS,
    SCOPE,
    around,
    before,
    contact,
    grant,
    member,
    out,
    policy,
    retract,
)

FLAGGED = {"shown_before": "in", "opt_out_before": "no", "opt_in_before": "yes"}


def said(evidence: dict[str, str], *, system: str = "crm", record: str = "r1", **parts: Any) -> Statement:
    return replace(out(system=system, record=record, source=Source.CRM, **parts), evidence=evidence)


def intents(*seen: Any, said: list[Statement], **parts: Any) -> list[Intent]:
    return list(decide([1], around(*seen, said={1: said}, **parts), policy()).intents)


def test_flags_are_remembered_as_they_were() -> None:
    before = contact(1, fields={"IN": True}).record

    assert remembered(before, CRM, SCOPE) == FLAGGED
    assert remembered(member(2).record, ESP, SCOPE) == {"shown_before": "in"}
    assert remembered(before, CRM, OFFERS) == {"shown_before": "wanted"}
    assert remembered(before, CRM, OFFERS, "lead") == {"shown_before": "wanted", "collection": "lead"}
    assert remembered(member(2).record, ESP, SCOPE, "list") == {"shown_before": "in", "collection": "list"}


def test_only_what_the_out_has_changed_is_put_back() -> None:
    was = said({"shown_before": "unknown", "opt_out_before": "no", "opt_in_before": "no"})

    (intent,) = intents(contact(1, fields={"OUT": True}), said=[was, retract(was)])
    assert dict(intent.after) == {"OUT": False}


@pytest.mark.parametrize("evidence", [{}, {"shown_before": "out", "opt_out_before": "yes", "opt_in_before": "no"}])
def test_nothing_is_put_back_where_nothing_else_was_ever_shown(evidence: dict[str, str]) -> None:
    was = said(evidence)

    assert intents(contact(1, fields={"OUT": True}), said=[was, retract(was)]) == []


def test_an_out_that_was_said_twice_goes_back_to_before_the_first() -> None:
    first = said(FLAGGED, minutes=90)
    again = said({"shown_before": "out", "opt_out_before": "yes", "opt_in_before": "no"}, minutes=60)

    (intent,) = intents(contact(1, fields={"OUT": True}), said=[first, again, retract(first), retract(again)])
    assert dict(intent.after) == {"OUT": False, "IN": True}
    assert intent.causes == (retract(first).uid,)


def test_another_out_keeps_everything_as_it_is() -> None:
    was = said(FLAGGED)

    found = intents(contact(1, fields={"OUT": True}), said=[was, retract(was), out(30, is_personal=True)])
    assert ChangeKind.OPT_IN not in {i.kind for i in found}


def test_what_another_record_said_is_not_this_records_to_put_back() -> None:
    was = said(FLAGGED, record="r9")

    assert intents(contact(1, fields={"OUT": True}), said=[was, retract(was)]) == []


@pytest.mark.parametrize(("told", "count"), [({"collection": "contact"}, 1), ({}, 1), ({"collection": "lead"}, 0)])
def test_what_a_lead_of_the_same_number_said_is_not_the_contacts_to_put_back(told: dict[str, str], count: int) -> None:
    was = said({**FLAGGED, **told})

    found = intents(contact(1, fields={"OUT": True}), said=[was, retract(was)])
    assert [dict(i.after) for i in found] == [{"OUT": False, "IN": True}] * count


def test_an_out_names_the_collection_that_said_it() -> None:
    was = contact(1, fields={"IN": True}).record
    now = contact(1, fields={"OUT": True}).record

    (told,) = detect(was, now, CRM, Reading(system="crm", collection="lead", seen_at=NOW)).said
    assert told.statement.evidence == {**FLAGGED, "collection": "lead"}


@pytest.mark.parametrize(
    ("here", "there", "count"),
    [
        (Status.IN, Status.UNKNOWN, 1),
        (Status.IN, Status.BOUNCED, 1),
        (Status.IN, Status.IN, 1),
        (Status.UNKNOWN, Status.IN, 0),
    ],
)
@pytest.mark.parametrize(("minutes", "minutes_there"), [(90, 60), (60, 90)])
def test_what_a_member_of_another_list_said_is_not_this_ones_to_put_back(
    here: Status, there: Status, count: int, minutes: float, minutes_there: float
) -> None:
    """On a server that tells its members by their addresses, one has the same id on all lists."""
    suspended = member(2, status=Status.OUT, origin=Origin.ADMIN, modified_at=None)
    own, other = (
        detect(
            replace(suspended.record, status=was, origin=Origin.UNKNOWN),
            suspended.record,
            ESP,
            Reading(system="mc", collection=collection, seen_at=before(ago), offset=timedelta(0)),
        )
        .said[0]
        .statement
        for was, collection, ago in ((here, "list", minutes), (there, "other", minutes_there))
    )

    found = intents(suspended, said=[own, other, retract(own), retract(other)])
    assert [i.status for i in found] == [Status.IN] * count


def test_an_opt_out_found_in_the_activity_of_a_list_names_the_list() -> None:
    reading = Reading(system="mc", collection="list", seen_at=NOW)

    told = departed(member(2).record, SCOPE, reading, at=NOW, origin=Origin.ADMIN, reason=None, told={"campaign": "c1"})
    assert told.evidence == {"campaign": "c1", "found_in": "activity", "collection": "list"}


@pytest.mark.parametrize(
    ("origin", "was", "count"),
    [
        (Origin.ADMIN, "in", 1),
        (Origin.UNKNOWN, "in", 1),
        (Origin.PERSON, "in", 0),
        (Origin.COMPLAINT, "in", 0),
        (Origin.ADMIN, "unknown", 0),
        (Origin.ADMIN, "pending", 0),
    ],
)
def test_a_member_is_subscribed_again_only_if_it_was_and_the_person_did_not_leave(
    origin: Origin, was: str, count: int
) -> None:
    left = said({"shown_before": was}, system="mc", record="r2")

    found = intents(member(2, status=Status.OUT, origin=origin), said=[left, retract(left)])
    assert [i.status for i in found] == [Status.IN] * count


def test_what_was_put_back_once_is_not_put_back_again() -> None:
    was = said(FLAGGED)
    (intent,) = intents(contact(1, fields={"OUT": True}), said=[was, retract(was)])

    assert intents(contact(1), said=[was, retract(was)], put_back=frozenset({intent.fingerprint})) == []


def test_where_a_grant_stands_the_record_shows_it_and_names_the_retraction() -> None:
    was = said(FLAGGED)

    found = intents(contact(1, fields={"OUT": True}), said=[grant(90), was, retract(was)])
    assert found[0].rule == "put_back"
    assert found[0].causes == (retract(was).uid, grant(90).uid)
    assert found[0].kind is ChangeKind.OPT_IN


def test_a_topic_goes_on_again() -> None:
    was = said({"shown_before": "wanted"}, scope=OFFERS)

    (intent,) = intents(contact(1, topics={"T_OFFERS": False}), said=[was, retract(was)])
    assert (intent.kind, intent.rule, dict(intent.after)) == (ChangeKind.TOPIC, "put_back", {"T_OFFERS": True})
    assert not intent.is_restrictive
    assert was.at < NOW


# what was written because of it


def wrote(before: dict[str, Any], after: dict[str, Any], *causes: Statement, **parts: Any) -> Written:
    usual: dict[str, Any] = {"is_topics": False, "is_restrictive": True}
    return Written(before=before, after=after, causes=tuple(c.uid for c in causes), **{**usual, **parts})


BROUGHT = out(source=Source.IMPORT)
OTHER = out(50, source=Source.IMPORT)
LEFT = wrote({"status": "in"}, {"status": "out"}, BROUGHT)
MARKED = wrote({"OUT": None, "IN": True}, {"OUT": True, "IN": False}, BROUGHT)
BACK = wrote({"status": "out"}, {"status": "in"}, is_restrictive=False)


def test_flags_that_were_written_go_back_to_what_they_were() -> None:
    shown = contact(1, fields={"OUT": True, "IN": False})

    (intent,) = intents(shown, said=[BROUGHT, retract(BROUGHT)], written={1: [MARKED]})
    assert (intent.rule, dict(intent.after), intent.is_restrictive) == ("put_back", {"OUT": False, "IN": True}, False)
    assert intent.causes == (retract(BROUGHT).uid,)


@pytest.mark.parametrize("fields", [{"OUT": True, "IN": True}, {"OUT": False, "IN": False}])
def test_flags_that_show_something_else_by_now_stay(fields: dict[str, bool]) -> None:
    found = intents(contact(1, fields=dict(fields)), said=[BROUGHT, retract(BROUGHT)], written={1: [MARKED]})

    assert found == []


@pytest.mark.parametrize(
    ("written", "said", "count"),
    [
        ([LEFT], [BROUGHT, retract(BROUGHT)], 1),
        ([LEFT], [BROUGHT, OTHER, retract(BROUGHT), retract(OTHER)], 1),
        ([wrote({"status": "in"}, {"status": "out"}, BROUGHT, OTHER)], [BROUGHT, retract(BROUGHT)], 0),
        ([wrote({"status": "in"}, {"status": "out"})], [BROUGHT, retract(BROUGHT)], 0),
        ([wrote({"status": "pending"}, {"status": "out"}, BROUGHT)], [BROUGHT, retract(BROUGHT)], 0),
        ([BACK, LEFT], [BROUGHT, retract(BROUGHT)], 0),
        ([], [BROUGHT, retract(BROUGHT)], 0),
    ],
)
def test_a_status_goes_back_only_if_the_newest_write_follows_from_nothing_that_stands(
    written: list[Written], said: list[Statement], count: int
) -> None:
    found = intents(member(1, status=Status.OUT), said=said, written={1: written})

    assert [i.status for i in found] == [Status.IN] * count


@pytest.mark.parametrize("origin", [Origin.PERSON, Origin.COMPLAINT])
def test_what_the_person_did_after_the_write_stays(origin: Origin) -> None:
    shown = member(1, status=Status.OUT, origin=origin)

    assert intents(shown, said=[BROUGHT, retract(BROUGHT)], written={1: [LEFT]}) == []


@pytest.mark.parametrize(("topic", "scope", "count"), [(False, OFFERS, 1), (None, OFFERS, 0), (False, SCOPE, 0)])
def test_a_topic_that_was_switched_off_goes_on_again_where_it_is_still_off(
    topic: bool | None, scope: str, count: int
) -> None:
    off = out(source=Source.IMPORT, scope=scope)
    written = wrote({"T_OFFERS": True}, {"T_OFFERS": False}, off, is_topics=True)

    found = intents(contact(1, topics={"T_OFFERS": topic}), said=[off, retract(off)], written={1: [written]})
    assert [dict(i.after) for i in found] == [{"T_OFFERS": True}] * count


@pytest.mark.parametrize(
    ("before", "after", "flags"),
    [
        ({"OUT": None, "IN": True}, {"OUT": True, "IN": False}, {"OUT": False, "IN": True}),
        ({"OUT": None, "IN": True}, {"OUT": True}, {"OUT": False}),
        ({"OUT": True, "IN": True}, {"OUT": True, "IN": False}, {"IN": True}),
        ({"OUT": None, "IN": None}, {"OUT": True, "IN": False}, {"OUT": False}),
        ({"OUT": True, "IN": None}, {"OUT": True, "IN": False}, None),
    ],
)
def test_only_flags_that_were_written_and_had_permitted_go_back(
    before: dict[str, Any], after: dict[str, Any], flags: dict[str, bool] | None
) -> None:
    shown = contact(1, fields={"OUT": True, "IN": False})
    found = around(shown, said={1: [BROUGHT, retract(BROUGHT)]}, written={1: [wrote(before, after, BROUGHT)]})

    assert put_back(shown, found, CRM) == (PutBack(cause=retract(BROUGHT).uid, flags=flags) if flags else None)


def test_what_the_record_said_and_shows_no_more_needs_nothing() -> None:
    was = said(FLAGGED)
    shown = contact(1, fields={"OUT": False, "IN": True})

    assert put_back(shown, around(shown, said={1: [was, retract(was)]}), CRM) is None


def test_of_two_outs_that_were_retracted_the_newest_tells_what_was_there() -> None:
    older = said({"shown_before": "unknown", "opt_out_before": "no", "opt_in_before": "no"}, minutes=90)
    newer = said(FLAGGED, minutes=60)

    (intent,) = intents(contact(1, fields={"OUT": True}), said=[older, newer, retract(older), retract(newer)])
    assert dict(intent.after) == {"OUT": False, "IN": True}
    assert intent.causes == (retract(newer).uid,)


OFF = out(source=Source.IMPORT, scope=OFFERS)
OFF_HERE = wrote({"T_OFFERS": True}, {"T_OFFERS": False}, OFF, is_topics=True)


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ([OFF_HERE], 1),
        ([wrote({"T_EVENTS": True}, {"T_EVENTS": False}, OFF, is_topics=True), OFF_HERE], 1),
        ([wrote({"T_OFFERS": None}, {"T_OFFERS": "x"}, OFF), OFF_HERE], 1),
        ([wrote({"T_OFFERS": None}, {"T_OFFERS": False}, OFF, is_topics=True), OFF_HERE], 0),
    ],
)
def test_the_newest_write_of_a_topic_tells_what_was_there(written: list[Written], count: int) -> None:
    shows = contact(1, topics={"T_OFFERS": False})
    own = said({}, scope=OFFERS, minutes=90)

    for statements in ([OFF, retract(OFF)], [own, retract(own), OFF, retract(OFF)]):
        found = intents(shows, said=statements, written={1: written})
        assert [dict(i.after) for i in found] == [{"T_OFFERS": True}] * count
