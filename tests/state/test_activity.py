"""Signs of life, and who falls due for want of them."""

from dataclasses import replace
from datetime import timedelta

from optsync.model.link import Link
from optsync.model.statement import Source, Statement, StatementKind, state
from optsync.state.codec import decode_memory, encode_memory
from optsync.state.store import Store
from optsync.state.unit import Unit
from optsync.sync.agreements import Agreements
from tests.state.rows import NOW, member, stored

SCOPE = "acme/news"


def days(number: float) -> timedelta:
    return timedelta(days=number)


def test_the_last_sign_of_life_moves_forward_only(store: Store) -> None:
    with store.transaction() as unit:
        a, b, c = unit.points.require(["a@example.com", "b@example.com", "c@example.com"]).values()
        unit.points.note_active({a: NOW, b: NOW})
        unit.points.note_active({a: NOW - days(1), b: NOW + days(1)})
        unit.points.note_active({})
    with store.reading() as unit:
        assert unit.points.active([a, b, c]) == {a: NOW, b: NOW + days(1)}


def joined(unit: Unit, numbers: range) -> tuple[int, dict[int, int], list[int]]:
    """Members that are linked to one CRM record; source, the key of each member's point, members."""
    source, keys = stored(unit, [member(n, f"second{n}@example.com") for n in numbers])
    _, [crm] = stored(unit, [member(99)], collection="contacts")
    unit.links.save("letter", [Link(crm=crm, esp=key) for key in keys])
    points = unit.points.find([f"p{n}@example.com" for n in numbers])
    return source, {n: points[f"p{n}@example.com"] for n in numbers}, keys


def test_silent_members_fall_due_unless_they_are_out_or_known_or_strangers(store: Store) -> None:
    with store.transaction() as unit:
        source, points, keys = joined(unit, range(1, 7))
        unit.points.note_active({points[2]: NOW - days(1), points[3]: NOW - days(9)})
        unit.points.cache_standings({(points[4], SCOPE): "out"})
        (link,) = unit.links.of("letter", [keys[4]]).values()
        unit.links.save("letter", [replace(link, inactive=True)])
        unit.records.set_gone([keys[5]])
        stored(unit, [member(7)])
        unit.points.mark_idle("letter", source, SCOPE, before=NOW - days(5))
        unit.points.mark_idle("letter", source, SCOPE, before=NOW - days(5))
        unit.points.mark_idle("other", source, SCOPE, before=NOW - days(5))
    with store.reading() as unit:
        assert unit.points.waiting("letter") == sorted([points[1], points[3]])
        assert unit.points.waiting("other") == []


def soft(age: float, kind: StatementKind = StatementKind.SOFT_BOUNCE) -> Statement:
    return state(scope="*", kind=kind, at=NOW - days(age), clock="mc", seen_at=NOW, source=Source.BOUNCE)


def test_temporary_failures_that_grow_old_put_their_address_on_the_backlog(store: Store) -> None:
    with store.transaction() as unit:
        old, aging, young, hard = unit.points.require([f"{n}@example.com" for n in "abcd"]).values()
        said = [(old, soft(40)), (aging, soft(31)), (aging, soft(30.5)), (young, soft(29))]
        unit.ledger.append([*said, (hard, soft(31, StatementKind.HARD_BOUNCE))], run=None)
        unit.points.mark_recovered("letter", after=NOW - days(32), until=NOW - days(30))
    with store.reading() as unit:
        assert unit.points.waiting("letter") == [aging]


def test_a_link_remembers_that_its_member_was_inactive(store: Store) -> None:
    with store.transaction() as unit:
        _, [crm, esp] = stored(unit, [member(1), member(2)])
        link = Link(crm=crm, esp=esp)
        unit.links.save("letter", [link])
        agreements = Agreements(unit, "letter", [esp])
        agreements.set_inactive(esp, inactive=True, is_tag=True)
        agreements.save()
        assert unit.links.of("letter", [esp]) == {(crm, esp): replace(link, inactive=True, inactive_by_tag=True)}
        unit.links.set_left("letter", esp, left=True)
        agreements = Agreements(unit, "letter", [esp])
        agreements.set_inactive(esp, inactive=False, is_tag=False)
        agreements.save()
        assert unit.links.of("letter", [esp]) == {(crm, esp): replace(link, left=True)}


def test_a_tag_that_an_older_release_remembered_is_still_one() -> None:
    """Taken for an archive of our own, it would bring people back whom others have archived since."""
    link = Link(crm=1, esp=2)
    assert decode_memory(link, '{"left":true,"is_tag":true}') == replace(link, left=True, left_by_tag=True)
    kept = decode_memory(link, '{"inactive":true,"is_tag":true}')
    assert kept == replace(link, inactive=True, inactive_by_tag=True)
    assert decode_memory(link, encode_memory(kept)) == kept
