"""Questions that are open, and tickets, on both databases."""

from datetime import timedelta

from optsync.state.store import Store
from optsync.state.unasked import Question, Ticket
from tests.state.rows import NOW

SINCE = NOW - timedelta(days=2)
LATER = NOW + timedelta(minutes=5)


def test_questions_are_open_by_source_until_they_are_closed(store: Store) -> None:
    with store.transaction() as unit:
        unit.unasked.note(1, {7: SINCE, 12: None}, at=NOW)
        unit.unasked.note(11, {7: None}, at=NOW)
        unit.unasked.note(2, {}, at=NOW)
    with store.transaction() as unit:
        assert sorted(unit.unasked.open(1, limit=9), key=lambda q: q.key) == [
            Question(7, SINCE, NOW),
            Question(12, None, NOW),
        ]
        assert unit.unasked.open(1, limit=1) == unit.unasked.open(1, limit=9)[:1]
        assert unit.unasked.among(1, [12, 13]) == [Question(12, None, NOW)]
        unit.unasked.close(1, [7, 99])
    with store.reading() as unit:
        assert unit.unasked.open(1, limit=9) == [Question(12, None, NOW)]
        assert unit.unasked.open(11, limit=9) == [Question(7, None, NOW)]
        assert unit.unasked.open(2, limit=9) == []


def test_a_question_that_is_put_again_reaches_back_as_far_as_it_did(store: Store) -> None:
    with store.transaction() as unit:
        unit.unasked.note(1, {7: SINCE, 8: None}, at=NOW)
        unit.unasked.note(1, {7: NOW, 8: NOW}, at=LATER)
        assert unit.unasked.among(1, [7, 8]) == [Question(7, SINCE, LATER), Question(8, None, LATER)]


def test_a_ticket_is_kept_by_source_with_its_time(store: Store) -> None:
    with store.transaction() as unit:
        assert unit.unasked.ticket(1) is None
        unit.unasked.set_ticket(1, Ticket("a1 b2", NOW))
        unit.unasked.set_ticket(11, Ticket("c3", NOW))
        assert unit.unasked.ticket(1) == Ticket("a1 b2", NOW)
        assert unit.unasked.open(1, limit=9) == []
        unit.unasked.set_ticket(1, Ticket("d4", LATER))
        assert unit.unasked.ticket(1) == Ticket("d4", LATER)
        unit.unasked.set_ticket(1, None)
        assert (unit.unasked.ticket(1), unit.unasked.ticket(11)) == (None, Ticket("c3", NOW))
