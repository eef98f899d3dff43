"""What a reading says, compared with the one before."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.record import Origin, Record, Side, Status
from optsync.model.scope import EVERYTHING
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength
from optsync.reconcile.consent import Wish, standing
from optsync.reconcile.detect import Detected, detect, with_restrictions
from optsync.reconcile.reading import Jump, Reading
from optsync.reconcile.representation import Representation, overlay, shown
from optsync.reconcile.roster import left
from tests.reconcile.places import CRM, ESP, NOW, OFFERS, SCOPE, before, grant

OUT, GRANT, COMPLAINT = StatementKind.OUT, StatementKind.GRANT, StatementKind.COMPLAINT
HARD, DELIVERED = StatementKind.HARD_BOUNCE, StatementKind.DELIVERED
TOLERANCE = timedelta(minutes=5)
OLD, RECENT = before(600), before(30)
ONLY_OUT = replace(CRM, opt_in=None)
ONLY_IN = replace(CRM, opt_out=None)
TRUSTED: dict[str, Any] = {"status_grants": Strength.TRUSTED, "topic_grants": Strength.TRUSTED}


def crm(
    out: bool | None = None, in_: bool | None = None, *, modified_at: datetime | None = OLD, **parts: Any
) -> Record:
    fields = {"OUT": out, "IN": in_, **parts.pop("fields", {})}
    return Record(id="7", addresses=("a@example.com",), fields=fields, modified_at=modified_at, **parts)


def esp(status: Status, *, modified_at: datetime | None = OLD, **parts: Any) -> Record:
    return Record(id="m7", addresses=("a@example.com",), status=status, modified_at=modified_at, **parts)


def read(
    was: Record | None, now: Record, rep: Representation, *, unsure: Record | None = None, **parts: Any
) -> Detected:
    reading = Reading(**{"system": "crm" if rep.side is Side.CRM else "mc", "seen_at": NOW, **parts})
    return detect(was, now, rep, reading, unsure=unsure)


def said(found: Detected) -> list[tuple[StatementKind, str, Strength]]:
    return [(s.statement.kind, s.statement.scope, s.statement.strength) for s in found.said]


def kinds(found: Detected) -> list[StatementKind]:
    return [s.statement.kind for s in found.said]


def only(found: Detected) -> Statement:
    assert len(found.said) == 1
    return found.said[0].statement


# the truth table of flags


@pytest.mark.parametrize(
    ("rep", "flags", "at_first_sight", "after_unknown", "after_in"),
    [
        (CRM, (False, False), [], [], [OUT]),
        (CRM, (True, False), [OUT], [OUT], [OUT]),
        (CRM, (False, True), [], [], []),
        (CRM, (True, True), [OUT], [OUT], [OUT]),
        (CRM, (None, None), [], [], [OUT]),
        (ONLY_OUT, (False, None), [], [], None),
        (ONLY_OUT, (True, None), [OUT], [OUT], None),
        (ONLY_IN, (None, False), [], [], [OUT]),
        (ONLY_IN, (None, True), [], [], []),
    ],
)
def test_the_truth_table_of_flags(
    rep: Representation,
    flags: tuple[bool | None, bool | None],
    at_first_sight: list[StatementKind],
    after_unknown: list[StatementKind],
    after_in: list[StatementKind] | None,
) -> None:
    now = crm(*flags, modified_at=RECENT)

    assert kinds(read(None, now, rep)) == at_first_sight
    assert kinds(read(crm(), now, rep)) == after_unknown
    if after_in is not None:
        assert kinds(read(crm(False, True), now, rep)) == after_in


def test_both_flags_at_once_are_an_out_and_an_issue_once() -> None:
    first = read(None, crm(True, True), CRM)
    assert [d.kind for d in first.doubts] == ["contradictory_flags"]
    assert read(crm(True, True), crm(True, True, modified_at=RECENT), CRM).doubts == ()
    assert len(read(crm(True, False), crm(True, True), CRM).doubts) == 1


@pytest.mark.parametrize(
    ("flags", "expected"), [((True, False), [OUT]), ((False, False), [OUT]), ((False, True), []), ((True, True), [])]
)
def test_the_opt_in_flag_that_is_taken_from_beside_an_opt_out_flag_is_a_new_out(
    flags: tuple[bool, bool], expected: list[StatementKind]
) -> None:
    assert kinds(read(crm(True, True), crm(*flags, modified_at=RECENT), CRM)) == expected


@pytest.mark.parametrize(("was", "expected"), [(crm(True), [OUT]), (crm(), [])])
def test_a_consent_date_without_the_opt_in_flag_tells_after_an_out_of_a_yes_that_was_taken_back(
    was: Record, expected: list[StatementKind]
) -> None:
    now = crm(False, False, fields={"CONSENT": "2026-05-30"}, modified_at=RECENT)

    assert kinds(read(was, now, CRM)) == expected


def test_a_flag_speaks_for_all_addresses_and_a_members_status_for_its_own() -> None:
    assert read(crm(), crm(True), CRM).said[0].for_all
    assert not read(esp(Status.IN), esp(Status.OUT), ESP).said[0].for_all


# statuses


@pytest.mark.parametrize(
    ("was", "now", "expected", "claims"),
    [
        (None, Status.IN, [], 1),
        (None, Status.OUT, [OUT], 0),
        (None, Status.BOUNCED, [HARD], 0),
        (None, Status.PENDING, [], 0),
        (None, Status.ARCHIVED, [], 0),
        (None, Status.UNKNOWN, [], 0),
        (Status.IN, Status.OUT, [OUT], 0),
        (Status.IN, Status.UNKNOWN, [OUT], 0),
        (Status.IN, Status.PENDING, [], 0),
        (Status.IN, Status.ARCHIVED, [], 0),
        (Status.IN, Status.ABSENT, [], 0),
        (Status.IN, Status.BOUNCED, [HARD], 0),
        (Status.PENDING, Status.OUT, [OUT], 0),
        (Status.PENDING, Status.IN, [], 1),
        (Status.UNKNOWN, Status.IN, [], 1),
        (Status.OUT, Status.IN, [], 1),
        (Status.OUT, Status.UNKNOWN, [], 1),
        (Status.OUT, Status.ARCHIVED, [], 0),
        (Status.ARCHIVED, Status.IN, [], 1),
        (Status.BOUNCED, Status.IN, [DELIVERED], 1),
        (Status.BOUNCED, Status.OUT, [OUT], 0),
        (Status.BOUNCED, Status.ARCHIVED, [], 0),
        (Status.BOUNCED, Status.PENDING, [], 0),
        (Status.BOUNCED, Status.UNKNOWN, [], 0),
    ],
)
def test_what_a_turn_of_a_status_says(
    was: Status | None, now: Status, expected: list[StatementKind], claims: int
) -> None:
    found = read(esp(was) if was else None, esp(now, modified_at=RECENT), ESP)

    assert kinds(found) == expected
    assert len(found.claims) == claims


def test_a_status_word_that_nobody_mapped_is_not_taken_for_an_out() -> None:
    unmapped = esp(Status.UNKNOWN, word="snoozed", is_word_known=False, modified_at=RECENT)

    assert read(esp(Status.IN), unmapped, ESP).said == ()
    assert kinds(read(unmapped, esp(Status.UNKNOWN, modified_at=RECENT), ESP)) == [OUT]
    assert kinds(read(unmapped, replace(unmapped, word="asleep"), ESP)) == []


@pytest.mark.parametrize(
    ("origin", "kind", "is_personal"),
    [
        (Origin.PERSON, OUT, True),
        (Origin.UNKNOWN, OUT, True),
        (Origin.ADMIN, OUT, False),
        (Origin.COMPLAINT, COMPLAINT, True),
    ],
)
def test_an_out_of_a_platform_is_the_persons_own_unless_it_says_otherwise(
    origin: Origin, kind: StatementKind, is_personal: bool
) -> None:
    statement = only(read(esp(Status.IN), esp(Status.OUT, origin=origin, reason="abuse"), ESP))

    assert (statement.kind, statement.is_personal, statement.reason) == (kind, is_personal, "abuse")


def test_an_out_said_again_with_a_later_time_of_its_own_is_a_new_out() -> None:
    again = read(esp(Status.OUT, status_at=OLD), esp(Status.OUT, status_at=RECENT), ESP)

    assert only(again).at == RECENT
    assert read(esp(Status.OUT, status_at=RECENT), esp(Status.OUT, status_at=OLD), ESP).said == ()


@pytest.mark.parametrize(
    ("was", "now", "modified_at", "expected"),
    [
        ("too many", "no longer interested", RECENT, [OUT]),
        ("too many", "no longer interested", OLD, []),
        ("too many", "no longer interested", None, []),
        ("too many", "too many", RECENT, []),
        (None, "too many", RECENT, []),
        ("too many", None, RECENT, []),
    ],
)
def test_another_reason_at_a_later_time_is_another_word_of_the_persons(
    was: str | None, now: str | None, modified_at: datetime | None, expected: list[StatementKind]
) -> None:
    def told(reason: str | None, origin: Origin, at: datetime | None = OLD) -> Record:
        return esp(Status.OUT, reason=reason, origin=origin, modified_at=at)

    assert kinds(read(told(was, Origin.PERSON), told(now, Origin.PERSON, modified_at), ESP)) == expected
    assert read(told(was, Origin.ADMIN), told(now, Origin.ADMIN, modified_at), ESP).said == ()


# times


@pytest.mark.parametrize(
    ("status_at", "modified_at", "expected", "clock"),
    [
        (before(20), before(10), before(20), "mc"),
        (None, before(10), before(10), "mc"),
        (None, None, NOW, OUR_CLOCK),
        (before(-60), None, NOW, "mc"),
    ],
)
def test_an_out_counts_at_its_own_time_else_at_the_stamp_else_when_seen_and_never_later(
    status_at: datetime | None, modified_at: datetime | None, expected: datetime, clock: str
) -> None:
    statement = only(read(esp(Status.IN), esp(Status.OUT, status_at=status_at, modified_at=modified_at), ESP))

    assert (statement.at, statement.clock) == (expected, clock)


def test_vendor_stamps_are_corrected_by_the_clocks_offset() -> None:
    fast = read(esp(Status.IN), esp(Status.OUT, modified_at=before(10)), ESP, offset=timedelta(minutes=3))
    first = read(None, esp(Status.OUT, modified_at=before(10)), ESP, offset=None)

    assert only(fast).at == before(13)
    assert only(first).at == before(10)


SET_AHEAD = Jump(at=before(5), before=timedelta(0), after=timedelta(hours=1))


@pytest.mark.parametrize(
    ("was", "now", "how", "expected"),
    [
        (Status.IN, Status.OUT, {}, (OUT, 10)),
        (Status.OUT, Status.IN, TRUSTED, (GRANT, 70)),
        (Status.OUT, Status.IN, {"stamp_is_evidence": True}, (GRANT, 70)),
    ],
)
def test_what_the_clock_as_it_was_may_have_told_counts_late_if_it_restricts_and_early_if_it_permits(
    was: Status, now: Status, how: dict[str, Any], expected: tuple[StatementKind, int]
) -> None:
    """An out that is dated an hour too early is beaten by a grant that came before it."""
    shown_now = esp(now, modified_at=before(10), opted_in_at=before(10))
    statement = only(read(esp(was), shown_now, replace(ESP, **how), jump=SET_AHEAD))

    assert (statement.kind, statement.at) == (expected[0], before(expected[1]))


@pytest.mark.parametrize("told", [5, 6, 4])
def test_an_out_is_dated_by_a_stamp_only_where_that_moved_on(told: int) -> None:
    """A platform that shows a complaint late stamps it before the yes that it had shown meanwhile."""
    was = esp(Status.IN, status_at=before(5), modified_at=before(5))
    found = read(was, esp(Status.OUT, status_at=before(told), modified_at=before(5)), ESP)

    assert (only(found).at, only(found).clock) == ((before(4), "mc") if told == 4 else (NOW, OUR_CLOCK))


def test_while_a_clock_is_unknown_what_came_to_restrict_is_dated_now() -> None:
    unknown = read(esp(Status.IN), esp(Status.OUT, modified_at=before(10)), ESP, offset=None)

    assert (only(unknown).at, only(unknown).clock) == (NOW, OUR_CLOCK)


def test_a_first_sight_under_a_new_meaning_takes_what_the_comparison_restricts_and_nothing_else() -> None:
    first = read(None, esp(Status.OUT), ESP)
    both = read(esp(Status.IN, topics={"Offers": True}), esp(Status.OUT, topics={"Offers": False}), ESP)
    lifted = read(esp(Status.OUT), esp(Status.IN, opted_in_at=before(5)), ESP)

    assert [(s.statement.kind, s.statement.scope) for s in with_restrictions(first, both).said] == [
        (StatementKind.OUT, SCOPE),
        (StatementKind.OUT, OFFERS),
    ]
    assert with_restrictions(first, both).said[0] == first.said[0]
    assert with_restrictions(first, lifted) == first


@pytest.mark.parametrize("topics", [False, True])
def test_an_out_under_a_stamp_that_did_not_move_is_dated_when_seen_and_not_beaten_by_an_old_grant(
    topics: bool,
) -> None:
    wanted = {"Offers": True}
    was = esp(Status.IN, status_at=OLD, topics=wanted)
    now = esp(Status.IN if topics else Status.OUT, status_at=OLD, topics={"Offers": False} if topics else wanted)
    scope = OFFERS if topics else SCOPE
    found = read(was, now, ESP)

    assert only(found).at == NOW
    assert standing([only(found), grant(300, scope=scope)], scope, tolerance=TOLERANCE).wish is Wish.OUT


def test_a_topic_is_not_dated_by_the_time_of_the_status() -> None:
    was = esp(Status.IN, status_at=OLD, topics={"Offers": True})
    now = replace(was, topics={"Offers": False}, modified_at=RECENT)

    assert only(read(was, now, ESP)).at == RECENT


def test_a_trusted_flip_under_a_stamp_that_did_not_move_counts_no_later_than_the_stamp() -> None:
    rep = replace(ESP, **TRUSTED)

    assert only(read(esp(Status.OUT), esp(Status.IN), rep)).at == OLD


# first sight


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (Status.OUT, esp(Status.IN, modified_at=RECENT), (GRANT, before(300), OUR_CLOCK)),
        (Status.OUT, esp(Status.IN, modified_at=RECENT, status_at=before(200)), (GRANT, before(200), "mc")),
        (Status.IN, esp(Status.OUT, modified_at=RECENT), (OUT, RECENT, "mc")),
    ],
)
def test_a_stamp_that_a_write_of_ours_has_moved_dates_nothing_that_permits(
    was: Status, now: Record, expected: tuple[StatementKind, datetime, str]
) -> None:
    said = only(read(esp(was), now, replace(ESP, **TRUSTED), written_since=before(300)))

    assert (said.kind, said.at, said.clock) == expected


def test_at_first_sight_a_member_has_opted_in_only_with_evidence() -> None:
    stamped = replace(ESP, stamp_is_evidence=True)
    member = esp(Status.IN, opted_in_at=OLD)

    assert read(None, member, ESP).said == ()
    assert said(read(None, member, stamped)) == [(GRANT, SCOPE, Strength.NOTHING)]
    assert only(read(None, member, stamped)).at == OLD
    assert read(None, esp(Status.PENDING, opted_in_at=OLD), stamped).said == ()


def test_members_of_the_first_connection_are_legacy_grants_only_when_asked_for() -> None:
    legacy = replace(ESP, existing_is_grant=True)

    assert only(read(None, esp(Status.IN), legacy, is_first_run=True)).source is Source.LEGACY
    assert read(None, esp(Status.IN), legacy, is_first_run=False).said == ()
    assert read(None, esp(Status.IN), legacy, is_first_run=True, was_read_before=True).said == ()
    assert read(None, esp(Status.UNKNOWN), legacy, is_first_run=True).said == ()


def test_at_first_sight_a_ticked_topic_is_in_and_an_unticked_one_says_nothing() -> None:
    found = read(None, esp(Status.IN, topics={"Offers": True, "Events": False}), ESP, is_first_run=True)

    assert said(found) == [(GRANT, OFFERS, Strength.NOTHING)]


def test_members_of_the_first_run_claim_nothing_and_later_ones_do() -> None:
    assert read(None, esp(Status.IN), ESP, is_first_run=True).claims == ()
    assert [c.scope for c in read(None, esp(Status.IN), ESP).claims] == [SCOPE]


# evidence and trust


def test_a_flag_that_turns_in_is_a_grant_when_the_consent_date_moves_with_it() -> None:
    proof = {"CONSENT": "2026-05-30", "CONSENT_SOURCE": "web form", "CONSENT_TEXT": "I agree"}
    found = read(crm(True, fields={"CONSENT": "2020-01-01"}), crm(False, True, fields=proof), CRM)
    statement = only(found)

    assert said(found) == [(GRANT, SCOPE, Strength.EVIDENCED)]
    assert statement.at == datetime(2026, 5, 30, tzinfo=UTC)
    assert statement.clock is None
    assert statement.evidence == {
        "consent_date": "2026-05-30",
        "consent_source": "web form",
        "consent_text": "I agree",
    }


@pytest.mark.parametrize("date", ["2020-01-01", "2020-01-01T00:00:00Z", None, ""])
def test_a_consent_date_that_did_not_move_proves_nothing(date: str | None) -> None:
    was = crm(True, fields={"CONSENT": "2020-01-01"})

    assert read(was, crm(False, True, fields={"CONSENT": date}), CRM).said == ()


def test_out_as_before_with_a_moved_proof_is_a_new_out_since_somebody_said_yes_in_between() -> None:
    was = crm(True, False, fields={"CONSENT": "2026-01-01"})
    now = crm(True, False, fields={"CONSENT": "2026-02-01"}, modified_at=RECENT)
    member = esp(Status.OUT, opted_in_at=OLD, origin=Origin.PERSON)
    nominating = replace(ESP, stamp_nominates=True)

    assert only(read(was, now, CRM)).at == RECENT
    assert kinds(read(was, now, CRM)) == [OUT]
    assert kinds(read(member, replace(member, opted_in_at=RECENT, modified_at=RECENT), nominating)) == [OUT]
    assert kinds(read(was, replace(was, modified_at=RECENT), CRM)) == []


@pytest.mark.parametrize("date", ["2026-06-02", "2026-06-01T12:06:00Z", "soon"])
def test_a_date_in_the_future_or_none_at_all_is_no_evidence_and_an_issue(date: str) -> None:
    found = read(crm(True), crm(False, True, fields={"CONSENT": date}), CRM)

    assert found.said == ()
    assert [d.kind for d in found.doubts] == ["future_evidence"]


def test_a_cleared_opt_out_flag_with_a_new_consent_date_is_a_grant_where_there_is_no_other_flag() -> None:
    now = crm(False, fields={"CONSENT": "2026-05-30"})

    assert said(read(crm(True), now, ONLY_OUT)) == [(GRANT, SCOPE, Strength.EVIDENCED)]


@pytest.mark.parametrize(
    ("rep", "was", "now", "expected"),
    [
        (CRM, crm(True), crm(False, True), []),
        (replace(CRM, **TRUSTED), crm(True), crm(False, True), [(GRANT, SCOPE, Strength.TRUSTED)]),
        (replace(CRM, **TRUSTED), crm(), crm(False, True), [(GRANT, SCOPE, Strength.TRUSTED)]),
        (replace(CRM, **TRUSTED), crm(True), crm(), []),
        (replace(ONLY_OUT, **TRUSTED), crm(True), crm(), [(GRANT, SCOPE, Strength.TRUSTED)]),
        (replace(ESP, **TRUSTED), esp(Status.OUT), esp(Status.IN), [(GRANT, SCOPE, Strength.TRUSTED)]),
        (replace(ESP, **TRUSTED), esp(Status.OUT, is_asked=True), esp(Status.IN), []),
        (
            replace(ESP, **TRUSTED),
            esp(Status.ABSENT, is_asked=True),
            esp(Status.IN),
            [(GRANT, SCOPE, Strength.TRUSTED)],
        ),
        (replace(ESP, **TRUSTED), esp(Status.OUT), esp(Status.PENDING), []),
        (replace(ESP, **TRUSTED), esp(Status.OUT), esp(Status.ARCHIVED), []),
    ],
)
def test_a_side_that_is_trusted_says_in_by_flipping_back(
    rep: Representation, was: Record, now: Record, expected: list[Any]
) -> None:
    found = read(was, now, rep)

    assert said(found) == expected
    assert len(found.claims) == (0 if now.status in {Status.PENDING, Status.ARCHIVED} else 1)


def test_an_opt_in_stamp_that_a_program_can_set_only_nominates() -> None:
    was, now = esp(Status.OUT, opted_in_at=OLD), esp(Status.IN, opted_in_at=RECENT)
    certain = read(was, now, replace(ESP, stamp_is_evidence=True)).said[0]
    nominated = read(was, now, replace(ESP, stamp_nominates=True)).said[0]

    assert (certain.statement.strength, certain.needs_confirmation) == (Strength.EVIDENCED, False)
    assert (nominated.statement.strength, nominated.needs_confirmation) == (Strength.EVIDENCED, True)
    assert read(was, replace(now, opted_in_at=OLD), replace(ESP, stamp_is_evidence=True)).said == ()


def test_while_a_systems_clock_is_unknown_its_grants_lift_nothing_and_its_outs_count() -> None:
    rep = replace(ESP, stamp_is_evidence=True, **TRUSTED)
    turned = read(esp(Status.OUT), esp(Status.IN, opted_in_at=RECENT, topics={"Offers": True}), rep, offset=None)

    assert said(turned) == [(GRANT, SCOPE, Strength.NOTHING), (GRANT, OFFERS, Strength.NOTHING)]
    assert [d.kind for d in turned.doubts] == ["clock_skew"]
    assert kinds(read(esp(Status.IN), esp(Status.OUT), rep, offset=None)) == [OUT]


# topics and the bounce marker


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (True, False, [(OUT, OFFERS, Strength.NOTHING)]),
        (True, None, [(OUT, OFFERS, Strength.NOTHING)]),
        (False, True, [(GRANT, OFFERS, Strength.NOTHING)]),
        (None, True, [(GRANT, OFFERS, Strength.NOTHING)]),
        (None, False, []),
        (False, None, []),
    ],
)
def test_a_topic_says_out_when_it_is_unticked_and_a_tick_alone_lifts_nothing(
    was: bool | None, now: bool | None, expected: list[Any]
) -> None:
    found = read(esp(Status.IN, topics={"Offers": was}), esp(Status.IN, topics={"Offers": now}), ESP)

    assert said(found) == expected
    assert len(found.claims) == (1 if now else 0)


def test_a_tick_is_trusted_or_evidenced_where_the_side_says_so() -> None:
    was, now = esp(Status.IN, topics={"Offers": False}), esp(Status.IN, topics={"Offers": True})
    dated = crm(fields={"CONSENT": "2026-05-30"}, topics={"T_OFFERS": True})

    assert said(read(was, now, replace(ESP, **TRUSTED))) == [(GRANT, OFFERS, Strength.TRUSTED)]
    assert said(read(crm(topics={"T_OFFERS": None}), dated, CRM)) == [
        (GRANT, OFFERS, Strength.EVIDENCED),
        (GRANT, OFFERS, Strength.NOTHING),
    ]


def test_a_tick_that_a_consent_date_proves_is_as_old_as_the_consent() -> None:
    dated = crm(fields={"CONSENT": "2026-03-01"}, topics={"T_OFFERS": True}, modified_at=RECENT)
    proven, tick = read(crm(topics={"T_OFFERS": False}), dated, CRM).said

    assert (proven.statement.at, proven.statement.clock) == (datetime(2026, 3, 1, tzinfo=UTC), None)
    assert (tick.statement.at, tick.statement.strength) == (RECENT, Strength.NOTHING)


@pytest.mark.parametrize("status", [Status.ABSENT, Status.ARCHIVED])
def test_topics_that_nobody_shows_because_the_member_is_not_there_are_no_wish(status: Status) -> None:
    was = esp(Status.IN, topics={"Offers": True})

    assert read(was, esp(status, topics={}), ESP).said == ()
    assert kinds(read(was, esp(status, topics={"Offers": False}), ESP)) == [OUT]


def test_a_bounce_marker_is_no_wish_and_a_person_who_unticks_it_clears_it() -> None:
    marked = crm(fields={"BOUNCED": True})

    assert said(read(crm(), marked, CRM)) == [(HARD, EVERYTHING, Strength.NOTHING)]
    assert said(read(marked, crm(modified_at=RECENT), CRM)) == [(DELIVERED, EVERYTHING, Strength.NOTHING)]
    assert read(crm(), marked, replace(CRM, bounce=None)).said == ()


# writes whose answer was lost


def as_in(record: Record) -> Record:
    return overlay(record, status=Status.IN, topics={"Offers": True}, fields={})


def test_after_a_lost_permissive_write_an_out_under_a_moved_stamp_is_new_and_an_in_is_ours() -> None:
    was = esp(Status.OUT, topics={"Offers": False})
    rep = replace(ESP, **TRUSTED)

    assert kinds(read(was, replace(was, modified_at=RECENT), rep, unsure=as_in(was))) == [OUT, OUT]
    applied = read(was, replace(as_in(was), modified_at=RECENT), rep, unsure=as_in(was))
    assert (applied.said, applied.claims) == ((), ())


def test_after_a_lost_permissive_write_a_record_without_stamps_counts_as_out_again() -> None:
    was = esp(Status.OUT, modified_at=None)

    assert kinds(read(was, was, ESP, unsure=replace(was, status=Status.IN))) == [OUT]


@pytest.mark.parametrize("was", [crm(), crm(True), esp(Status.OUT), esp(Status.UNKNOWN)])
def test_a_record_on_which_not_even_the_stamp_moved_was_not_written_and_says_nothing(was: Record) -> None:
    rep = CRM if was.status is None else ESP
    lost = overlay(was, status=was.status and Status.IN, topics={}, fields={"OUT": False, "IN": True})

    assert read(was, was, rep, unsure=lost) == Detected()


def test_an_out_beside_a_lost_write_speaks_for_all_addresses_whatever_was_written() -> None:
    flagged = crm(True, modified_at=RECENT)
    lost_out = overlay(crm(), status=None, topics={}, fields={"OUT": True})
    lost_other = overlay(crm(), status=None, topics={"T_OFFERS": True}, fields={})

    assert [s.for_all for s in read(crm(), flagged, CRM, unsure=lost_out).said] == [True]
    assert [s.for_all for s in read(crm(), flagged, CRM, unsure=lost_other).said][:1] == [True]


def test_an_in_that_neither_state_explains_is_still_said_after_a_lost_write() -> None:
    was = crm(True)
    lost = overlay(was, status=None, topics={"T_OFFERS": False}, fields={})
    now = crm(False, True, fields={"CONSENT": "2026-05-30"})

    assert said(read(was, now, CRM, unsure=lost)) == [(GRANT, SCOPE, Strength.EVIDENCED)]


# leaving a roster


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.IN, 1),
        (Status.OUT, 1),
        (Status.UNKNOWN, 1),
        (Status.BOUNCED, 0),
        (Status.PENDING, 0),
        (Status.ARCHIVED, 0),
        (Status.ABSENT, 0),
    ],
)
def test_who_is_off_the_roster_has_left_when_it_was_noticed(status: Status, expected: int) -> None:
    found = list(left(esp(status), ESP, Reading(system="mc", seen_at=NOW)))

    assert len(found) == expected
    assert all((s.statement.kind, s.statement.at, s.statement.is_personal) == (OUT, NOW, True) for s in found)


@pytest.mark.parametrize("may_be_ours", [True, False])
def test_who_is_off_the_roster_after_a_removal_of_ours_may_not_have_left_by_themself(may_be_ours: bool) -> None:
    reading = Reading(system="mc", seen_at=NOW)
    (said,) = left(esp(Status.IN), ESP, reading, may_be_ours=may_be_ours)

    assert said.statement.is_personal is not may_be_ours
    assert ("ours" in str(said.statement.reason)) is may_be_ours


# laws over any records

booleans = st.sampled_from([None, False, True])
moments = st.one_of(st.none(), st.integers(0, 1000).map(before))
dates = st.sampled_from([None, "", "2019-01-01", "2026-05-30", "2027-01-01", "2026-05-30T10:00:00Z", "soon"])
crm_records = st.builds(
    lambda out, in_, consent, bounced, topics, stamp: crm(
        out, in_, modified_at=stamp, fields={"CONSENT": consent, "BOUNCED": bounced}, topics=topics
    ),
    booleans,
    booleans,
    dates,
    booleans,
    st.fixed_dictionaries({"T_OFFERS": booleans, "T_EVENTS": booleans}),
    moments,
)
esp_records = st.builds(
    lambda status, origin, stamps, topics, is_known: esp(
        status,
        origin=origin,
        status_at=stamps[0],
        modified_at=stamps[1],
        opted_in_at=stamps[2],
        topics=topics,
        is_word_known=is_known or status is not Status.UNKNOWN,
    ),
    st.sampled_from(Status),
    st.sampled_from(Origin),
    st.tuples(moments, moments, moments),
    st.fixed_dictionaries({"Offers": booleans, "Events": booleans}),
    st.booleans(),
)
settings_of_sides = st.fixed_dictionaries(
    {
        "status_grants": st.sampled_from([Strength.NOTHING, Strength.TRUSTED]),
        "topic_grants": st.sampled_from([Strength.NOTHING, Strength.TRUSTED]),
        "existing_is_grant": st.booleans(),
        "stamp_is_evidence": st.booleans(),
        "stamp_nominates": st.booleans(),
    }
)
readings = st.fixed_dictionaries(
    {"offset": st.sampled_from([None, timedelta(0), timedelta(hours=2)]), "is_first_run": st.booleans()}
)
crm_sides = st.builds(
    lambda base, parts: replace(base, **parts), st.sampled_from([CRM, ONLY_OUT, ONLY_IN]), settings_of_sides
)
esp_sides = st.builds(lambda parts: replace(ESP, **parts), settings_of_sides)
one_record = st.one_of(st.tuples(crm_sides, crm_records), st.tuples(esp_sides, esp_records))
two_records = st.one_of(st.tuples(crm_sides, crm_records, crm_records), st.tuples(esp_sides, esp_records, esp_records))


@given(one_record, readings)
def test_a_reading_that_shows_what_was_there_says_nothing(
    case: tuple[Representation, Record], reading: dict[str, Any]
) -> None:
    rep, record = case

    assert read(record, record, rep, **reading) == Detected()


@given(one_record, moments)
def test_a_stamp_alone_says_nothing(case: tuple[Representation, Record], stamp: datetime | None) -> None:
    rep, record = case

    assert read(record, replace(record, modified_at=stamp), rep) == Detected()


@given(one_record, readings)
def test_first_sight_never_lifts_anything(case: tuple[Representation, Record], reading: dict[str, Any]) -> None:
    rep, record = case

    assert all(strength is Strength.NOTHING for _, _, strength in said(read(None, record, rep, **reading)))


@given(two_records, readings)
def test_nothing_is_said_after_it_was_seen(
    case: tuple[Representation, Record, Record], reading: dict[str, Any]
) -> None:
    rep, was, now = case

    assert all(s.statement.at <= NOW for s in read(was, now, rep, **reading).said)


@given(two_records)
def test_who_comes_to_show_out_has_said_out(case: tuple[Representation, Record, Record]) -> None:
    rep, was, now = case
    if shown(now, rep).status is Status.OUT and shown(was, rep).status is not Status.OUT:
        assert {OUT, COMPLAINT} & {k for k, scope, _ in said(read(was, now, rep)) if scope == SCOPE}


@given(two_records, st.booleans())
def test_a_lost_write_never_hides_an_out_and_never_makes_a_reading_more_permissive(
    case: tuple[Representation, Record, Record], applied: bool
) -> None:
    rep, was, now = case
    lost = overlay(was, status=was.status and Status.IN, topics={}, fields={"OUT": False, "IN": True})
    plain, careful = read(was, now, rep), read(was, now, rep, unsure=lost)
    restrictive = {s for s in said(plain) if s[0] in {OUT, COMPLAINT, HARD}}

    assert restrictive <= set(said(careful))
    assert {s for s in said(careful) if s[0] is GRANT} <= {s for s in said(plain) if s[0] is GRANT}


histories = st.one_of(
    st.tuples(
        st.sampled_from([CRM, ONLY_OUT, ONLY_IN]).map(lambda r: replace(r, consent_date=None)),
        st.lists(crm_records, min_size=1, max_size=8),
    ),
    st.tuples(st.just(ESP), st.lists(esp_records.map(lambda r: replace(r, opted_in_at=None)), min_size=1, max_size=8)),
)


@given(histories, st.booleans())
def test_without_evidence_and_trust_nothing_ever_lifts_an_out(
    case: tuple[Representation, list[Record]], is_legacy: bool
) -> None:
    rep, records = case
    rep = replace(rep, existing_is_grant=is_legacy)
    ledger: list[Statement] = []
    was: Record | None = None
    out_since: set[str] = set()
    for number, now in enumerate(records):
        seen_at = NOW + timedelta(hours=number)
        ledger += [s.statement for s in detect(was, now, rep, Reading(system="x", seen_at=seen_at)).said]
        scopes = (SCOPE, *(scope for scope, _ in rep.topics))
        wishes = {scope: standing(ledger, scope, tolerance=TOLERANCE).wish for scope in scopes}
        assert all(wishes[scope] is Wish.OUT for scope in out_since)
        out_since |= {scope for scope, wish in wishes.items() if wish is Wish.OUT}
        was = now
