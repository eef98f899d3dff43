"""The outbox: what is sent together, in which order, and how many at once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from optsync.clock import ManualClock
from optsync.connect.contract import Capabilities
from optsync.model.change import ChangeKind, ChangeState
from optsync.model.record import Side
from optsync.state.store import Store
from optsync.state.unit import Unit
from optsync.sync.outbox import Outbox
from tests.state.rows import NOW, change, member, stored

ABLE = Capabilities(sides=frozenset({Side.ESP}), read_page=10, write_batch=2, reread_batch=100, write_shows_state=True)


@pytest.fixture
def unit() -> Iterator[Unit]:
    store = Store("sqlite://", ManualClock(NOW))
    store.migrate()
    with store.transaction() as opened:
        yield opened
    store.close()


def release(unit: Unit, *kinds: tuple[ChangeKind, int], **parts: Any) -> None:
    _, keys = stored(unit, [member(n) for n in range(len(kinds))])
    (point,) = unit.points.find(["p0@example.com"]).values()
    planned = [change(key, point, kind, priority=p, **parts) for key, (kind, p) in zip(keys, kinds, strict=True)]
    unit.changes.plan("r", planned)
    unit.changes.release("r", "letter")


def sent(unit: Unit, outbox: Outbox) -> list[list[str]]:
    """Everything that is left, batch by batch."""
    batches = []
    while not outbox.is_over and (batch := outbox.next_batch(unit)):
        unit.changes.set_state([c.id for c in batch], ChangeState.APPLIED)
        batches.append([c.kind.value for c in batch])
    return batches


def test_one_call_writes_one_kind_and_no_more_than_it_can_take(unit: Unit) -> None:
    release(unit, *[(ChangeKind.FIELD, 7)] * 3, *[(ChangeKind.OPT_OUT, 0)] * 3)
    outbox = Outbox("letter", {"mc"}, lambda _: ABLE)

    assert sent(unit, outbox) == [["opt_out"] * 2, ["opt_out"], ["field"] * 2, ["field"]]
    assert (outbox.total, outbox.is_over) == (6, True)


def test_what_is_known_to_be_ready_is_not_counted(unit: Unit) -> None:
    release(unit, *[(ChangeKind.FIELD, 7)] * 3)
    outbox = Outbox("letter", {"mc"}, lambda _: ABLE, total=5)

    assert sent(unit, outbox) == [["field"] * 2, ["field"]]
    assert outbox.total == 5


def test_of_what_needs_another_look_a_few_calls_worth_goes_together(unit: Unit) -> None:
    release(unit, *[(ChangeKind.OPT_IN, 4)] * 12)

    assert [len(batch) for batch in sent(unit, Outbox("letter", {"mc"}, lambda _: ABLE))] == [10, 2]


@pytest.mark.parametrize(("write", "sizes"), [("archive", [25, 5]), ("tag", [30])])
def test_few_are_archived_after_one_look_and_tags_need_none(unit: Unit, write: str, sizes: list[int]) -> None:
    release(unit, *[(ChangeKind.ARCHIVE, 9)] * 30, write={"kind": write})
    able = replace(ABLE, write_batch=500)

    assert [len(batch) for batch in sent(unit, Outbox("letter", {"mc"}, lambda _: able))] == sizes


def test_archives_and_tags_go_apart(unit: Unit) -> None:
    _, keys = stored(unit, [member(n) for n in range(5)])
    (point,) = unit.points.find(["p0@example.com"]).values()
    ways = zip(keys, ("tag", "archive", "tag", "archive", "archive"), strict=True)
    unit.changes.plan("r", [change(key, point, ChangeKind.ARCHIVE, write={"kind": way}) for key, way in ways])
    unit.changes.release("r", "letter")
    outbox, batches = Outbox("letter", {"mc"}, lambda _: replace(ABLE, write_batch=500)), []
    while batch := outbox.next_batch(unit):
        batches.append([(c.record_id, c.write["kind"]) for c in batch])

    tagged, archived = (keys[0], keys[2]), (keys[1], keys[3], keys[4])
    assert batches == [[(key, "tag") for key in tagged], [(key, "archive") for key in archived]]


def test_what_is_put_back_goes_before_what_is_left(unit: Unit) -> None:
    release(unit, (ChangeKind.OPT_OUT, 0), (ChangeKind.FIELD, 7))
    outbox = Outbox("letter", {"mc"}, lambda _: ABLE)
    (first,) = outbox.next_batch(unit)
    unit.changes.send_again(first, write=first.write, after=first.after)
    outbox.renew()

    assert sent(unit, outbox) == [["opt_out"], ["field"]]


def test_what_others_ended_and_what_is_out_of_reach_is_not_sent(unit: Unit) -> None:
    release(unit, (ChangeKind.OPT_OUT, 0), (ChangeKind.TOPIC, 1), (ChangeKind.FIELD, 7))
    available = {"mc"}
    outbox = Outbox("letter", available, lambda _: ABLE)
    outbox.next_batch(unit)
    topic = next(c for c in unit.changes.of_run("r") if c.kind is ChangeKind.TOPIC)
    unit.changes.set_state([topic.id], ChangeState.SUPERSEDED)
    assert [c.kind for c in outbox.next_batch(unit)] == [ChangeKind.FIELD]

    outbox.renew()
    available.clear()
    assert outbox.next_batch(unit) == ()


def test_where_updates_are_joined_what_permits_something_to_one_record_goes_together(unit: Unit) -> None:
    _, (ann, bob) = stored(unit, [member(0), member(1)])
    (point,) = unit.points.find(["p0@example.com"]).values()
    permits = [(ChangeKind.TOPIC, 3), (ChangeKind.OPT_IN, 4), (ChangeKind.GRANT, 6)]
    others = [(ChangeKind.OPT_OUT, 0), (ChangeKind.FIELD, 7)]
    planned = [change(ann, point, kind, priority=p, write=_write(kind)) for kind, p in (*permits, *others)]
    planned += [change(bob, point, kind, priority=p, write=_write(kind)) for kind, p in permits[1:]]
    unit.changes.plan("r", planned)
    unit.changes.release("r", "letter")

    assert sent(unit, Outbox("letter", {"mc"}, lambda _: replace(ABLE, joins_updates=True))) == [
        ["opt_out"],
        ["topic", "opt_in", "grant"],
        ["opt_in", "grant"],
        ["field"],
    ]


def test_what_was_taken_along_leaves_its_place_in_a_later_batch_to_others(unit: Unit) -> None:
    _, keys = stored(unit, [member(n) for n in range(12)])
    (point,) = unit.points.find(["p0@example.com"]).values()
    planned = [change(key, point, ChangeKind.TOPIC, priority=3, write=_write(ChangeKind.TOPIC)) for key in keys[:4]]
    planned += [change(key, point, ChangeKind.OPT_IN, priority=4, write=_write(ChangeKind.OPT_IN)) for key in keys]
    unit.changes.plan("r", planned)
    unit.changes.release("r", "letter")
    batches = sent(unit, Outbox("letter", {"mc"}, lambda _: replace(ABLE, joins_updates=True)))

    assert [Counter(batch) for batch in batches] == [{"topic": 4, "opt_in": 4}, {"opt_in": 8}]


def _write(kind: ChangeKind) -> dict[str, Any]:
    return {"kind": "fields", "fields": {str(kind): True}, "is_restrictive": kind is ChangeKind.OPT_OUT}
