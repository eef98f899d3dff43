"""Observed records, their addresses, and how a reading is counted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optsync.model.change import ChangeKind, ChangeState
from optsync.model.record import Origin, Record, Status
from optsync.state.codec import decode_record, encode_record, fingerprint_of
from optsync.state.store import Store
from optsync.state.unsure import Unsure
from tests.state.rows import NOW, change, member, stored

FULL = member(
    1,
    "second@example.com",
    status=Status.OUT,
    origin=Origin.PERSON,
    reason="N/A",
    status_at=NOW,
    complained_at=NOW - timedelta(days=1),
    opted_in_at=NOW - timedelta(days=2),
    topics={"Offers": True, "Events": False, "News": None},
    fields={"FNAME": "Ada", "AGE": 36, "SCORE": 1.5, "VIP": True, "TAGS": ("a", "b"), "NONE": None},
    created_at=NOW - timedelta(days=9),
    modified_at=NOW,
    lists=frozenset({"letter", "other"}),
    word="unsubscribed",
    is_word_known=False,
    is_asked=True,
    rank=2,
)
texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=8)
values = st.one_of(st.none(), st.booleans(), st.integers(), texts, st.lists(texts, min_size=1).map(tuple))


@given(
    st.dictionaries(texts, values, max_size=4),
    st.dictionaries(texts, st.sampled_from([None, True, False]), max_size=3),
    st.sampled_from([None, *Status]),
)
def test_a_record_comes_back_as_it_was_and_its_fingerprint_leaves_the_stamp_out(
    fields: dict[str, Any], topics: dict[str, bool | None], status: Status | None
) -> None:
    record = replace(FULL, fields=fields, topics=topics, status=status)
    shape, data = encode_record(record)

    assert decode_record(record.id, shape, data) == record
    backwards = replace(record, fields=dict(reversed(fields.items())), modified_at=NOW - timedelta(days=1))
    assert encode_record(replace(backwards, modified_at=NOW)) == (shape, data)
    assert fingerprint_of(backwards) == fingerprint_of(record)
    assert fingerprint_of(replace(record, reason="another")) != fingerprint_of(record)


def test_the_stored_form_of_a_record_stays_what_it_is() -> None:
    """With another fingerprint every stored record would be news at the first read after an upgrade."""
    record = replace(FULL, complained_at=None, is_asked=False)
    shape, data = encode_record(record)

    assert shape == (
        '[["s","o","r","sa","oi","c","m","w","k","n"],["Events","News","Offers"],'
        '["AGE","FNAME","NONE","SCORE","TAGS","VIP"],["letter","other"]]'
    )
    assert data.hex() == (
        "dc001492ae7031406578616d706c652e636f6db27365636f6e64406578616d706c652e636f6da36f7574a6706572736f"
        "6ea34e2f41d7ff1d6f28006a1d7440d7ff1d6f28006a1ad140d7ff1d6f28006a1196c0d7ff1d6f28006a1d7440ac756e"
        "73756273637269626564c202c2c0c324a3416461c0cb3ff800000000000092a161a162c3"
    )
    assert fingerprint_of(record).hex() == "8af483aa61689b062118d6c919339644"


def test_a_stored_record_is_known_loaded_and_held_by_its_points(store: Store) -> None:
    with store.transaction() as unit:
        source, (key,) = stored(unit, [FULL])
        known = unit.records.known(source, ["m1", "m2"])
        (observed,) = unit.records.load([key])
        points = unit.points.find(FULL.addresses)

        assert set(known) == {"m1"}
        assert (known["m1"].key, known["m1"].fingerprint, known["m1"].is_plain) == (key, fingerprint_of(FULL), True)
        assert (observed.record, observed.system, observed.collection, observed.read_at) == (FULL, "mc", "list", NOW)
        assert observed.points == tuple(points[a] for a in FULL.addresses)
        assert unit.records.by_rid(source, ["m1"]) == {"m1": observed}
        assert unit.records.holding([points["second@example.com"]]) == {key}
        assert unit.records.holding([points["second@example.com"]], [source]) == {key}
        assert unit.records.holding([points["second@example.com"]], [source + 1]) == set()


def test_a_row_is_known_by_its_digest_until_something_else_is_stored(store: Store) -> None:
    with store.transaction() as unit:
        source = unit.sources.require("mc", "list").id
        key = unit.records.insert(source, [FULL], at=NOW, digests={"m1": b"first", "m2": b"of another"})["m1"]
        assert unit.records.known(source, ["m1"])["m1"].fingerprint == b"first"
        unit.records.replace([(key, FULL)], at=NOW, digests={"m1": b"second"})
        assert unit.records.known(source, ["m1"])["m1"].fingerprint == b"second"
        unit.records.replace([(key, FULL)], at=NOW)
        assert unit.records.known(source, ["m1"])["m1"].fingerprint == fingerprint_of(FULL)
        unit.records.note_digests({key: b"third"})
        assert unit.records.known(source, ["m1"])["m1"].fingerprint == b"third"
        assert [o.record for o in unit.records.load([key])] == [FULL]


def test_a_new_reading_replaces_the_record_and_ends_every_doubt(store: Store) -> None:
    unsure = Unsure(sent_at=NOW, status="in", topics={"Offers": True}, fields={"TAGS": ("a", "b"), "X": None})
    with store.transaction() as unit:
        source, (key,) = stored(unit, [member(1)])
        unit.records.set_unsure({key: unsure})
        unit.records.set_missing([key], since=NOW, is_gone=True)
        assert not unit.records.known(source, ["m1"])["m1"].is_plain
        assert unit.records.load([key])[0].unsure == unsure
        assert unit.records.unsure(source) == [key]

        later = NOW + timedelta(hours=1)
        unit.records.replace([(key, member(1, status=Status.OUT))], at=later)
        (found,) = unit.records.load([key])
        assert (found.record.status, found.read_at, found.unsure) == (Status.OUT, later, None)
        assert (found.is_gone, found.missing_since) == (False, None)
        assert unit.records.known(source, ["m1"])["m1"].is_plain


def test_the_answer_to_a_later_write_leaves_open_what_an_earlier_one_wrote(store: Store) -> None:
    flags = Unsure(sent_at=NOW, status=None, topics={}, fields={"OUT": False, "IN": True})
    proof = Unsure(
        sent_at=NOW + timedelta(minutes=1), status=None, topics={}, fields={"IN": False, "DATE": "2026-11-22"}
    )
    both = proof.after(flags)

    assert both.fields == {"OUT": False, "IN": False, "DATE": "2026-11-22"}
    assert both.without(proof) == replace(proof, fields={"OUT": False})
    assert both.without(both) is None
    assert proof.after(None) == proof
    with store.transaction() as unit:
        _, (one, two) = stored(unit, [member(1), member(2)])
        unit.records.set_unsure({one: both})

        assert unit.records.doubts([one, two]) == {one: both}


@pytest.mark.parametrize("doubt", ["unsure", "missing", "gone"])
def test_a_record_in_doubt_is_news_at_its_next_reading(store: Store, doubt: str) -> None:
    with store.transaction() as unit:
        source, (key,) = stored(unit, [member(1)])
        if doubt == "unsure":
            unit.records.set_unsure({key: Unsure(sent_at=NOW, status=None, topics={}, fields={})})
        else:
            unit.records.set_missing([key], since=NOW if doubt == "missing" else None, is_gone=doubt == "gone")
        assert not unit.records.known(source, ["m1"])["m1"].is_plain
        unit.records.clear_unsure([key])
        unit.records.set_missing([key], since=None, is_gone=False)
        assert unit.records.known(source, ["m1"])["m1"].is_plain


def test_addresses_are_replaced_in_order_and_repeated_ones_count_once(store: Store) -> None:
    with store.transaction() as unit:
        _, (key,) = stored(unit, [FULL])
        points = unit.points.require(["b@example.com", "a@example.com"])
        b, a = points["b@example.com"], points["a@example.com"]
        unit.records.set_points({key: [b, a, b]})

        assert unit.records.load([key])[0].points == (b, a)
        unit.records.set_points({key: []})
        assert unit.records.load([key])[0].points == ()


def test_more_records_than_fit_into_one_list_are_handled(store: Store) -> None:
    with store.transaction() as unit:
        source, keys = stored(unit, [member(n) for n in range(1203)])

        assert len(unit.records.known(source, [f"m{n}" for n in range(1203)])) == 1203
        assert [o.key for o in unit.records.load(reversed(keys))] == sorted(keys)
        walked: list[int] = []
        while part := unit.records.all_keys(source, after=walked[-1] if walked else 0):
            walked += part
        assert walked == sorted(keys)


def test_what_a_read_did_not_show_is_missing_until_it_is_gone(store: Store) -> None:
    with store.transaction() as unit:
        source, keys = stored(unit, [member(n) for n in range(5)])
        unit.records.set_missing([keys[4]], since=NOW, is_gone=True)
        unit.sources.note_shown(keys[:1], is_news=True)
        unit.sources.note_shown(keys[1:2], is_news=False)
        unit.sources.note_shown(keys[1:2], is_news=True)

        assert list(unit.sources.missing(source)) == keys[2:4]
        assert unit.sources.count_missing(source, before=None) == (4, 2)
        assert unit.sources.count_missing(source, before=NOW + timedelta(seconds=1)) == (4, 2)
        assert unit.sources.count_missing(source, before=NOW) == (0, 0)
        assert (unit.sources.shown(source, keys), unit.sources.count_known(source)) == ({keys[0], keys[1]}, 4)
        unit.sources.clear_scan(source)
        assert unit.sources.shown(source, keys) == set()


REASONS = [None, "out_of_scope", "no_consent"]
shown_records = st.lists(
    st.fixed_dictionaries(
        {
            "is_shown": st.booleans(),
            "is_news": st.booleans(),
            "reason": st.sampled_from(REASONS),
            "has_address": st.booleans(),
            "is_shared": st.booleans(),
            "change": st.sampled_from(["none", "record", "point", "earlier run", "other sync", "superseded"]),
        }
    ),
    max_size=8,
)


def test_every_record_that_was_read_has_exactly_one_outcome(store: Store) -> None:
    numbers = iter(range(10**6))

    @given(shown_records)
    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
    def count_once(rows: list[dict[str, Any]]) -> None:
        name = f"example {next(numbers)}"
        with store.transaction() as unit:
            records = [
                Record(
                    id=f"r{n}",
                    addresses=(
                        *((f"shared@{next(numbers)}.example",) if row["is_shared"] else ()),
                        f"{name[8:]}-{n}@x.test",
                    )
                    if row["has_address"]
                    else (),
                )
                for n, row in enumerate(rows)
            ]
            source, keys = stored(unit, records, collection=name)
            expected: dict[str, int] = {}
            for row, key, observed in zip(rows, keys, unit.records.load(keys), strict=True):
                outcome = _told(unit, name, row, key, observed.points, source)
                if outcome is not None:
                    expected[outcome] = expected.get(outcome, 0) + 1
            found = unit.records.outcomes(source, sync="letter", run=name)
        assert found == expected
        assert sum(found.values()) == sum(row["is_shown"] for row in rows)

    count_once()


def _told(unit: Any, run: str, row: dict[str, Any], key: int, points: tuple[int, ...], source: int) -> str | None:
    """Stores one row of the example; the outcome that it must have."""
    if row["reason"]:
        unit.records.set_skipped({key: row["reason"]})
    if row["is_shown"]:
        unit.sources.note_shown([key], is_news=row["is_news"])
    kind = row["change"]
    anywhere = unit.points.require(["somebody@else.example"])["somebody@else.example"]
    if kind != "none":
        parts = {"sync": "other"} if kind == "other sync" else {}
        is_about_point = kind == "point" and points
        new = change(
            None if is_about_point else key, points[0] if is_about_point else anywhere, ChangeKind.CREATE, **parts
        )
        unit.changes.plan("earlier" if kind == "earlier run" else run, [new])
        if kind == "superseded":
            last = unit.changes.of_run(run)[-1]
            unit.changes.set_state([last.id], ChangeState.SUPERSEDED)
    if not row["is_shown"]:
        return None
    if kind == "record" or (kind == "point" and (not points or row["is_news"])):
        return "changed"
    return "no_address" if not points else row["reason"] or "same"


def plans(store: Store, act: Any) -> str:
    """How SQLite looks for what ``act`` asks for."""
    asked: list[str] = []
    with store.reading() as unit:
        driver: Any = unit.records._connection.connection.driver_connection
        driver.set_trace_callback(asked.append)
        try:
            act(unit)
        finally:
            driver.set_trace_callback(None)
    with store._engine.connect() as connection:
        rows = [
            row[3]
            for text in asked
            if text.lstrip().startswith("SELECT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
        ]
    assert rows
    return "\n".join(rows)


def test_questions_that_every_cycle_asks_are_answered_from_indexes(store: Store) -> None:
    if not store.is_sqlite:
        return  # PostgreSQL reads small tables whole, whatever their indexes
    with store.transaction() as unit:
        source, keys = stored(unit, [member(n) for n in range(600)])
        points = sorted(unit.points.find([f"p{n}@example.com" for n in range(600)]).values())
        unit.changes.plan("r", [change(k, p) for k, p in zip(keys, points, strict=True)])
        unit.changes.release("r", "letter")
        unit.changes.set_state([c.id for c in unit.changes.of_run("r")][:590], ChangeState.APPLIED)
    questions = [
        lambda unit: unit.records.known(source, ["m1", "m2"]),
        lambda unit: list(unit.sources.missing(source)),
        lambda unit: unit.records.holding(points[:3], [source]),
        lambda unit: unit.records.unsure(source),
        lambda unit: unit.changes.ready("letter", ["mc"], limit=5),
        lambda unit: unit.changes.oldest_unsent_out("letter", harmless=["forgotten"]),
        lambda unit: unit.records.outcomes(source, sync="letter", run="another"),
        lambda unit: unit.ledger.about(points[:3]),
        lambda unit: unit.points.waiting("letter", limit=3),
        lambda unit: unit.issues.blocked("letter"),
        lambda unit: unit.issues.to_review("letter", before=NOW),
        lambda unit: unit.issues.any_open("invalid_address", "mc"),
        lambda unit: unit.issues.subjects_of_run("refused_opt_in", "r"),
        lambda unit: unit.issues.standing_at(points[:3]),
        lambda unit: unit.plans.held_at("letter", points[:3]),
    ]
    for question in questions:
        assert "SCAN" not in plans(store, question)
    assert (
        plans(store, questions[4]) == "SEARCH change USING INDEX ix_change_open (sync=? AND priority>? AND priority<?)"
    )
    made = plans(store, lambda unit: unit.changes.permissive(records=keys[:8], points=points[:8]))
    assert "SCAN" not in made
    assert "ix_change_point_id" in made
    links = plans(store, lambda unit: unit.links.of("letter", keys[:500]))
    assert "SEARCH link USING INDEX ix_link_esp_record (esp_record=?)" in links
