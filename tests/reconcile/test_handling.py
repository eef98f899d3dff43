"""When a standing turns at a record, and what is set then."""

from datetime import timedelta

import pytest

from optsync.model.record import Value
from optsync.model.statement import Statement
from optsync.reconcile.consent import Wish
from optsync.reconcile.handling import Handled, Past, Turn, filled, intent, turns, unknown_placeholders
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Seen
from tests.reconcile.places import NOW, SCOPE, around, before, contact, grant, out, policy

OUT, GRANT = out(30, reason="too {many}"), grant(20)


def found(
    said: list[Statement], *, since: float = 60, handled: Handled | None = None, first: float = 900
) -> list[Turn]:
    seen: Seen = contact(1)
    past = Past(
        since={SCOPE: before(since)},
        first_seen={1: before(first)},
        handled={} if handled is None else {(1, SCOPE): handled},
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
