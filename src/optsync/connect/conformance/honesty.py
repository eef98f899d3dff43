"""What is declared works; what is not declared is refused, in words, and changes nothing."""

from dataclasses import replace

import pytest

from optsync.connect.conformance import hostile
from optsync.connect.conformance.asking import ANN, BOB, DONE
from optsync.connect.conformance.desk import NAME, PERSONAL, TOPIC, Desk, person
from optsync.connect.contract import Absence, CanArchive, CanRename, CanTag, Severity
from optsync.model.change import Result, Write, WriteKind
from optsync.model.contact_point import normalise, same_mailbox
from optsync.model.record import Record, Status

_POWERS = {WriteKind.ARCHIVE: CanArchive, WriteKind.RENAME: CanRename, WriteKind.TAG: CanTag}
_NO = (Result.REFUSED, Result.INVALID, Result.FAILED)


def _everything(desk: Desk) -> dict[str, object]:
    return {who: desk.view(who) for who in (ANN, BOB)}


class HonestyChecks:
    """Capabilities, powers and reality agree."""

    def test_the_test_file_shows_everything_that_is_declared(self, desk: Desk) -> None:
        """A capability that the population or the hands leave out would be believed untested."""
        able = desk.capabilities
        assert able.refuses <= PERSONAL, "only facts about a person"
        assert set(desk.harness.refuses) == able.refuses, "Harness.refuses has a hand for each of Capabilities.refuses"
        if desk.is_esp:
            assert able.statuses <= desk.harness.statuses, "Harness.statuses holds every status that can be written"
        assert desk.topics or not desk.describe().topics, "describe() offers topics: name two in the side's settings"

    def test_the_hands_of_people_do_what_they_say(self, desk: Desk) -> None:
        assert desk.view(ANN) is None
        desk.seed(person("ann"), person("bob", opt_in=True))
        assert (desk.is_out(ANN), desk.is_in(BOB)) == (False, True)
        desk.leave(ANN)
        assert desk.is_out(ANN)
        desk.act("set_field", BOB, field=NAME, value="Robert")
        view = desk.view(BOB)
        assert view is not None
        assert view["fields"][NAME] == "Robert"
        assert desk.is_in(BOB)
        desk.come_back(ANN)
        assert desk.is_in(ANN)
        if desk.capabilities.absence is Absence.DELETED:
            desk.delete(ANN)
            assert desk.view(ANN) is None
        assert desk.line.sent == []

    @pytest.mark.parametrize("kind", sorted(_POWERS))
    def test_a_power_that_is_not_offered_is_refused_by_write(self, desk: Desk, kind: WriteKind) -> None:
        if issubclass(desk.harness.connector, _POWERS[kind]):
            pytest.skip("it offers this power")
        desk.seed(person("ann"), person("bob"))
        before = _everything(desk)
        parts = {WriteKind.RENAME: {"address": "other@example.com"}, WriteKind.TAG: {"tags": {"optsync": True}}}
        records = desk.records()
        write = desk.to(kind, records[ANN], **parts.get(kind, {}))
        outcomes = desk.write(write, desk.named(records[BOB], "Bob"))
        assert outcomes[0].result in _NO
        assert outcomes[0].message, "say what is not possible and why"
        assert outcomes[1].result in DONE
        assert _everything(desk) == before

    @pytest.mark.parametrize("status", sorted(set(Status) - {Status.IN, Status.OUT}))
    def test_a_status_that_is_not_declared_is_refused(self, desk: Desk, status: Status) -> None:
        desk.needs(status not in desk.capabilities.statuses, "it declares that it can be written")
        desk.seed(person("ann"), person("bob"))
        before = _everything(desk)
        write = desk.to(WriteKind.STATUS, desk.record(ANN), status=status)
        (outcome,) = desk.write(write)
        assert outcome.result in _NO
        assert outcome.message
        assert _everything(desk) == before

    def test_topics_of_a_system_without_topics_are_refused(self, desk: Desk) -> None:
        desk.needs(not desk.topics, "it describes topics")
        desk.seed(person("ann"), person("bob"))
        before = _everything(desk)
        write = desk.to(WriteKind.TOPICS, desk.record(ANN), topics={TOPIC: True})
        (outcome,) = desk.write(write)
        assert outcome.result in _NO
        assert _everything(desk) == before

    def test_whoever_left_is_brought_back_only_where_that_is_declared(self, desk: Desk) -> None:
        desk.needs(desk.is_esp, "it plays a CRM, whose flags know no leavers")
        desk.needs(desk.capabilities.takes_back_leavers, "it declares that leavers are not brought back")
        desk.seed(person("ann"), person("bob"))
        record = desk.record(ANN)
        desk.leave(ANN)
        (outcome,) = desk.write(desk.into(record))
        assert outcome.result is Result.APPLIED
        assert desk.is_in(ANN)

    def test_an_id_stays_or_is_the_address_as_declared(self, desk: Desk) -> None:
        desk.seed(person("ann"), person("bob"))
        before = desk.record(ANN)
        if desk.capabilities.id_is_address:
            assert same_mailbox(before.id, ANN)
            return
        desk.act("change_address", ANN, to="new.ann@example.com")
        shown = desk.records()
        assert shown["new.ann@example.com"].id == before.id
        assert ANN not in shown, "the former address stays on the record"

    def test_what_is_written_is_read_at_once(self, desk: Desk) -> None:
        """From the system's own store: a search index that follows later would make a re-read worthless."""
        desk.seed(person("ann"), person("bob"), person("cleo"))
        records = desk.records()
        outcomes = desk.write(
            desk.out(records[ANN]), desk.named(records[BOB], "Robert"), desk.create("new@example.com")
        )
        ids = [records[ANN].id, records[BOB].id, str(outcomes[2].record_id)]
        shown = {record.id: record for record in desk.connector.read_ids(desk.spec, ids)}
        assert desk.shows_out(shown.get(ids[0]))
        assert desk.capabilities.absence is Absence.LEFT or ids[0] in shown
        assert shown[ids[1]].fields[desk.name_field] == "Robert"
        assert [normalise(address) for address in shown[ids[2]].addresses] == ["new@example.com"]

    def test_check_refuses_a_flag_that_is_no_yes_or_no(self, desk: Desk) -> None:
        """A text is never true: every opt-out in it would be overlooked."""
        desk.needs(not desk.is_esp, "it plays an ESP, which has no flags")
        desk.seed(person("ann"))
        problems = desk.connector.check([replace(desk.spec, flags=desk.spec.flags | {desk.name_field})]).problems
        errors = [problem for problem in problems if problem.severity is Severity.ERROR]
        assert len(errors) == 1
        assert desk.name_field in f"{errors[0].field} {errors[0].message}"

    def test_every_pair_of_flags_is_written_and_read_as_it_is(self, desk: Desk) -> None:
        desk.needs(not desk.is_esp, "it plays an ESP, which has no flags")
        side = desk.harness.config.side
        desk.seed(*(person(f"p{number}", number) for number in range(4)))
        pairs = dict(zip(sorted(desk.records()), [(a, b) for a in (True, False) for b in (True, False)], strict=True))
        records = desk.records()
        for out, into in (pairs[who] for who in sorted(pairs)):
            who = next(each for each in pairs if pairs[each] == (out, into))
            (outcome,) = desk.write(self._flags(desk, records[who], out=out, into=into))
            assert outcome.result in DONE
        shown = desk.records()
        assert {who: (r.fields[side["opt_out"]], r.fields[side["opt_in"]]) for who, r in shown.items()} == pairs

    @staticmethod
    def _flags(desk: Desk, record: Record, *, out: bool, into: bool) -> Write:
        side = desk.harness.config.side
        fields = {side["opt_out"]: out, side["opt_in"]: into}
        return desk.to(WriteKind.STATUS, record, fields=fields, restrictive=out)

    def test_the_same_fields_and_topics_again_change_nothing(self, desk: Desk) -> None:
        desk.seed(person("ann"), person("bob"))
        records = desk.records()
        writes = [desk.named(records[ANN], "Other")]
        if desk.topics:
            writes.append(desk.ticked(records[BOB], **{TOPIC: True}))
        desk.write(*writes)
        before = _everything(desk)
        assert {outcome.result for outcome in desk.write(*writes)} <= set(DONE)
        assert _everything(desk) == before

    def test_its_own_pace_stays_below_the_limit(self, desk: Desk) -> None:
        desk.needs(desk.capabilities.speaks_http, "it declares that it sends no requests")
        desk.seed(person("ann"), person("bob"))
        record = desk.record(ANN)
        for number in range(120):
            desk.connector.read_ids(desk.spec, [record.id])
            if number % 4 == 0:
                desk.write(desk.named(record, f"Name {number}"))
        assert desk.line.limits_met == 0

    def test_names_that_cannot_be_written_are_refused_as_values(self, desk: Desk) -> None:
        closed = [each for each in hostile.ADDRESSES if desk.harness.takes(each) and not desk.harness.names_reach(each)]
        desk.needs(closed, "every name can be written")
        desk.seed(*(person("x", addresses=(address,)) for address in closed))
        outcomes = desk.write(*(desk.named(record, "Other") for record in desk.records().values()))
        assert {(outcome.result, outcome.field) for outcome in outcomes} == {(Result.INVALID, desk.name_field)}

    def test_two_changes_in_one_instant_around_a_read_are_both_shown(self, desk: Desk) -> None:
        """Clocks of a second's resolution: what happens in the second of a read must not fall behind its cursor."""
        desk.needs_delta()
        desk.seed(person("ann"), person("bob"))
        desk.harness.clock.advance(3600)
        cursor = desk.read()[-1].cursor
        desk.harness.clock.advance(600)
        desk.leave(ANN)
        first = desk.read(cursor)
        desk.leave(BOB)
        second = {record.id: record for page in desk.read(first[-1].cursor) for record in page.records}
        assert any(BOB in record.addresses and desk.shows_out(record) for record in second.values())
