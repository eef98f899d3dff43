"""Topics of which a platform tells nothing: as they were before, and no tick that anybody saw."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.record import Record, Side, Status
from optsync.model.statement import StatementKind, Strength
from optsync.reconcile.detect import detect
from optsync.reconcile.reading import Reading
from optsync.reconcile.representation import IS_NOT_THERE, Representation, with_untold
from tests.reconcile.places import CRM, ESP, NOW, OFFERS

THERE = [status for status in Status if status not in {Status.ABSENT, Status.ARCHIVED}]
TRUSTING = replace(ESP, topic_grants=Strength.TRUSTED)


def record(status: Status | None = Status.IN, **topics: bool | None) -> Record:
    return Record(id="7", status=status, topics=topics)


@pytest.mark.parametrize(
    ("was", "told", "expected"),
    [
        # nobody has said anything
        (True, None, True),
        (False, None, False),
        (None, None, None),
        # somebody has
        (True, False, False),
        (False, True, True),
        (None, True, True),
    ],
)
@pytest.mark.parametrize("status", [None, *THERE])
def test_a_topic_that_is_not_told_is_as_it_was(
    status: Status | None, was: bool | None, told: bool | None, expected: bool | None
) -> None:
    now = record(status, Offers=told, Events=False)
    before = replace(record(Status.OUT, Offers=was, Events=True), id="8")

    assert with_untold(now, before) == record(status, Offers=expected, Events=False)


def test_a_topic_that_is_not_asked_for_is_not_brought_back() -> None:
    assert with_untold(record(Offers=None), record(Events=True)) == record(Offers=None)
    assert with_untold(record(), record(Events=True)) == record()


@pytest.mark.parametrize("status", [Status.ABSENT, Status.ARCHIVED])
def test_of_who_is_not_there_no_topic_is_known(status: Status) -> None:
    assert with_untold(record(status, Offers=None), record(Offers=True)) == record(status, Offers=None)
    assert status in IS_NOT_THERE


@pytest.mark.parametrize("status", [None, *THERE, Status.ABSENT, Status.ARCHIVED])
def test_a_field_that_is_not_told_is_as_it_was(status: Status | None) -> None:
    now = replace(record(status), fields={"CITY": None, "PLAN": "Gold"})
    before = replace(record(status), fields={"CITY": "Riga", "PLAN": "Silver", "AGE": 7, "FORMER": "x"})
    asked = {"CITY", "PLAN", "AGE", "NEVER_SEEN"}

    shown = with_untold(now, before, asked=asked)
    assert shown == replace(now, fields={"CITY": None, "PLAN": "Gold", "AGE": 7})


# what a tick is worth then


def tick(was: Record, rep: Representation, *, name: str = "Offers", **parts: Any) -> tuple[StatementKind, Strength]:
    now = replace(was, status=Status.IN, topics={name: True})
    (told,) = [
        each.statement
        for each in detect(was, now, rep, Reading(system="s", seen_at=NOW, **parts)).said
        if each.statement.scope == OFFERS
    ]
    return told.kind, told.strength


@pytest.mark.parametrize(
    ("was", "expected"),
    [
        (record(Offers=False), Strength.TRUSTED),
        # a box that was unseen may have been ticked ever since
        *((record(status, Offers=None), Strength.NOTHING) for status in THERE),
        # who was not there has come with it
        (record(Status.ABSENT, Offers=None), Strength.TRUSTED),
        (record(Status.ARCHIVED, Offers=None), Strength.TRUSTED),
        # nobody asked for it
        (record(), Strength.NOTHING),
        (record(Status.ABSENT), Strength.NOTHING),
    ],
)
def test_a_tick_is_an_opt_in_where_the_box_was_seen_without_it(was: Record, expected: Strength) -> None:
    assert tick(was, TRUSTING) == (StatementKind.GRANT, expected)
    assert tick(was, ESP) == (StatementKind.GRANT, Strength.NOTHING)
    assert tick(was, TRUSTING, offset=None) == (StatementKind.GRANT, Strength.NOTHING)


def test_a_crm_that_shows_no_box_shows_that_it_is_not_ticked() -> None:
    flagged = replace(CRM, topic_grants=Strength.TRUSTED)

    assert flagged.side is Side.CRM
    assert tick(record(T_OFFERS=None), flagged, name="T_OFFERS") == (StatementKind.GRANT, Strength.TRUSTED)
    late = tick(record(T_OFFERS=None), flagged, name="T_OFFERS", offset=timedelta(hours=1))
    assert late == (StatementKind.GRANT, Strength.TRUSTED)
