"""When the matter of an issue is over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.link import Agreed, Link
from optsync.model.record import Origin, Side, Status
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.asking import refused
from optsync.reconcile.fields import Conflict
from optsync.reconcile.matters import QUIET, Facts, Matter, why_over
from optsync.reconcile.plan import decide
from optsync.reconcile.policy import CustomHandling, Enter
from optsync.reconcile.view import Neighbourhood, Seen
from tests.reconcile.places import (
    CRM,
    EVENTS,
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
    say,
)
from tests.reconcile.test_plan import LINK, NAME, SUBSCRIBED

EMPTY = Neighbourhood(now=NOW, points={}, crm=(), esp=(), links={})


def matter(kind: str, **details: object) -> Matter:
    defaults: dict[str, object] = {
        "system": "mc",
        "field": None,
        "point": None,
        "values": {},
        "opened_at": NOW - timedelta(days=1),
        "last_at": NOW - timedelta(days=1),
    }
    return Matter(kind=kind, **{**defaults, **details})  # type: ignore[arg-type]


def facts(**details: object) -> Facts:
    return Facts(**{"around": EMPTY, "policy": policy(), "names_record": False, **details})  # type: ignore[arg-type]


def test_a_kind_that_nobody_can_look_at_again_waits_for_a_person() -> None:
    assert why_over(matter("plan_held"), facts()) is None


def test_an_unknown_clock_is_over_when_it_is_known() -> None:
    assert why_over(matter("clock_skew"), facts(is_clock_known=False)) is None
    assert why_over(matter("clock_skew"), facts()) == "the system's clock is known"


@pytest.mark.parametrize(("until", "is_over"), [(-1, True), (0, True), (1, False)])
def test_what_was_put_off_is_over_when_its_time_has_come(until: int, is_over: bool) -> None:
    values = {"until": (NOW + timedelta(minutes=until)).isoformat()}
    assert (why_over(matter("put_off", values=values), facts()) is not None) is is_over


def test_a_row_is_gone_only_when_the_whole_read_that_missed_it_began_after_it_was_last_met() -> None:
    quarantined = matter("quarantined_record", last_at=NOW)
    assert why_over(quarantined, facts()) is None
    assert why_over(quarantined, facts(full_read_since=NOW - timedelta(minutes=1))) is None
    assert why_over(quarantined, facts(full_read_since=NOW)) is None
    assert why_over(quarantined, facts(full_read_since=NOW + timedelta(minutes=1))) is not None


def test_a_fight_of_a_whole_system_ends_with_the_quiet_alone() -> None:
    assert why_over(matter("fighting_writer", last_at=NOW - QUIET + timedelta(minutes=1)), facts()) is None
    assert why_over(matter("fighting_writer", last_at=NOW - QUIET), facts()) is not None


@pytest.mark.parametrize(
    "kind", ["contradictory_flags", "unknown_status", "future_evidence", "refused", "refused_opt_in"]
)
def test_what_one_record_showed_is_over_with_the_record(kind: str) -> None:
    assert why_over(matter(kind), facts(names_record=True)) == "the record is gone"


@pytest.mark.parametrize(
    ("values", "awaited", "why"),
    [
        ({"handler": "tell"}, {"tell"}, None),
        ({"handler": "tell"}, {"other"}, "nobody waits for the handler any more"),
        ({"handler": "tell", "given_up": True}, set(), None),
        ({"handler": "gone", "given_up": True}, set(), "the handler is not configured any more"),
    ],
)
def test_a_failed_handler_stands_while_somebody_waits_for_it(
    values: dict[str, object], awaited: set[str], why: str | None
) -> None:
    telling = policy(handling=CustomHandling(handlers={"tell": frozenset()}))
    asked = facts(policy=telling, handlers_awaited=frozenset(awaited))
    assert why_over(matter("handler_failed", values=values), asked) == why


GONE, NOBODY = "the record is gone", "there is nobody to compare with any more"
EQUAL, OPTED_IN = "both sides show the same", "the person has opted in since"
OTHER_FLAGS = replace(CRM, opt_in="IN2", opt_out="OUT2")


def about(seen: Seen | None, **parts: Any) -> Facts:
    """Facts about an issue that names this record."""
    return facts(**{"names_record": True, "record": seen, "representations": (CRM,), **parts})


def own(seen: Seen, **parts: Any) -> Facts:
    return about(seen, around=around(seen, **parts))


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        (kind, seen)
        for kind in ("contradictory_flags", "invalid_address", "unknown_status", "future_evidence", "ambiguous")
        for seen in (None, contact(1, is_gone=True))
    ]
    + [(kind, contact(1, is_gone=True)) for kind in ("refused", "refused_opt_in", "fighting_writer")],
)
def test_what_a_record_showed_is_over_once_it_is_gone(kind: str, seen: Seen | None) -> None:
    assert why_over(matter(kind, point=1, field="IN"), about(seen)) == GONE


@pytest.mark.parametrize(
    ("fields", "how", "expected"),
    [
        ({"OUT": True, "IN": True}, {}, None),
        ({"OUT": True, "IN": False}, {}, "the flags agree again"),
        ({"OUT": True, "IN": True}, {"representations": (OTHER_FLAGS,)}, "the flags agree again"),
        ({"OUT": True, "IN": True}, {"representations": (OTHER_FLAGS, CRM)}, None),
    ],
)
def test_flags_that_contradict_each_other_stand_while_they_do(
    fields: dict[str, bool], how: dict[str, Any], expected: str | None
) -> None:
    seen = contact(1, fields=dict(fields))

    assert why_over(matter("contradictory_flags", field="IN"), about(seen, **how)) == expected


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("a@example.com", "none"), None),
        (("none", "a@example.com"), None),
        (("a@example.com", "b@example.com"), "every address of the record can be used"),
    ],
)
def test_an_address_that_cannot_be_used_stands_until_all_can(addresses: tuple[str, ...], expected: str | None) -> None:
    seen = contact(1)
    seen = replace(seen, record=replace(seen.record, addresses=addresses))

    assert why_over(matter("invalid_address"), about(seen)) == expected


def test_a_status_that_nobody_mapped_stands_until_the_record_shows_another() -> None:
    known = "the record shows a status that is known"

    assert why_over(matter("unknown_status"), about(member(2, is_word_known=False))) is None
    assert why_over(matter("unknown_status"), about(member(2))) == known


CORRECTED = "the date was corrected"
OPENED = NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "the date was taken away"),
        (7, "the date was taken away"),
        ("soon", None),
        ((OPENED + timedelta(minutes=6)).isoformat(), None),
        ((OPENED + timedelta(minutes=5)).isoformat(), CORRECTED),
        ("2020-01-01", CORRECTED),
        (NOW.isoformat(), None),
        (before(60).isoformat(), CORRECTED),
    ],
)
def test_a_date_in_the_future_is_no_evidence_when_its_day_has_come(value: Any, expected: str | None) -> None:
    seen = contact(1, fields={"CONSENT": value})

    assert why_over(matter("future_evidence", field="CONSENT"), own(seen, said={1: [grant(60)]})) == expected
    assert why_over(matter("future_evidence", field=None), own(seen)) == "the date was taken away"
    lost = about(contact(1, (1, 9), fields={"CONSENT": value}), around=around(said={1: [grant(60)]}))
    assert why_over(matter("future_evidence", field="CONSENT"), lost) == expected


def test_the_sentences_of_what_passes_by_itself() -> None:
    read = facts(full_read_since=NOW + timedelta(minutes=1))

    assert why_over(matter("put_off", values={}), facts()) == "its time has come"
    assert why_over(matter("quarantined_record", last_at=NOW), read) == (
        "a complete read did not show the record any more"
    )
    assert why_over(matter("fighting_writer", last_at=NOW - QUIET), facts()) == "nothing was written back for 7 days"


# fields of two records


def pair(crm: str | None, esp: str | None, *, link: Link | None = LINK, **parts: Any) -> Facts:
    seen = (contact(1, fields={**SUBSCRIBED, "NAME": crm}), member(2, fields={"FNAME": esp}, **parts))
    return facts(around=around(*seen, said={1: [grant(system="crm")]}, links=[link] if link else []))


def reviewing(found: Facts) -> Facts:
    return replace(found, policy=policy(fields=(replace(NAME, conflict=Conflict.REVIEW),)))


FROZEN = replace(LINK, frozen=frozenset({NAME.key}))
REVIEWED = replace(LINK, agreed={NAME.key: Agreed("b", "a")})


@pytest.mark.parametrize(
    ("kind", "found", "expected"),
    [
        ("quarantined_field", pair("a", "b"), None),
        ("field_not_kept", pair("a", "b"), None),
        ("quarantined_field", pair("a", "a"), EQUAL),
        ("field_not_kept", pair("a", "a"), EQUAL),
        ("quarantined_field", pair("a", "b", is_gone=True), NOBODY),
        ("quarantined_field", facts(), NOBODY),
        ("quarantined_field", facts(around=around(contact(1))), NOBODY),
        ("quarantined_field", facts(around=around(member(2))), NOBODY),
        ("field_conflict", reviewing(pair("b", "c")), None),
        ("field_conflict", reviewing(pair("b", "c", link=None)), None),
        ("field_conflict", reviewing(pair("b", "b")), EQUAL),
        ("field_conflict", pair("b", "c"), "the conflict is decided"),
        ("field_conflict", reviewing(pair("b", "a", link=REVIEWED)), "the conflict is decided"),
        ("field_conflict", pair("b", "c", is_gone=True), NOBODY),
        ("field_conflict", facts(), NOBODY),
        ("field_conflict", facts(around=around(contact(1))), NOBODY),
        ("field_conflict", facts(around=around(member(2))), NOBODY),
        ("oscillation", pair("a", "b", link=FROZEN), None),
        ("oscillation", pair("a", "a", link=FROZEN), EQUAL),
        ("oscillation", pair("a", "b"), "the value is copied again"),
        ("oscillation", pair("a", "b", is_gone=True), NOBODY),
    ],
)
@pytest.mark.parametrize(("system", "field"), [("crm", "NAME"), ("mc", "FNAME")])
def test_a_field_stands_until_both_sides_show_the_same_or_it_is_decided(
    kind: str, found: Facts, expected: str | None, system: str, field: str
) -> None:
    assert why_over(matter(kind, system=system, field=field, point=1), found) == expected


@pytest.mark.parametrize("kind", ["field_conflict", "oscillation"])
@pytest.mark.parametrize(("system", "field"), [("mc", "NAME"), ("crm", "FNAME")])
def test_a_field_that_is_mapped_no_more_has_nobody_to_compare(kind: str, system: str, field: str) -> None:
    assert why_over(matter(kind, system=system, field=field, point=1), pair("a", "b", link=FROZEN)) == NOBODY
    assert why_over(matter(kind, system="crm", field="NAME", point=None), pair("a", "b", link=FROZEN)) == NOBODY
    assert why_over(matter(kind, system="crm", field="NAME", point=9), pair("a", "b", link=FROZEN)) == NOBODY


def test_two_addresses_of_one_person_stand_until_it_is_clear_who_has_which() -> None:
    apart = contact(1, (5,))
    asked = own(apart)
    asked = replace(asked, around=around(apart, member(2), links=[Link(crm=1, esp=2)]))
    other = replace(asked, record=contact(7, (5,)))

    assert why_over(matter("ambiguous"), asked) is None
    changed_there = around(apart, member(2), links=[Link(crm=1, esp=2, point=5)])
    assert why_over(matter("ambiguous"), replace(asked, around=changed_there)) is None
    assert why_over(matter("ambiguous"), other) == "it is clear again who has which address"
    assert why_over(matter("ambiguous"), own(apart)) == "it is clear again who has which address"


# changes that were not made


UNNEEDED = "the change is not needed any more"


def opting_out(**parts: Any) -> Facts:
    shows = member(2)
    return about(shows, around=around(contact(1, fields={"OUT": True}), shows, said={1: [out(system="crm")]}, **parts))


@pytest.mark.parametrize(
    ("found", "details", "expected"),
    [
        (opting_out(), {}, None),
        (opting_out(refused_for_good=frozenset({1})), {}, None),
        (opting_out(), {"values": {"change": "opt_in"}}, UNNEEDED),
        (opting_out(), {"system": "crm"}, UNNEEDED),
        (replace(opting_out(), record=contact(1)), {}, UNNEEDED),
        (replace(opting_out(), record=None, names_record=False), {}, UNNEEDED),
        (own(member(2, (1,), Status.OUT), said={1: [out()]}), {}, UNNEEDED),
        (opting_out(), {"values": {}}, None),
        (opting_out(), {"point": None}, None),
        (opting_out(), {"point": 9}, None),
    ],
)
def test_a_refused_change_stands_while_it_would_be_made(
    found: Facts, details: dict[str, Any], expected: str | None
) -> None:
    usual: dict[str, Any] = {"point": 1, "values": {"change": "opt_out"}}

    assert why_over(matter("refused", **{**usual, **details}), found) == expected
    field = {**usual, **details, "field": "UNMAPPED"}
    assert why_over(matter("quarantined_field", **field), found) == expected


def test_a_change_that_is_blocked_is_looked_at_as_if_it_were_not() -> None:
    found = opting_out().around
    blocked = frozenset(i.fingerprint for i in decide([1], found, policy()).intents)
    assert blocked
    refusal = matter("refused", point=1, values={"change": "opt_out"})
    assert why_over(refusal, opting_out(blocked=blocked)) is None

    intent = {"point": 1, "values": {"change": "opt_in"}}
    shows = member(2, (1,), Status.UNKNOWN)
    said: dict[int, list[Statement]] = {1: [grant(system="crm")]}
    banned = around(contact(1, fields=SUBSCRIBED), shows, said=said, refused_for_good=frozenset({1}))

    assert why_over(matter("refused", **intent), about(shows, around=banned)) is None


ASKED = say(StatementKind.REQUEST, 60, system="mc", evidence={"collection": "list"})
REFUSED = refused(ASKED, fact="banned", at=before(50))


@pytest.mark.parametrize(
    ("seen", "said", "expected"),
    [
        ([contact(1)], [ASKED, REFUSED], None),
        ([contact(1)], [ASKED], UNNEEDED),
        ([contact(1)], [ASKED, REFUSED, out(30)], UNNEEDED),
        ([], [ASKED, REFUSED], UNNEEDED),
        ([contact(1), member(2)], [ASKED, REFUSED], UNNEEDED),
        ([contact(1), member(2, (1,), Status.PENDING)], [ASKED, REFUSED], UNNEEDED),
        ([contact(1), member(2, (1,), Status.OUT)], [ASKED, REFUSED], None),
        ([contact(1)], [], None),
    ],
)
def test_a_refused_request_stands_until_the_person_decides(
    seen: list[Seen], said: list[Statement], expected: str | None
) -> None:
    found = facts(around=around(*seen, said={1: said}), policy=policy(enter=Enter.REQUEST))

    assert why_over(matter("refused", point=1, values={"change": "request"}), found) == expected


def test_who_must_come_back_by_themself_is_kept_out_until_they_do() -> None:
    archived = member(2, (1,), Status.ARCHIVED, origin=Origin.PERSON)
    said = [out(90, system="mc", is_personal=True), grant(30, system="crm")]
    free = "nothing keeps the person out there any more"

    def over(*seen: Seen, point: int | None = 1) -> str | None:
        return why_over(matter("needs_confirmation", point=point), facts(around=around(*seen, said={1: said})))

    assert over(archived) is None
    assert over(archived, point=None) == free
    assert over(member(2)) == free
    assert over() == free


# opt-ins that were refused


@pytest.mark.parametrize(
    ("seen", "said", "days", "expected"),
    [
        (contact(1), [out()], 6.9, None),
        (contact(1), [out()], 7, "out again, and left so for 7 days"),
        (contact(1, fields={"IN": True}), [out()], 8, None),
        (contact(1, topics={"T_OFFERS": True}), [out()], 8, "out again, and left so for 7 days"),
        (contact(1), [out(90), grant(30)], 0, OPTED_IN),
        (contact(1), [], 0, OPTED_IN),
    ],
)
def test_a_refused_opt_in_is_over_by_a_grant_or_by_a_quiet_week(
    seen: Seen, said: list[Statement], days: float, expected: str | None
) -> None:
    asked = matter("refused_opt_in", point=1, field=SCOPE, last_at=NOW - timedelta(days=days))

    assert why_over(asked, own(seen, said={1: said})) == expected


@pytest.mark.parametrize(
    ("topics", "field", "expected"),
    [
        ({"T_OFFERS": True}, OFFERS, None),
        ({"T_OFFERS": False}, OFFERS, "out again, and left so for 7 days"),
        ({"T_OFFERS": True}, EVENTS, "out again, and left so for 7 days"),
    ],
)
def test_a_refused_topic_is_looked_at_by_itself(topics: dict[str, bool], field: str, expected: str | None) -> None:
    seen = contact(1, fields=SUBSCRIBED, topics=dict(topics))
    asked = matter("refused_opt_in", point=1, field=field, last_at=NOW - timedelta(days=8))

    assert why_over(asked, own(seen, said={1: [out(scope=OFFERS), out(scope=EVENTS)]})) == expected


def test_without_a_record_or_a_point_only_the_quiet_tells() -> None:
    late = {"field": SCOPE, "last_at": NOW - timedelta(days=8)}

    assert why_over(matter("refused_opt_in", **late), facts()) == "out again, and left so for 7 days"
    assert why_over(matter("refused_opt_in", point=9, **late), facts()) == "out again, and left so for 7 days"
    assert why_over(matter("refused_opt_in", field=SCOPE), facts()) is None


@pytest.mark.parametrize(
    ("said", "days", "expected"),
    [
        ([grant()], 0, OPTED_IN),
        ([out()], 0, None),
        ([out()], 7, "nothing was written back for 7 days"),
    ],
)
def test_a_fight_about_one_record_is_over_by_a_grant_too(
    said: list[Statement], days: int, expected: str | None
) -> None:
    fight = matter("fighting_writer", point=1, field=SCOPE, last_at=NOW - timedelta(days=days))

    assert why_over(fight, own(contact(1), said={1: said})) == expected
    whole = replace(own(contact(1), said={1: said}), names_record=False, record=None)
    assert why_over(fight, whole) == (None if days == 0 else expected)


def test_a_member_that_shows_in_is_no_quiet_end() -> None:
    there = replace(CRM, side=Side.ESP, opt_out=None, opt_in=None)
    asked = matter("refused_opt_in", point=1, field=SCOPE, last_at=NOW - timedelta(days=8))

    assert (
        why_over(asked, about(member(2), around=around(member(2), said={1: [out()]}), representations=(there,))) is None
    )
