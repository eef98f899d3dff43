"""Opt-outs that a record does not show any more."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.record import Origin, Record, Status
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind
from optsync.reconcile.departure import departed, hidden_since, is_news, is_ours, may_hide
from optsync.reconcile.reading import Jump, Reading
from tests.reconcile.places import NOW, SCOPE, before
from tests.reconcile.test_detect import OLD, RECENT, esp

ARCHIVED = esp(Status.ARCHIVED, modified_at=RECENT)


@pytest.mark.parametrize(
    ("was", "hides"),
    [
        (None, True),
        *((esp(status), True) for status in Status if status not in {Status.OUT, Status.ARCHIVED}),
        (esp(Status.OUT, origin=Origin.PERSON), False),
        (esp(Status.OUT, origin=Origin.COMPLAINT), False),
        (esp(Status.OUT, origin=Origin.PERSON, opted_in_at=OLD), True),
        (esp(Status.OUT, origin=Origin.ADMIN), True),
        (esp(Status.OUT, origin=Origin.UNKNOWN), True),
        (ARCHIVED, False),
        (esp(Status.ARCHIVED, modified_at=OLD), True),
        (replace(ARCHIVED, opted_in_at=OLD), True),
    ],
)
def test_who_is_archived_may_hide_a_no_unless_it_is_known_or_nothing_has_moved(was: Record | None, hides: bool) -> None:
    assert may_hide(was, ARCHIVED) is hides


@pytest.mark.parametrize("now", [Status.BOUNCED, Status.PENDING])
@pytest.mark.parametrize(
    ("was", "hides"),
    [
        (None, True),
        (esp(Status.IN), True),
        (esp(Status.OUT, origin=Origin.ADMIN), True),
        (esp(Status.OUT, origin=Origin.PERSON), False),
    ],
)
def test_who_has_bounced_or_is_to_confirm_may_hide_a_no_as_who_is_archived(
    now: Status, was: Record | None, hides: bool
) -> None:
    assert may_hide(was, esp(now, modified_at=RECENT)) is hides


@pytest.mark.parametrize("status", [Status.BOUNCED, Status.PENDING])
def test_their_fields_go_on_being_written_and_only_a_sign_up_tells_that_something_may_be_hidden(status: Status) -> None:
    now = esp(status, modified_at=RECENT)
    assert not may_hide(now, now)
    assert not may_hide(replace(now, modified_at=OLD), now)
    assert may_hide(replace(now, opted_in_at=OLD), now)


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.ARCHIVED, Status.BOUNCED, Status.PENDING}))
def test_who_is_none_of_these_hides_nothing(status: Status) -> None:
    assert not may_hide(None, esp(status))
    assert not may_hide(esp(Status.IN), esp(status))


def test_a_no_counts_from_a_little_before_the_last_reading_or_whenever_it_was_said() -> None:
    assert hidden_since(esp(Status.IN, modified_at=OLD)) == OLD - timedelta(minutes=10)
    assert hidden_since(esp(Status.IN, modified_at=None)) is None
    assert hidden_since(None) is None


def told(*, origin: Origin = Origin.PERSON, reading: Reading | None = None, **more: Any) -> Statement:
    reading = reading or Reading(system="mc", seen_at=NOW, offset=timedelta(minutes=3))
    detail = {"campaign_id": "c7"}
    return departed(
        ARCHIVED, SCOPE, reading, **{"at": RECENT, "origin": origin, "reason": "too many", "told": detail, **more}
    )


def test_it_is_an_out_at_its_own_time_by_the_systems_clock_with_what_was_found() -> None:
    said = told()

    assert (said.kind, said.scope, said.source, said.is_personal) == (StatementKind.OUT, SCOPE, Source.ESP, True)
    assert (said.at, said.clock, said.seen_at) == (RECENT - timedelta(minutes=3), "mc", NOW)
    assert (said.reason, said.system, said.record) == ("too many", "mc", ARCHIVED.id)
    assert said.evidence == {"campaign_id": "c7", "found_in": "activity"}


@pytest.mark.parametrize(
    ("origin", "kind", "source", "is_personal"),
    [
        (Origin.ADMIN, StatementKind.OUT, Source.ESP, False),
        (Origin.UNKNOWN, StatementKind.OUT, Source.ESP, True),
        (Origin.COMPLAINT, StatementKind.COMPLAINT, Source.SPAM_COMPLAINT, True),
    ],
)
def test_whose_doing_it_was_is_kept(origin: Origin, kind: StatementKind, source: Source, is_personal: bool) -> None:
    said = told(origin=origin)

    assert (said.kind, said.source, said.is_personal) == (kind, source, is_personal)


def test_what_a_clock_tells_that_is_unknown_is_dated_now_and_after_a_jump_from_the_later_moment() -> None:
    unknown = told(reading=Reading(system="mc", seen_at=NOW, offset=None))
    assert (unknown.at, unknown.clock) == (NOW, OUR_CLOCK)
    jump = Jump(at=before(5), before=timedelta(0), after=timedelta(hours=1))
    assert told(reading=Reading(system="mc", seen_at=NOW, jump=jump)).at == RECENT


def test_what_was_heard_of_the_record_then_or_later_is_no_news() -> None:
    said = told()
    earlier, later = (replace(said, at=said.at + timedelta(seconds=s)) for s in (-1, 1))

    assert is_news(said, [])
    assert not is_news(said, [said])
    assert not is_news(said, [later])
    assert not is_news(said, [replace(said, kind=StatementKind.COMPLAINT)])
    assert is_news(said, [earlier])
    assert is_news(said, [replace(said, record="another")])
    assert is_news(said, [replace(said, system="another")])
    assert is_news(said, [replace(said, scope="another")])
    assert is_news(said, [replace(said, kind=StatementKind.GRANT)])
    assert is_news(said, [replace(said, is_personal=False)]), "an administrator's can be taken back"
    assert not is_news(told(origin=Origin.ADMIN), [said])
    assert is_news(told(origin=Origin.COMPLAINT), [said]), "a complaint is more"


@pytest.mark.parametrize(
    ("sent", "settled", "ours"),
    [(-2, 5, True), (32, 35, True), (32.5, 35, False), (-39, -32, True), (-39, -32.5, False)],
)
def test_an_administrators_out_in_the_seconds_of_our_own_write_is_ours(sent: float, settled: float, ours: bool) -> None:
    said = told(origin=Origin.ADMIN)
    span = (said.at + timedelta(seconds=sent), said.at + timedelta(seconds=settled))

    assert is_ours(said, [said.at], [(said.at + timedelta(days=1), said.at + timedelta(days=2)), span]) is ours
    assert is_ours(said, [said.at - timedelta(days=9), said.at], [span]) is ours, "either may be meant"
    assert not is_ours(said, [said.at - timedelta(days=9)], [span])
    assert not is_ours(told(), [said.at], [span]), "what the person did is theirs"
