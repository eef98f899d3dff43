"""The ledger proves itself: whatever is edited, taken away, added or moved in it is found and named."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from optsync.clock import ManualClock
from optsync.state import seal
from optsync.state.codec import encode_evidence
from optsync.state.columns import Word, word
from optsync.state.schema import block, contact_point, evidence, meta, statement
from optsync.state.store import Store
from optsync.state.words import numbered
from tests.state.ledgers import ANN, BEN, CAT, KEYS, fill, places, said, tamper, verify
from tests.state.rows import NOW, out


@pytest.fixture
def keys() -> Any:
    return lambda: KEYS


def test_what_optsync_wrote_itself_is_fine(store: Store) -> None:
    fill(store)
    verdict = verify(store)

    assert (verdict.found, verdict.findings, verdict.erased, verdict.unsigned) == (0, [], 0, 0)
    assert verdict.signed_with == {0: 3}
    assert verdict.head is not None
    assert (verdict.head.block, verdict.head.statements) == (3, 5)
    with store.reading() as unit:
        assert unit.ledger.head() == verdict.head


def test_an_empty_ledger_is_fine(store: Store) -> None:
    verdict = verify(store)
    assert (verdict.found, verdict.head) == (0, None)


def test_what_is_there_already_makes_no_block(store: Store) -> None:
    said(store, ANN, 60)
    said(store, ANN, 60)
    said(store, ANN)
    assert verify(store).head is not None
    with store.reading() as unit:
        head = unit.ledger.head()
    assert head is not None
    assert (head.block, head.statements) == (1, 1)


def test_a_store_without_keys_seals_without_signing(url: str, clock: ManualClock) -> None:
    plain = Store(url, clock)
    plain.migrate()
    said(plain, ANN, 60)
    verdict = verify(plain, keys=())
    plain.close()
    assert (verdict.found, verdict.unsigned) == (0, 1)


def test_what_a_rehearsal_says_is_not_sealed_and_holds_nobody_up(store: Store) -> None:
    with store.rehearsal():
        said(store, ANN, 60)
    said(store, BEN, 60)
    verdict = verify(store)
    assert verdict.found == 0
    assert verdict.head is not None
    assert verdict.head.statements == 1


# edits

NEW_VALUES: dict[str, Any] = {
    "id": 77,
    "point_id": "another",
    "uid": "f" * 32,
    "scope": "acme/other",
    "kind": "grant",
    "at": NOW - timedelta(days=1),
    "clock": None,
    "seen_at": NOW + timedelta(days=1),
    "source": "admin",
    "strength": 3,
    "is_personal": True,
    "reason": "another",
    "system": "crm",
    "record": "m2",
    "target": "e" * 32,
    "run": "another",
    "salt": b"s" * 16,
    "proof": b"p" * 32,
    "block": 2,
}


def test_the_values_name_every_column() -> None:
    assert NEW_VALUES.keys() == {column.name for column in statement.c}


@pytest.mark.parametrize("column", NEW_VALUES)
def test_an_edit_of_any_column_of_a_statement_is_found_and_named(store: Store, column: str) -> None:
    keys = fill(store)
    value = keys[CAT] if column == "point_id" else NEW_VALUES[column]
    if isinstance(statement.c[column].type, Word):
        with store.transaction() as unit:
            numbered(unit._connection, [str(value)])
    tamper(store, sa.update(statement).where(statement.c.id == 1).values({column: value}))
    verdict = verify(store)

    assert verdict.found
    if column == "id":
        # Its evidence stays behind, with a statement that is not there.
        assert (1, 77) in places(verdict)
    elif column == "block":
        assert {(1, None), (2, None)} <= places(verdict)
    else:
        assert (1, 1) in places(verdict)
        assert {p for p in places(verdict) if p[1]} == {(1, 1)}


@pytest.mark.parametrize("value", [2, "yes", 1.5])
def test_a_value_of_another_type_is_found_too(store: Store, value: object) -> None:
    if not store.is_sqlite:
        pytest.skip("PostgreSQL takes no value of another type")
    fill(store)
    tamper(store, sa.text("UPDATE statement SET is_personal = :v WHERE id = 1").bindparams(v=value))
    assert (1, 1) in places(verify(store))


def test_a_moved_or_erased_block_membership_is_found(store: Store) -> None:
    fill(store)
    tamper(store, sa.update(statement).where(statement.c.id == 4).values(block=None))
    assert {(2, None), (None, 4)} <= places(verify(store))
    tamper(store, sa.update(statement).where(statement.c.id == 4).values(block=9))
    assert {(2, None), (None, 4)} <= places(verify(store))


def test_of_many_blocks_each_has_its_statements_and_one_that_was_moved_far_is_found(store: Store) -> None:
    with store.transaction() as unit:
        key = unit.points.require([ANN])[ANN]
        for n in range(205):
            unit.ledger.append([(key, out(n + 1))], run=None)
    verdict = verify(store)
    assert verdict.found == 0
    assert verdict.head is not None
    assert (verdict.head.block, verdict.head.statements) == (205, 205)

    tamper(store, sa.update(statement).where(statement.c.id == 3).values(block=203))
    assert {number for number, _ in places(verify(store))} == {3, 203}


@pytest.mark.parametrize(
    "order",
    [
        sa.update(evidence).where(evidence.c.statement_id == 3).values(data=encode_evidence({"ip": "192.0.2.2"})[1]),
        sa.update(evidence).where(evidence.c.statement_id == 3).values(shape=None, data=b'{"ip": "192.0.2.1"}'),
        sa.update(evidence).where(evidence.c.statement_id == 3).values(data=b"\xc1"),
        sa.update(evidence).where(evidence.c.statement_id == 3).values(data=b"\x90"),
        sa.update(word).where(word.c.text == '["ip"]').values(text='["url"]'),
        sa.update(evidence).where(evidence.c.statement_id == 3).values(statement_id=5),
        sa.delete(evidence).where(evidence.c.statement_id == 3),
    ],
    ids=["other words", "another spelling", "no values", "too few values", "other names", "moved", "deleted"],
)
def test_any_change_of_evidence_is_found(store: Store, order: sa.Executable) -> None:
    fill(store)
    tamper(store, order)
    assert (2, 3) in places(verify(store))


def test_evidence_that_was_added_is_found(store: Store) -> None:
    fill(store)
    shape, data = encode_evidence({"ip": "192.0.2.1"})
    tamper(store, sa.insert(evidence).values(statement_id=5, shape=shape, data=data))
    assert {p for p in places(verify(store)) if p[1]} == {(3, 5)}


@pytest.mark.parametrize(
    ("column", "value"),
    [("at", NOW - timedelta(days=1)), ("count", 7), ("previous", b"x" * 32), ("hash", b"x" * 32), ("mac", b"x" * 32)],
)
def test_an_edit_of_any_column_of_a_block_is_found(store: Store, column: str, value: object) -> None:
    fill(store)
    tamper(store, sa.update(block).where(block.c.id == 2).values({column: value}))
    assert (2, None) in places(verify(store))


def test_the_number_of_a_block_cannot_be_changed(store: Store) -> None:
    fill(store)
    tamper(
        store,
        sa.update(block).where(block.c.id == 3).values(id=8),
        sa.update(statement).where(statement.c.block == 3).values(block=8),
    )
    assert (8, None) in places(verify(store))


def test_a_signature_that_is_taken_away_is_found(store: Store) -> None:
    fill(store)
    tamper(store, sa.update(block).where(block.c.id == 3).values(mac=None))
    verdict = verify(store)
    assert (verdict.unsigned, places(verdict)) == (1, {(3, None)})


@pytest.mark.parametrize(
    "values",
    [
        {"email": "eve@example.com"},
        {"email": None},
        {"seal": b"x" * 32},
        {"seal": None},
        {"salt": b"x" * 16},
        {"salt": None},
        {"email": None, "salt": None},
    ],
    ids=str,
)
def test_statements_cannot_be_given_to_another_address(store: Store, values: dict[str, Any]) -> None:
    keys = fill(store)
    tamper(store, sa.update(contact_point).where(contact_point.c.id == keys[BEN]).values(values))
    verdict = verify(store)
    assert (2, 3) in places(verdict)
    assert not any(number == 1 for number, _ in places(verdict))


@pytest.mark.parametrize("value", ["", "nonsense", "2 00 4"])
def test_whatever_became_of_the_noted_head_nothing_that_is_said_is_refused(store: Store, value: str) -> None:
    fill(store)
    tamper(store, sa.update(meta).where(meta.c.key == "ledger").values(value=value))
    assert verify(store).found
    key = said(store, BEN, 10)
    with store.reading() as unit:
        assert len(unit.ledger.about([key])[key]) == 3


# deletions, insertions, order


def test_a_deleted_statement_is_found(store: Store) -> None:
    fill(store)
    tamper(
        store, sa.delete(evidence).where(evidence.c.statement_id == 3), sa.delete(statement).where(statement.c.id == 3)
    )
    verdict = verify(store)
    assert (2, None) in places(verdict)
    assert any("2 statements were sealed and 1 are there" in f.message for f in verdict.findings)


def test_a_deleted_block_is_found(store: Store) -> None:
    fill(store)
    tamper(
        store,
        sa.delete(evidence).where(evidence.c.statement_id.in_((3, 4))),
        sa.delete(statement).where(statement.c.block == 2),
        sa.delete(block).where(block.c.id == 2),
    )
    assert any(f.block == 3 and "block 2 is missing" in f.message for f in verify(store).findings)


def cut_off(store: Store, *, is_noted: bool) -> None:
    """The newest block goes, and with ``is_noted`` the noted head is put back, too."""
    orders: list[sa.Executable] = [
        sa.delete(statement).where(statement.c.block == 3),
        sa.delete(block).where(block.c.id == 3),
    ]
    if is_noted:
        with store._engine.connect() as connection:
            second = connection.execute(sa.select(block.c.hash).where(block.c.id == 2)).scalar_one()
        orders.append(sa.update(meta).where(meta.c.key == "ledger").values(value=f"2 {second.hex()} 4"))
    tamper(store, *orders)


def test_the_end_cannot_be_cut_off(store: Store) -> None:
    fill(store)
    cut_off(store, is_noted=False)
    assert any("noted was block 3 with 5 statements" in f.message for f in verify(store).findings)
    # What is said now goes on behind the gap, which stays.
    said(store, BEN, 10)
    assert any("block 3 is missing" in f.message for f in verify(store).findings)


def test_an_end_that_was_cut_off_with_care_is_found_by_the_runs_that_noted_it(store: Store) -> None:
    fill(store)
    with store.transaction() as unit:
        head = unit.ledger.head()
        assert head is not None
        unit.runs.begin("run1", ["letter"])
        unit.runs.end("run1", "done", {"ledger_head": head.to_json()})
    assert verify(store).found == 0
    cut_off(store, is_noted=True)
    assert [str(f) for f in verify(store).findings] == ["block 3: it is not there, and run run1 noted it"]
    said(store, BEN, 10)
    assert [str(f) for f in verify(store).findings] == ["block 3: its hash is not the one that run run1 noted"]


def test_an_end_that_was_cut_off_with_care_is_found_by_a_head_that_was_written_down(store: Store) -> None:
    fill(store)
    head = verify(store).head
    assert head is not None
    said(store, ANN, 5)
    assert verify(store, head=head.hash.hex()).found == 0
    assert verify(store, head=head.hash.hex()[:16]).found == 0
    assert verify(store, head="00" * 32).found == 1


def test_a_statement_that_was_written_past_optsync_is_found(store: Store) -> None:
    fill(store)
    copied = sa.select(
        *[c for c in statement.c if c.name not in {"id", "uid"}], sa.literal("d" * 32, statement.c.uid.type)
    ).where(statement.c.id == 1)
    names = [c.name for c in statement.c if c.name not in {"id", "uid"}]
    tamper(store, sa.insert(statement).from_select([*names, "uid"], copied))
    assert any(f.block == 1 and "2 statements were sealed and 3 are there" in f.message for f in verify(store).findings)


def test_statements_that_changed_places_are_found(store: Store) -> None:
    fill(store)
    swap = [(1, 1001), (3, 1), (1001, 3)]
    tamper(
        store,
        *(
            sa.update(table).where(column == a).values({column.name: b})
            for a, b in swap
            for table, column in ((statement, statement.c.id), (evidence, evidence.c.statement_id))
        ),
    )
    assert {(1, None), (2, None)} <= places(verify(store))


def test_whoever_computes_the_chain_anew_without_the_key_is_found(store: Store) -> None:
    fill(store)
    with store._engine.connect() as connection:
        digest = connection.execute(sa.select(block.c.hash).where(block.c.id == 3)).scalar_one()
    forged = seal.sign(b"a key of my own", digest)
    tamper(store, sa.update(block).where(block.c.id == 3).values(mac=forged))
    assert [str(f) for f in verify(store).findings] == [
        "block 3: signed with a key that is not configured, or by somebody who has none"
    ]


# keys


def test_a_replaced_key_still_verifies_while_it_is_listed(store: Store, url: str, clock: ManualClock) -> None:
    fill(store)
    rotated = Store(url, clock, keys=lambda: (b"a new key of the tests", *KEYS))
    said(rotated, ANN, 5)
    verdict = verify(rotated, keys=(b"a new key of the tests", *KEYS))
    rotated.close()
    assert (verdict.found, verdict.signed_with) == (0, {1: 3, 0: 1})
    assert verify(store, keys=(b"a new key of the tests",)).found == 3
