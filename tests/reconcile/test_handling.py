"""When a standing turns at a record, and what is set then."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.record import Value
from optsync.model.scope import Kind, Purpose
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.consent import Wish
from optsync.reconcile.handling import Handled, Past, Turn, filled, intent, turns, unknown_placeholders
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Intent, Seen
from tests.reconcile.places import EVENTS, NOW, OFFERS, SCOPE, around, before, contact, grant, out, policy, say

OUT, GRANT = out(30, reason="too {many}"), grant(20)


def found(
    said: list[Statement],
    *,
    since: float = 60,
    handled: Handled | None = None,
    begun: Handled | None = None,
    first: float = 900,
) -> list[Turn]:
    seen: Seen = contact(1)
    past = Past(
        since={SCOPE: before(since)},
        first_seen={1: before(first)},
        handled={} if handled is None else {(1, SCOPE): handled},
        begun={} if begun is None else {(1, SCOPE): begun},
    )
    return list(turns(seen, around(seen, said={1: said}), policy(), past))


def wishes(turned: list[Turn]) -> list[Wish]:
    return [turn.wish for turn in turned]


def test_a_standing_turns_once_for_each_stretch() -> None:
    assert wishes(found([OUT])) == [Wish.OUT]
    assert found([OUT], handled=Handled(Wish.OUT, OUT.uid)) == []
    assert found([OUT, out(10)], handled=Handled(Wish.OUT, OUT.uid)) == []
    assert wishes(found([OUT, GRANT], handled=Handled(Wish.OUT, OUT.uid))) == [Wish.IN]
    assert wishes(found([OUT, GRANT, out(5)], handled=Handled(Wish.OUT, OUT.uid))) == [Wish.OUT]
    assert found([]) == []


def test_a_turn_whose_handling_is_under_way_goes_on_until_it_has_ended() -> None:
    begun = Handled(Wish.OUT, OUT.uid)
    [goes_on] = found([OUT, out(10)], begun=begun)
    assert (goes_on.said, goes_on.wish, goes_on.point) == (OUT, Wish.OUT, 1)
    assert [t.said for t in found([OUT, GRANT], begun=begun)] == [GRANT]
    assert [t.said for t in found([OUT, GRANT, out(5)], begun=begun)] == [out(5)]
    assert [t.said for t in found([out(10)], begun=begun)] == [out(10)]


def test_what_was_said_before_handling_began_or_the_record_was_seen_is_no_turn() -> None:
    assert found([OUT], since=-1) == []
    assert found([OUT], first=-1) == []


def test_texts_are_filled_with_what_was_said_and_nothing_else() -> None:
    values = filled({"AT": "{at}", "DAY": "{date}", "WHY": "{source}: {reason}", "STOP": True}, SCOPE, OUT)
    said = NOW - timedelta(minutes=30)
    assert values == {
        "AT": f"{said:%Y-%m-%dT%H:%M:%SZ}",
        "DAY": f"{said:%Y-%m-%d}",
        "WHY": "link: too {many}",
        "STOP": True,
    }
    assert unknown_placeholders("{at} {{x}} {who} {at.year} {date!r}") == ("who", "at.year", "date")
    with pytest.raises(ValueError, match="expected"):
        unknown_placeholders("{at")


def test_only_what_differs_is_set_and_a_second_try_spares_what_was_edited() -> None:
    [turn] = found([OUT])
    seen = contact(1, fields={"STOP": True, "STAGE": "edited", "DAY": None})
    wanted: dict[str, Value] = {"STOP": True, "STAGE": "left", "DAY": "today"}
    first = intent(seen, turn, wanted)
    again = intent(seen, turn, wanted, {"STAGE": "new", "DAY": None})
    assert first is not None
    assert again is not None
    assert (first.rule, dict(first.after)) == (Rule.HANDLED_OPT_OUT, {"STAGE": "left", "DAY": "today"})
    assert dict(again.after) == {"DAY": "today"}
    assert intent(seen, turn, {"STOP": True}) is None
    [back] = found([OUT, GRANT])
    assert intent(seen, back, {"STAGE": "x"}).rule is Rule.HANDLED_OPT_IN  # type: ignore[union-attr]


# whole, and at several addresses and scopes


def past(*, handled: Handled | None = None, scopes: tuple[str, ...] = (SCOPE,), since: float = 60) -> Past:
    return Past(
        since=dict.fromkeys(scopes, before(since)),
        first_seen={1: before(900)},
        handled={} if handled is None else {(1, SCOPE): handled},
    )


def turned(seen: Seen, said: dict[int, list[Statement]], known: Past, **how: Any) -> list[Turn]:
    return list(turns(seen, around(seen, said=said), policy(**how), known))


def test_a_turn_and_its_change_are_stated_whole() -> None:
    (turn,) = turned(contact(1, (5,)), {5: [OUT]}, past())
    assert turn == Turn(record=1, point=5, scope=SCOPE, wish=Wish.OUT, said=OUT)

    expected = Intent(
        kind=ChangeKind.FIELD,
        write=WriteKind.FIELDS,
        system="crm",
        collection="contact",
        record=1,
        point=5,
        rule=Rule.HANDLED_OPT_OUT,
        before={"STAGE": "new"},
        after={"STAGE": "left"},
        causes=(OUT.uid,),
        fields={"STAGE": "left"},
        address="p5@example.com",
    )
    seen = contact(1, (5,), fields={"STAGE": "new"})
    nameless = replace(seen, record=replace(seen.record, addresses=()))
    assert intent(seen, turn, {"STAGE": "left"}) == expected
    assert intent(nameless, turn, {"STAGE": "left"}) == replace(expected, address=None)


def test_a_second_try_sets_what_still_shows_what_it_did() -> None:
    (turn,) = turned(contact(1), {1: [OUT]}, past())
    seen = contact(1, fields={"STAGE": "new", "NOTE": None})

    again = intent(seen, turn, {"STAGE": "left", "NOTE": "n"}, {"STAGE": "new", "NOTE": "was"})
    assert again is not None
    assert dict(again.after) == {"STAGE": "left"}


@pytest.mark.parametrize("seen", [contact(1, ()), contact(1, is_gone=True)])
def test_nothing_turns_at_a_record_without_address_or_life(seen: Seen) -> None:
    assert turned(seen, {1: [OUT]}, past()) == []


def test_each_scope_turns_by_itself() -> None:
    found = turned(contact(1), {1: [out(30, scope=OFFERS)]}, past(scopes=(SCOPE, EVENTS, OFFERS)))

    assert [(t.scope, t.wish) for t in found] == [(OFFERS, Wish.OUT)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({1: [], 2: [OUT]}, [(2, Wish.OUT)]),
        ({1: [GRANT], 2: [OUT]}, [(2, Wish.OUT)]),
        ({1: [GRANT], 2: []}, [(1, Wish.IN)]),
        ({1: [], 2: [GRANT]}, []),
        ({1: [OUT], 2: [out(20)]}, [(1, Wish.OUT)]),
    ],
)
def test_a_record_is_out_by_any_address_and_in_by_its_first(
    said: dict[int, list[Statement]], expected: list[Any]
) -> None:
    assert [(t.point, t.wish) for t in turned(contact(1, (1, 2)), said, past())] == expected


@pytest.mark.parametrize(
    ("scope", "how", "expected"),
    [
        (OFFERS, {}, []),
        (OFFERS, {"basis": "legitimate_interest"}, [Wish.IN]),
        (f"{SCOPE}/unmapped", {}, [Wish.IN]),
        (f"{SCOPE}/unmapped", {"basis": "legitimate_interest"}, [Wish.IN]),
    ],
)
def test_a_mapped_topic_under_consent_turns_in_by_its_own_grant(
    scope: str, how: dict[str, Any], expected: list[Wish]
) -> None:
    assert wishes(turned(contact(1), {1: [GRANT]}, past(scopes=(scope,)), **how)) == expected


def test_a_handling_under_way_is_stated_whole_and_hides_no_other_scope() -> None:
    begun = replace(past(scopes=(SCOPE, "beta")), begun={(1, SCOPE): Handled(Wish.OUT, OUT.uid)})
    other = out(20, scope="beta")

    assert turned(contact(1, (5,)), {5: [OUT, out(10), other]}, begun) == [
        Turn(record=1, point=5, scope=SCOPE, wish=Wish.OUT, said=OUT),
        Turn(record=1, point=5, scope="beta", wish=Wish.OUT, said=other),
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([out(30, scope="*")], [("acme/beta", Wish.OUT)]),
        ([say(StatementKind.COMPLAINT, 30, scope="acme")], [("acme/beta", Wish.OUT)]),
        ([grant(40), out(30, scope="*")], [(SCOPE, Wish.IN), ("acme/beta", Wish.OUT)]),
        ([out(30)], [(SCOPE, Wish.OUT)]),
    ],
)
def test_a_no_to_more_than_a_list_of_transactional_mail_turns_other_scopes_only(
    said: list[Statement], expected: list[Any]
) -> None:
    service = Purpose(scope=SCOPE, kind=Kind.TRANSACTIONAL)
    found = turned(contact(1), {1: said}, past(scopes=(SCOPE, "acme/beta")), purpose=service)

    assert [(t.scope, t.wish) for t in found] == expected


def test_what_was_said_at_the_very_moment_when_handling_began_is_no_turn() -> None:
    said = out(60, seen_at=before(60))

    assert turned(contact(1), {1: [said]}, past()) == []
    assert wishes(turned(contact(1), {1: [out(60, seen_at=before(59.9))]}, past())) == [Wish.OUT]
    older = out(90, seen_at=before(61))
    assert turned(contact(1), {1: [older, out(30)]}, past()) == []
    assert wishes(turned(contact(1), {1: [older, grant(50, seen_at=before(50)), out(30)]}, past())) == [Wish.OUT]


@pytest.mark.parametrize(
    ("handled", "said", "expected"),
    [
        (Handled(Wish.IN, grant(50).uid), [grant(50)], []),
        (Handled(Wish.IN, grant(50).uid), [grant(50), grant(20)], []),
        (Handled(Wish.IN, grant(50).uid), [grant(50), out(40), grant(20)], [Wish.IN]),
        (Handled(Wish.OUT, out(50).uid), [out(50), grant(40), out(20)], [Wish.OUT]),
        (Handled(Wish.OUT, out(50).uid), [out(50), out(20)], []),
        (Handled(Wish.OUT, "erased"), [out(20)], []),
        (Handled(Wish.OUT, out(50).uid), [out(50), say(StatementKind.COMPLAINT, 45), grant(40)], [Wish.OUT]),
    ],
)
def test_more_of_the_same_is_no_new_turn_unless_it_had_ended(
    handled: Handled, said: list[Statement], expected: list[Wish]
) -> None:
    assert wishes(turned(contact(1), {1: said}, past(handled=handled))) == expected
    other = {1: said, 2: [grant(500, scope="beta")]}
    assert wishes(turned(contact(1, (1, 2)), other, past(handled=handled))) == expected
    last = {1: [], 2: said}
    if handled.wish is Wish.OUT:
        assert wishes(turned(contact(1, (1, 2)), last, past(handled=handled))) == expected


@pytest.mark.parametrize(("later", "expected"), [(45.1, Wish.OUT), (45, Wish.IN)])
def test_times_of_different_clocks_need_the_policys_tolerance_between_them(later: float, expected: Wish) -> None:
    said = [out(50, clock="mc"), grant(later, clock="crm")]

    assert wishes(turned(contact(1), {1: said}, past())) == [expected]


def test_a_text_names_its_scope() -> None:
    assert filled({"S": "{scope}"}, OFFERS, OUT) == {"S": OFFERS}
