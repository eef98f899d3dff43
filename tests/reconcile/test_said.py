"""What a reading says, whole: by whom, about what, when by whose clock, with which proof, and what was shown before."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from optsync.model.record import Origin, Record, Status
from optsync.model.scope import EVERYTHING
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.detect import Claim, Detected, Said
from optsync.reconcile.doubt import Doubt
from optsync.reconcile.moments import parse_moment
from optsync.reconcile.reading import Reading
from optsync.reconcile.representation import Representation
from optsync.reconcile.roster import left
from tests.reconcile.places import CRM, ESP, EVENTS, NOW, OFFERS, SCOPE, before
from tests.reconcile.test_detect import OLD, RECENT, crm, esp, read

OUT, GRANT = StatementKind.OUT, StatementKind.GRANT
STAMPED = replace(ESP, stamp_is_evidence=True)
NOMINATING = replace(ESP, stamp_nominates=True)
LEGACY = replace(ESP, existing_is_grant=True)
ONLY_OUT = replace(CRM, opt_in=None)
PROOF = {"consent_date": "2026-05-30", "consent_source": "form"}
PROVEN = crm(False, True, modified_at=RECENT, fields={"CONSENT": "2026-05-30", "CONSENT_SOURCE": "form"})


def by_crm(kind: StatementKind, scope: str = SCOPE, at: datetime = RECENT, **parts: Any) -> Statement:
    usual: dict[str, Any] = {"clock": "crm", "seen_at": NOW, "source": Source.CRM, "system": "crm", "record": "7"}
    return state(kind=kind, scope=scope, at=at, **{**usual, **parts})


def by_esp(kind: StatementKind, scope: str = SCOPE, at: datetime = RECENT, **parts: Any) -> Statement:
    usual: dict[str, Any] = {"clock": "mc", "seen_at": NOW, "source": Source.ESP, "system": "mc", "record": "m7"}
    return state(kind=kind, scope=scope, at=at, **{**usual, **parts})


def shown_before(**flags: str) -> dict[str, str]:
    return {"shown_before": "unknown", "opt_out_before": "no", "opt_in_before": "no", **flags}


def moved(status: Status, **parts: Any) -> Record:
    return esp(status, modified_at=RECENT, **parts)


WAS_IN = {"shown_before": "in"}
BOUNCED_BY_COMPLAINT = moved(Status.BOUNCED, origin=Origin.COMPLAINT, reason="abuse")
Case = tuple[Record | None, Record, Representation, list[Said], list[Claim]]

CASES: dict[str, Case] = {
    "a contact's flag is set": (
        crm(False, True),
        crm(True, True, modified_at=RECENT),
        CRM,
        [Said(by_crm(OUT, evidence=shown_before(shown_before="in", opt_in_before="yes")), for_all=True)],
        [],
    ),
    "a contact is first seen with it": (
        None,
        crm(True, modified_at=RECENT, reason="typed"),
        CRM,
        [Said(by_crm(OUT, reason="typed"), for_all=True)],
        [],
    ),
    "a contact opts in with a proof": (
        crm(True),
        PROVEN,
        CRM,
        [
            Said(
                by_crm(
                    GRANT,
                    at=datetime(2026, 5, 30, tzinfo=UTC),
                    clock=None,
                    strength=Strength.EVIDENCED,
                    evidence=PROOF,
                )
            )
        ],
        [Claim(SCOPE, "in")],
    ),
    "a contact's out is cleared": (
        crm(True),
        crm(False, modified_at=RECENT),
        ONLY_OUT,
        [],
        [Claim(SCOPE, "unknown")],
    ),
    "a member leaves": (
        esp(Status.IN),
        moved(Status.OUT, reason="too many", origin=Origin.PERSON),
        ESP,
        [Said(by_esp(OUT, is_personal=True, reason="too many", evidence=WAS_IN))],
        [],
    ),
    "a member is taken out by an administrator": (
        esp(Status.IN),
        moved(Status.OUT, origin=Origin.ADMIN),
        ESP,
        [Said(by_esp(OUT, evidence=WAS_IN))],
        [],
    ),
    "a member complains": (
        esp(Status.IN),
        moved(Status.OUT, origin=Origin.COMPLAINT, reason="abuse"),
        ESP,
        [Said(by_esp(StatementKind.COMPLAINT, source=Source.SPAM_COMPLAINT, is_personal=True, reason="abuse"))],
        [],
    ),
    "a member turns from out to a person's out": (
        esp(Status.OUT, origin=Origin.ADMIN),
        moved(Status.OUT, origin=Origin.PERSON),
        ESP,
        [Said(by_esp(OUT, is_personal=True, evidence={"shown_before": "out"}))],
        [],
    ),
    "a member turns from a person's out to an administrator's": (
        esp(Status.OUT, origin=Origin.PERSON),
        moved(Status.OUT, origin=Origin.ADMIN),
        ESP,
        [Said(by_esp(OUT, evidence={"shown_before": "out"}))],
        [],
    ),
    "a member turns from an out by nobody known to an administrator's": (
        esp(Status.OUT, origin=Origin.UNKNOWN),
        moved(Status.OUT, origin=Origin.ADMIN),
        ESP,
        [],
        [],
    ),
    "a member is out as before, and nothing tells when": (
        esp(Status.OUT, status_at=OLD),
        moved(Status.OUT),
        ESP,
        [],
        [],
    ),
    "a member bounces": (
        esp(Status.IN),
        moved(Status.BOUNCED, reason="no mailbox"),
        ESP,
        [Said(by_esp(StatementKind.HARD_BOUNCE, EVERYTHING, source=Source.BOUNCE, reason="no mailbox"))],
        [],
    ),
    "a member bounces as before": (esp(Status.BOUNCED), moved(Status.BOUNCED), ESP, [], []),
    "a member is suppressed for a complaint": (
        esp(Status.IN),
        BOUNCED_BY_COMPLAINT,
        ESP,
        [Said(by_esp(StatementKind.COMPLAINT, source=Source.SPAM_COMPLAINT, is_personal=True, reason="abuse"))],
        [],
    ),
    "a bounced member complains": (
        esp(Status.BOUNCED),
        BOUNCED_BY_COMPLAINT,
        ESP,
        [Said(by_esp(StatementKind.COMPLAINT, source=Source.SPAM_COMPLAINT, is_personal=True, reason="abuse"))],
        [],
    ),
    "a member is suppressed for a complaint as before": (
        replace(BOUNCED_BY_COMPLAINT, modified_at=OLD),
        BOUNCED_BY_COMPLAINT,
        ESP,
        [],
        [],
    ),
    "a member who complained bounces": (
        esp(Status.OUT, origin=Origin.COMPLAINT),
        BOUNCED_BY_COMPLAINT,
        ESP,
        [Said(by_esp(StatementKind.HARD_BOUNCE, EVERYTHING, source=Source.BOUNCE, reason="abuse"))],
        [],
    ),
    "a bounced member is back": (
        esp(Status.BOUNCED),
        moved(Status.IN),
        ESP,
        [Said(by_esp(StatementKind.DELIVERED, EVERYTHING))],
        [Claim(SCOPE, "in")],
    ),
    "a member signs up with a stamp": (
        esp(Status.OUT),
        moved(Status.IN, opted_in_at=before(40)),
        STAMPED,
        [
            Said(
                by_esp(
                    GRANT,
                    at=before(40),
                    strength=Strength.EVIDENCED,
                    evidence={"opted_in_at": before(40).isoformat()},
                )
            )
        ],
        [Claim(SCOPE, "in")],
    ),
    "a member signs up with a stamp that nominates": (
        esp(Status.OUT),
        moved(Status.IN, opted_in_at=before(40)),
        NOMINATING,
        [
            Said(
                by_esp(
                    GRANT,
                    at=before(40),
                    strength=Strength.EVIDENCED,
                    evidence={"opted_in_at": before(40).isoformat()},
                ),
                needs_confirmation=True,
            )
        ],
        [Claim(SCOPE, "in")],
    ),
    "a member is first seen with a stamp that nominates": (
        None,
        moved(Status.IN, opted_in_at=before(40)),
        NOMINATING,
        [Said(by_esp(GRANT, at=before(40), evidence={"opted_in_at": before(40).isoformat()}))],
        [Claim(SCOPE, "in")],
    ),
    "a trusted member flips back": (
        esp(Status.OUT),
        moved(Status.IN),
        replace(ESP, status_grants=Strength.TRUSTED),
        [Said(by_esp(GRANT, strength=Strength.TRUSTED))],
        [Claim(SCOPE, "in")],
    ),
    "a member unticks a topic and ticks another": (
        esp(Status.IN, topics={"Offers": True, "Events": False}),
        moved(Status.IN, status_at=OLD, reason="hm", topics={"Offers": False, "Events": True}),
        ESP,
        [
            Said(by_esp(GRANT, EVENTS)),
            Said(by_esp(OUT, OFFERS, is_personal=True, evidence={"shown_before": "wanted"})),
        ],
        [Claim(EVENTS, "wanted")],
    ),
    "a contact's topic is unticked": (
        crm(topics={"T_OFFERS": True}),
        crm(topics={"T_OFFERS": False}, modified_at=RECENT),
        CRM,
        [Said(by_crm(OUT, OFFERS, evidence={"shown_before": "wanted"}), for_all=True)],
        [],
    ),
    "an archived member's topics are not shown, all but one": (
        esp(Status.ARCHIVED, topics={"Offers": True, "Events": True}),
        moved(Status.ARCHIVED, topics={"Offers": False, "Events": None}),
        ESP,
        [Said(by_esp(OUT, OFFERS, is_personal=True, evidence={"shown_before": "wanted"}))],
        [],
    ),
    "a contact's topic is ticked": (
        crm(topics={"T_OFFERS": None}),
        crm(topics={"T_OFFERS": True}, modified_at=RECENT),
        CRM,
        [Said(by_crm(GRANT, OFFERS))],
        [Claim(OFFERS, "wanted")],
    ),
    "a contact is marked as bounced": (
        crm(fields={"BOUNCED": False}),
        crm(fields={"BOUNCED": True}, modified_at=RECENT, reason="typed"),
        CRM,
        [Said(by_crm(StatementKind.HARD_BOUNCE, EVERYTHING, reason="typed"))],
        [],
    ),
    "a contact's mark is taken away": (
        crm(fields={"BOUNCED": True}),
        crm(fields={"BOUNCED": False}, modified_at=RECENT),
        CRM,
        [Said(by_crm(StatementKind.DELIVERED, EVERYTHING))],
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_turn_says_all_of_it(name: str) -> None:
    was, now, rep, said, claims = CASES[name]
    found = read(was, now, rep)

    assert list(found.said) == said
    assert list(found.claims) == claims


def test_a_legacy_member_of_the_first_connection_has_said_so_by_being_there() -> None:
    found = read(None, moved(Status.IN), LEGACY, is_first_run=True)

    assert found == Detected(said=(Said(by_esp(GRANT, source=Source.LEGACY)),))


@pytest.mark.parametrize(
    ("was", "now", "rep", "expected"),
    [
        (
            crm(),
            crm(True, True),
            CRM,
            Doubt("contradictory_flags", "IN", "both the opt-out and the opt-in flag are set; out counts"),
        ),
        (
            crm(True),
            crm(False, True, fields={"CONSENT": "soon"}),
            CRM,
            Doubt("future_evidence", "CONSENT", "the consent date is no date or lies in the future"),
        ),
        (
            esp(Status.OUT),
            moved(Status.IN, opted_in_at=before(40)),
            STAMPED,
            Doubt("clock_skew", None, "the system's clock is unknown: its opt-in lifts nothing"),
        ),
    ],
)
def test_a_doubt_names_the_field_and_says_what_counts(
    was: Record, now: Record, rep: Representation, expected: Doubt
) -> None:
    assert read(was, now, rep, offset=None).doubts == (expected,)


@pytest.mark.parametrize("status", [s for s in Status if s not in {Status.IN, Status.UNKNOWN}])
def test_whoever_turns_from_out_to_what_is_no_in_claims_nothing(status: Status) -> None:
    assert read(esp(Status.OUT), moved(status), ESP).claims == ()


def test_out_as_before_is_said_again_by_a_date_that_moved_into_the_future_and_by_no_other_doubt() -> None:
    was = crm(True, False, fields={"CONSENT": "2026-01-01"})
    ahead = crm(True, False, modified_at=RECENT, fields={"CONSENT": "2030-01-01"})
    contradictory = crm(True, True, modified_at=RECENT, fields={"CONSENT": "2026-01-01"})

    assert [s.statement.kind for s in read(was, ahead, CRM).said] == [OUT]
    assert read(was, contradictory, CRM).said == ()


def test_a_tick_at_first_sight_lifts_nothing_and_claims_nothing() -> None:
    trusted = replace(ESP, topic_grants=Strength.TRUSTED)
    found = read(None, moved(Status.IN, topics={"Offers": True}), trusted, is_first_run=True)

    assert found == Detected(said=(Said(by_esp(GRANT, OFFERS)),))


def test_flags_that_came_to_contradict_each_other_are_told_of_once() -> None:
    assert len(read(crm(False, True), crm(True, True), CRM).doubts) == 1
    assert len(read(crm(True, False), crm(True, True), CRM).doubts) == 1
    assert read(crm(True, True), crm(True, True), CRM).doubts == ()


@pytest.mark.parametrize(("minutes", "counts"), [(0, True), (4, True), (5, True), (5.1, False)])
def test_a_consent_date_may_be_ahead_by_as_much_as_clocks_differ(minutes: float, counts: bool) -> None:
    date = (NOW + timedelta(minutes=minutes)).isoformat()
    found = read(crm(True), crm(False, True, fields={"CONSENT": date, "CONSENT_TEXT": ""}), CRM)

    assert [s.statement.evidence for s in found.said] == ([{"consent_date": date}] if counts else [])
    assert bool(found.doubts) is not counts


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (OLD, RECENT, True),
        (RECENT, RECENT, False),
        (RECENT, OLD, False),
        (None, RECENT, False),
        (OLD, None, False),
        (None, None, False),
    ],
)
def test_an_out_is_said_again_only_by_a_later_time_of_its_own(
    was: datetime | None, now: datetime | None, expected: bool
) -> None:
    found = read(esp(Status.OUT, status_at=was), moved(Status.OUT, status_at=now), ESP)

    assert bool(found.said) is expected


def test_flags_have_no_time_of_their_own_and_no_origin() -> None:
    was = crm(True, status_at=OLD)

    assert read(was, replace(was, status_at=RECENT, modified_at=RECENT, origin=Origin.PERSON), CRM).said == ()


def test_beside_a_lost_write_every_doubt_is_told_and_claims_are_news_against_both() -> None:
    was, unsure = crm(True), crm(True, fields={"NAME": "b"})
    now = crm(False, True, modified_at=RECENT, fields={"CONSENT": "soon"})
    found = read(was, now, CRM, unsure=unsure)

    assert [d.kind for d in found.doubts] == ["future_evidence"]
    assert found.claims == (Claim(SCOPE, "in"),)
    assert read(was, now, CRM, unsure=crm(False, True)).claims == ()
    assert [d.kind for d in read(was, now, CRM, unsure=crm(False, True)).doubts] == ["future_evidence"]


def test_a_record_that_only_changed_lists_was_not_written() -> None:
    was = crm(True)

    assert read(was, replace(was, lists=frozenset({"letter"})), CRM, unsure=crm(False, True)).said == ()


def test_who_is_off_the_roster_has_left_whole() -> None:
    reading = Reading(system="mc", seen_at=NOW)

    assert tuple(left(esp(Status.IN), ESP, reading)) == (
        Said(
            state(
                scope=SCOPE,
                kind=OUT,
                at=NOW,
                clock=OUR_CLOCK,
                seen_at=NOW,
                source=Source.ESP,
                is_personal=True,
                reason="left the list",
                system="mc",
                record="m7",
            )
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-30", datetime(2026, 5, 30, tzinfo=UTC)),
        ("2026-05-30T10:00:00", datetime(2026, 5, 30, 10, tzinfo=UTC)),
        ("2026-05-30T10:00:00Z", datetime(2026, 5, 30, 10, tzinfo=UTC)),
        ("2026-05-30T10:00:00+02:00", datetime(2026, 5, 30, 8, tzinfo=UTC)),
        ("30.5.2026", None),
        ("", None),
    ],
)
@pytest.mark.usefixtures("far_east")
def test_a_moment_is_read_the_same_everywhere(text: str, expected: datetime | None) -> None:
    found = parse_moment(text)

    assert found == expected
    assert found is None or found.tzinfo is UTC
