"""Fields and topics, which never carry a status."""

from dataclasses import replace

import pytest

from optsync.connect.conformance import hostile
from optsync.connect.conformance.asking import ANN, BOB, DONE, confirmed
from optsync.connect.conformance.desk import OTHER_TOPIC, TOPIC, Desk, person
from optsync.connect.contract import Absence
from optsync.model.change import Result, Write
from optsync.model.contact_point import normalise
from optsync.model.record import Record, Status


def _name(record: Record, desk: Desk) -> str:
    return str(record.fields[desk.name_field] or "").strip()


def _everybody(desk: Desk) -> list[str]:
    """Somebody of each status, or of each pair of flags; their addresses."""
    if desk.is_esp:
        seeded = [person(str(status), status=status) for status in sorted(desk.harness.statuses)]
    else:
        flags = [(False, False), (True, False), (False, True), (True, True)]
        seeded = [person(f"flags{n}", opt_out=out, opt_in=into) for n, (out, into) in enumerate(flags)]
    desk.seed(*seeded)
    return [one.addresses[0] for one in seeded]


class FieldChecks:
    """Values go there and come back."""

    def test_a_field_is_written_seen_and_nothing_else_changes(self, desk: Desk) -> None:
        desk.seed(person("ann", city="Bonn"), person("bob"))
        before = desk.record(ANN)
        (outcome,) = desk.write(desk.named(before, "Änne"))
        after = desk.record(ANN)
        assert outcome.result is Result.APPLIED
        assert after.fields == {**before.fields, desk.name_field: "Änne"}
        assert (after.topics, after.status, after.addresses) == (before.topics, before.status, before.addresses)
        assert desk.record(BOB).fields[desk.name_field] == "Bob"
        confirmed(desk, outcome)

    def test_no_value_clears_a_field(self, desk: Desk) -> None:
        desk.seed(person("ann"))
        (declared,) = (field for field in desk.describe().fields if field.name == desk.name_field)
        (outcome,) = desk.write(desk.named(desk.record(ANN), None))
        if not declared.is_clearable:
            assert (outcome.result, outcome.field) == (Result.INVALID, desk.name_field)
            assert desk.record(ANN).fields[desk.name_field] == "Ann"
            return
        assert outcome.result is Result.APPLIED
        assert desk.record(ANN).fields[desk.name_field] is None
        confirmed(desk, outcome)

    def test_topics_are_ticked_and_unticked_one_by_one(self, desk: Desk) -> None:
        desk.needs_topics()
        ticks = {TOPIC: True, OTHER_TOPIC: True}
        desk.seed(person("ann", crm_topics=ticks, esp_topics=ticks), person("bob"))
        before = desk.records()
        outcomes = desk.write(
            desk.ticked(before[ANN], **{TOPIC: False}), desk.ticked(before[BOB], **{OTHER_TOPIC: True})
        )
        assert [outcome.result for outcome in outcomes] == [Result.APPLIED] * 2
        after = desk.records()
        assert after[ANN].topics == {**before[ANN].topics, desk.topics[TOPIC]: False}
        assert after[BOB].topics == {**before[BOB].topics, desk.topics[OTHER_TOPIC]: True}
        assert (after[ANN].fields, after[ANN].status) == (before[ANN].fields, before[ANN].status)
        for outcome in outcomes:
            confirmed(desk, outcome)

    def test_a_wish_and_a_field_of_one_record_in_one_call_are_each_done_and_told(self, desk: Desk) -> None:
        desk.needs(desk.capabilities.absence is not Absence.LEFT, "it declares that whoever is out is not there")
        desk.seed(person("ann"), person("bob"))
        desk.act("admin_unsubscribe" if desk.is_esp else "opt_out", ANN)
        record = desk.record(ANN)
        wish, name = desk.into(record), desk.named(record, "Änne")
        outcomes = desk.write(wish, name)
        assert [(o.key, o.result in DONE) for o in outcomes] == [(wish.key, True), (name.key, True)]
        assert desk.is_in(ANN)
        assert desk.record(ANN).fields[desk.name_field] == "Änne"

    @pytest.mark.parametrize("is_one_call", [True, False], ids=["together", "one by one"])
    def test_fields_and_topics_never_change_a_status(self, desk: Desk, is_one_call: bool) -> None:
        addresses = _everybody(desk)
        before = {who: desk.status_of(who) for who in addresses}
        records = desk.records()
        writes: list[Write] = [desk.named(records[who], "Other") for who in addresses]
        if desk.topics:
            writes += [desk.ticked(records[who], **{TOPIC: True, OTHER_TOPIC: False}) for who in addresses]
        for batch in [writes] if is_one_call else [[write] for write in writes]:
            desk.write(*batch)
        assert {who: desk.status_of(who) for who in addresses} == before

    @pytest.mark.parametrize("is_one_call", [True, False], ids=["together", "one by one"])
    def test_a_status_that_rides_on_fields_or_topics_is_not_carried(self, desk: Desk, is_one_call: bool) -> None:
        desk.needs(desk.is_esp, "it plays a CRM, where flags are fields")
        desk.seed(person("ann"), person("bob"), person("cleo"))
        records = desk.records()
        desk.leave(ANN)
        desk.leave(BOB)
        writes = [replace(desk.named(records[who], "Other"), status=Status.IN) for who in (ANN, BOB)]
        if desk.topics:
            writes[0] = replace(desk.ticked(records[ANN], **{TOPIC: True}), status=Status.IN)
        for batch in [writes] if is_one_call else [[write] for write in writes]:
            desk.write(*batch)
        assert (desk.is_out(ANN), desk.is_out(BOB)) == (True, True)

    @pytest.mark.parametrize("is_one_call", [True, False], ids=["together", "one by one"])
    def test_a_field_of_somebody_who_left_meanwhile_brings_nobody_back(self, desk: Desk, is_one_call: bool) -> None:
        desk.seed(person("ann"), person("bob"))
        records = desk.records()
        desk.leave(ANN)
        writes = [desk.named(records[ANN], "Other"), desk.named(records[BOB], "Other")]
        for batch in [writes] if is_one_call else [[write] for write in writes]:
            desk.write(*batch)
        assert desk.is_out(ANN)

    @pytest.mark.parametrize("name", hostile.NAMES)
    def test_a_hostile_text_arrives_or_is_refused_as_a_value(self, desk: Desk, name: str) -> None:
        """Vendors cut and trim; they may not change what is left."""
        desk.seed(person("ann"), person("bob"))
        records = desk.records()
        outcomes = desk.write(desk.named(records[ANN], name), desk.named(records[BOB], "Robert"))
        assert outcomes[0].result in (*DONE, Result.INVALID)
        assert outcomes[1].result is Result.APPLIED
        shown = desk.records()
        assert _name(shown[BOB], desk) == "Robert"
        if outcomes[0].result in DONE:
            assert _name(shown[ANN], desk)
            assert name.strip().startswith(_name(shown[ANN], desk)[:200])
            confirmed(desk, outcomes[0])

    def test_people_with_hostile_addresses_are_made_and_changed_like_others(self, desk: Desk) -> None:
        taken = [address for address in hostile.ADDRESSES if desk.harness.takes(address)]
        outcomes = desk.write(*(desk.create(address, name="Made") for address in taken))
        assert {o.key: o.result for o in outcomes} == {f"create-{address}": Result.APPLIED for address in taken}
        records = desk.records()
        assert set(records) == {normalise(address) for address in taken}
        changed = desk.write(
            *(
                desk.named(record, "Changed")
                for record in records.values()
                if desk.harness.names_reach(record.addresses[0])
            )
        )
        assert {outcome.result for outcome in changed} == {Result.APPLIED}
        left = desk.write(*(desk.out(record) for record in records.values()))
        assert {outcome.result for outcome in left} == {Result.APPLIED}
        assert [address for address in taken if not desk.is_out(address)] == []

    def test_addresses_that_the_vendor_does_not_take_are_refused_alone(self, desk: Desk) -> None:
        bad = [address for address in hostile.ADDRESSES if not desk.harness.takes(address)]
        outcomes = desk.write(*(desk.create(address) for address in ["no-at-sign", *bad, "dan@example.com"]))
        assert {outcome.result for outcome in outcomes[:-1]} <= {Result.INVALID, Result.REFUSED}
        assert outcomes[-1].result is Result.APPLIED
        assert desk.is_in("dan@example.com")
