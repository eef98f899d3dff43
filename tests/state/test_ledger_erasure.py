"""The ledger of people who were forgotten still proves itself, and tells nothing of them."""

from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
import sqlalchemy as sa

from optsync.clock import ManualClock
from optsync.state.events import Selection
from optsync.state.schema import contact_point, erasure, statement
from optsync.state.store import Store
from tests.state.ledgers import BEN, KEYS, LAST, fill, places, said, tamper, verify
from tests.state.rows import NOW, out


@pytest.fixture
def keys() -> Any:
    return lambda: KEYS


def erase(store: Store, key: int, *, without: str = "") -> None:
    """What forgetting somebody does to the ledger, or somebody who leaves a part of it out."""
    with store.transaction() as unit:
        if without == "statement":
            unit.ledger._blank(key)
        else:
            unit.ledger.forget(key, LAST)
    tamper(
        store,
        sa.update(contact_point)
        .where(contact_point.c.id == key)
        .values(email=None, salt=None, hash=b"h" * 32, forgotten_at=None if without == "time" else NOW),
        *([] if without == "note" else [sa.insert(erasure).values(point_id=key, at=NOW, actor="Eve", systems="[]")]),
    )


def test_a_forgotten_person_leaves_a_chain_that_still_verifies(store: Store) -> None:
    keys = fill(store)
    erase(store, keys[BEN])
    verdict = verify(store)
    assert (verdict.found, verdict.erased) == (0, 2)


def proofs(store: Store) -> dict[int, bytes | None]:
    with store.reading() as unit:
        return {event.id: event.proof for event in unit.events.read(Selection())}


def test_a_proof_is_whole_where_it_is_shown_and_stays_the_same_when_what_it_covers_is_erased(store: Store) -> None:
    keys = fill(store)
    before = proofs(store)
    assert {len(proof or b"") for proof in before.values()} == {32}

    erase(store, keys[BEN])
    after = proofs(store)
    assert {number: after[number] for number in before} == before
    with store._engine.connect() as connection:
        stored = connection.execute(sa.select(statement.c.id, statement.c.proof)).all()
    assert {number: bytes(proof) for number, proof in stored if number in (3, 4)} == {3: before[3], 4: before[4]}


def test_nothing_that_is_kept_of_a_forgotten_person_tells_how_their_proofs_were_salted(store: Store) -> None:
    keys = fill(store)
    erase(store, keys[BEN])
    with store._engine.connect() as connection:
        kept = connection.execute(
            sa.select(statement.c.id, statement.c.salt, contact_point.c.salt, statement.c.reason, statement.c.record)
            .join(contact_point, contact_point.c.id == statement.c.point_id)
            .where(statement.c.point_id == keys[BEN])
        ).all()
    assert [tuple(row[1:]) for row in kept if row[0] in (3, 4)] == [(None, None, None, None)] * 2
    (last,) = (row for row in kept if row[0] not in (3, 4))
    assert (len(last[1]), last[2]) == (16, None)


def test_somebody_who_cuts_the_proofs_of_a_forgotten_person_is_found(store: Store) -> None:
    keys = fill(store)
    erase(store, keys[BEN])
    tamper(store, sa.update(statement).where(statement.c.id == 3).values(proof=sa.func.substr(statement.c.proof, 1, 4)))
    assert (2, None) in places(verify(store))


@pytest.mark.parametrize("proof", [b"", b"p", None])
def test_less_than_what_is_kept_of_a_proof_is_found(store: Store, proof: bytes | None) -> None:
    fill(store)
    tamper(store, sa.update(statement).where(statement.c.id == 3).values(proof=proof))
    assert places(verify(store)) == {(2, 3)}


def test_what_is_said_about_a_forgotten_person_is_sealed(store: Store) -> None:
    keys = fill(store)
    erase(store, keys[BEN])
    with store.transaction() as unit:
        unit.ledger.append([(keys[BEN], out(5))], run="r")
    assert verify(store).found == 0


def say_while_forgotten(store: Store, url: str, clock: ManualClock, key: int, **parts: Any) -> None:
    """Somebody else says something about Ben in the moment in which he is forgotten."""
    other = Store(url, clock, keys=lambda: KEYS)
    with ThreadPoolExecutor(1) as another:
        with store.transaction() as unit:
            unit.ledger.forget(key, LAST)
            meanwhile = another.submit(said, other, BEN, 5, **parts)
            # It waits for the ledger's head, or for the database as a whole.
            assert wait([meanwhile], timeout=0.3).not_done
            unit.points.forget(BEN, at=NOW)
            unit.erasures.note(key, actor="Eve", systems=[])
        assert meanwhile.result() == key
    other.close()


def test_what_is_said_while_somebody_is_forgotten_is_sealed_all_the_same(
    store: Store, url: str, clock: ManualClock
) -> None:
    say_while_forgotten(store, url, clock, fill(store)[BEN])
    verdict = verify(store)
    assert (verdict.findings, verdict.erased) == ([], 2)
    assert verdict.head is not None
    assert verdict.head.statements == 7


def test_what_is_said_while_somebody_is_forgotten_keeps_nothing_that_tells_of_them(
    store: Store, url: str, clock: ManualClock
) -> None:
    keys = fill(store)
    say_while_forgotten(store, url, clock, keys[BEN], record=None)
    with store.reading() as unit:
        about = unit.ledger.about([keys[BEN]])[keys[BEN]]
    assert len(about) == 4
    assert {(s.reason, bool(s.evidence)) for s in about} == {(None, False), (LAST.reason, False)}


def test_what_stays_of_a_forgotten_persons_statements_is_still_proven(store: Store) -> None:
    keys = fill(store)
    erase(store, keys[BEN])
    tamper(store, sa.update(statement).where(statement.c.id == 3).values(kind="grant"))
    assert (2, None) in places(verify(store))


@pytest.mark.parametrize("without", ["time", "note", "statement"])
def test_erasing_without_forgetting_is_found(store: Store, without: str) -> None:
    keys = fill(store)
    erase(store, keys[BEN], without=without)
    assert {(2, 3), (2, 4)} <= places(verify(store))


def test_new_words_in_place_of_erased_ones_are_found(store: Store) -> None:
    keys = fill(store)
    erase(store, keys[BEN])
    tamper(store, sa.update(statement).where(statement.c.id == 4).values(reason="invented"))
    assert places(verify(store)) == {(2, 4)}
