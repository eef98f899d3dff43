"""Questions that are open, and tickets, on both databases."""

from datetime import timedelta

import pytest

from optsync.state.store import Store
from optsync.state.unasked import Question, Ticket
from tests.state.rows import NOW, member, stored

SINCE = NOW - timedelta(days=2)
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def known(store: Store) -> list[tuple[int, list[int]]]:
    """Three sources with the keys of two records each."""
    with store.transaction() as unit:
        members = [member(1), member(2)]
        return [stored(unit, members, collection=name) for name in ("list", "other list", "third list")]


def test_questions_are_open_by_source_until_they_are_closed(store: Store, known: list[tuple[int, list[int]]]) -> None:
    (first, (ann, ben)), (second, (cid, _)), (third, _) = known
    with store.transaction() as unit:
        unit.unasked.note(first, {ben: None, ann: SINCE}, at=NOW)
        unit.unasked.note(second, {cid: None}, at=NOW)
        unit.unasked.note(third, {}, at=NOW)
    with store.transaction() as unit:
        assert unit.unasked.open(first, limit=9) == [Question(ann, SINCE, NOW), Question(ben, None, NOW)]
        assert unit.unasked.open(first, limit=1) == [Question(ann, SINCE, NOW)]
        assert unit.unasked.among(first, [ben, cid, 99]) == [Question(ben, None, NOW)]
        unit.unasked.close(first, [ann, cid, 99])
    with store.reading() as unit:
        assert unit.unasked.open(first, limit=9) == [Question(ben, None, NOW)]
        assert unit.unasked.open(second, limit=9) == [Question(cid, None, NOW)]
        assert unit.unasked.open(third, limit=9) == []


def test_a_question_that_is_put_again_reaches_back_as_far_as_it_did(
    store: Store, known: list[tuple[int, list[int]]]
) -> None:
    source, (ann, ben) = known[0]
    with store.transaction() as unit:
        unit.unasked.note(source, {ann: SINCE, ben: None}, at=NOW)
        unit.unasked.note(source, {ann: NOW, ben: NOW}, at=LATER)
        assert unit.unasked.among(source, [ann, ben]) == [Question(ann, SINCE, LATER), Question(ben, None, LATER)]


def test_a_ticket_is_kept_by_source_with_its_time(store: Store, known: list[tuple[int, list[int]]]) -> None:
    first, second = known[0][0], known[1][0]
    with store.transaction() as unit:
        assert unit.unasked.ticket(first) is None
        unit.unasked.set_ticket(first, Ticket("a1 b2", NOW))
        unit.unasked.set_ticket(second, Ticket("c3", NOW))
        assert unit.unasked.ticket(first) == Ticket("a1 b2", NOW)
        assert unit.unasked.open(first, limit=9) == []
        unit.unasked.set_ticket(first, Ticket("d4", LATER))
        assert unit.unasked.ticket(first) == Ticket("d4", LATER)
        unit.unasked.set_ticket(first, None)
        assert (unit.unasked.ticket(first), unit.unasked.ticket(second)) == (None, Ticket("c3", NOW))


def test_a_read_leaves_the_ticket_of_its_source_alone(store: Store, known: list[tuple[int, list[int]]]) -> None:
    source = known[0][0]
    with store.transaction() as unit:
        unit.unasked.set_ticket(source, Ticket("a1", NOW))
        begun = unit.sources.require("mc", "list")
        unit.sources.begin_read(begun)
        unit.sources.finish_read(source, cursor="c", saved=None, at=LATER, full_at=LATER)
        assert unit.unasked.ticket(source) == Ticket("a1", NOW)
