"""What a vendor refuses is a fact, and one bad write stops only itself."""

import pytest

from optsync.connect.conformance.asking import ANN, BOB, DONE
from optsync.connect.conformance.desk import PERSONAL, Desk, people, person
from optsync.model.change import Fact, Result, Write, WriteKind

_FAILING = (Result.REFUSED, Result.INVALID, Result.FAILED)


def _gone(desk: Desk) -> Write:
    """A write to somebody who was deleted."""
    desk.needs_deletion()
    desk.seed(person("gone"))
    record = desk.record("gone@example.com")
    desk.delete("gone@example.com")
    return desk.named(record, "Anybody")


def _unknown_field(desk: Desk) -> Write:
    desk.seed(person("odd"))
    record = desk.record("odd@example.com")
    return desk.to(WriteKind.FIELDS, record, fields={desk.harness.missing: "x"})


_POISONS = {"a deleted record": _gone, "an unknown field": _unknown_field}


class RefusalChecks:
    """Facts, and writes that fail alone."""

    @pytest.mark.parametrize("fact", sorted(PERSONAL))
    def test_a_refused_opt_in_is_told_by_its_fact_and_changes_nothing(self, desk: Desk, fact: Fact) -> None:
        desk.needs(fact in desk.capabilities.refuses, "it declares no refusal for this fact")
        bring_about = desk.harness.refuses[fact]
        desk.seed(person("ann"), person("bob"))
        record = desk.record(ANN)
        bring_about(desk.harness, ANN)
        before = desk.status_of(ANN)
        wish = desk.create(ANN) if desk.view(ANN) is None else desk.into(record)
        outcomes = desk.write(wish, desk.named(desk.record(BOB), "Robert"))
        assert (outcomes[0].result, outcomes[0].fact) == (Result.REFUSED, fact)
        assert desk.status_of(ANN) == before
        assert outcomes[1].result is Result.APPLIED

    @pytest.mark.parametrize("kind", [WriteKind.FIELDS, WriteKind.TOPICS, WriteKind.STATUS])
    @pytest.mark.parametrize("is_alone", [True, False], ids=["alone", "among others"])
    def test_a_write_to_a_deleted_record_revives_nobody(self, desk: Desk, kind: WriteKind, is_alone: bool) -> None:
        if kind is WriteKind.TOPICS:
            desk.needs_topics()
        desk.needs_deletion()
        desk.seed(person("ann"), *people(2))
        records = desk.records()
        record = records.pop(ANN)
        desk.delete(ANN)
        write = {
            WriteKind.FIELDS: lambda: desk.named(record, "Other"),
            WriteKind.TOPICS: lambda: desk.ticked(record, news=True),
            WriteKind.STATUS: lambda: desk.into(record),
        }[kind]()
        outcomes = desk.write(write, *([] if is_alone else [desk.named(other, "Other") for other in records.values()]))
        assert outcomes[0].result is Result.REFUSED
        assert outcomes[0].fact in (Fact.GONE, Fact.FORGOTTEN)
        assert desk.view(ANN) is None
        assert all(outcome.result is Result.APPLIED for outcome in outcomes[1:])

    @pytest.mark.parametrize("poison", list(_POISONS))
    @pytest.mark.parametrize("place", range(4))
    def test_one_bad_write_in_any_place_stops_only_itself(self, desk: Desk, poison: str, place: int) -> None:
        desk.seed(*people(3))
        records = desk.records()
        good = [
            desk.named(records["p0@example.com"], "Zero"),
            desk.out(records["p1@example.com"]),
            desk.create("new@example.com"),
        ]
        bad = _POISONS[poison](desk)
        writes = [*good[:place], bad, *good[place:]]
        outcomes = desk.write(*writes)
        assert [outcome.key for outcome in outcomes] == [write.key for write in writes]
        assert outcomes.pop(place).result in _FAILING
        assert {outcome.result for outcome in outcomes} == {Result.APPLIED}
        assert desk.record("p0@example.com").fields[desk.name_field] == "Zero"
        assert desk.is_out("p1@example.com")
        assert desk.is_in("new@example.com")

    def test_an_unknown_field_among_known_ones_is_named(self, desk: Desk) -> None:
        desk.seed(person("ann"))
        fields = {desk.name_field: "Änne", desk.harness.missing: "x"}
        (outcome,) = desk.write(desk.to(WriteKind.FIELDS, desk.record(ANN), fields=fields))
        if outcome.result not in DONE:
            assert (outcome.result, outcome.field) == (Result.INVALID, desk.harness.missing)
            assert desk.record(ANN).fields[desk.name_field] == "Ann"
