"""Statuses, creates and requests."""

from dataclasses import replace

import pytest

from optsync.connect.conformance.desk import NAME, OTHER_TOPIC, TOPIC, Desk, bare, person
from optsync.model.change import Fact, Outcome, Result
from optsync.model.record import Status

ANN, BOB = "ann@example.com", "bob@example.com"
DONE = (Result.APPLIED, Result.SAME)


def confirmed(desk: Desk, outcome: Outcome) -> None:
    """The outcome shows what the next read shows."""
    if not desk.capabilities.write_shows_state:
        return
    assert outcome.record is not None
    (read,) = desk.connector.read_ids(desk.spec, [outcome.record.id])
    assert bare(outcome.record) == bare(read)


class AskingChecks:
    """What changes whether somebody is mailed."""

    def test_an_opt_out_is_written_and_seen(self, desk: Desk) -> None:
        desk.seed(person("ann", opt_in=True), person("bob", opt_in=True))
        (outcome,) = desk.write(desk.out(desk.record(ANN)))
        assert outcome.result is Result.APPLIED
        assert desk.is_out(ANN)
        assert desk.is_in(BOB)
        assert desk.shows_out(desk.records().get(ANN))
        confirmed(desk, outcome)

    def test_an_opt_in_of_somebody_unsubscribed_by_an_administrator_is_written_and_seen(self, desk: Desk) -> None:
        desk.seed(person("ann"), person("bob"))
        record = desk.record(ANN)
        desk.act("admin_unsubscribe" if desk.is_esp else "opt_out", ANN)
        assert desk.is_out(ANN)
        (outcome,) = desk.write(desk.into(record))
        assert outcome.result is Result.APPLIED
        assert desk.is_in(ANN)
        confirmed(desk, outcome)

    @pytest.mark.parametrize("count", [1, 3, 60])
    def test_many_opt_outs_in_one_call_all_end_out(self, desk: Desk, count: int) -> None:
        desk.seed(*(person(f"p{n}", n) for n in range(count)))
        outcomes = desk.write(*(desk.out(record) for record in desk.records().values()))
        assert {outcome.result for outcome in outcomes} == {Result.APPLIED}
        assert all(desk.is_out(f"p{n}@example.com") for n in range(count))

    @pytest.mark.parametrize("count", [3, 60])
    def test_many_opt_ins_in_one_call_all_end_in(self, desk: Desk, count: int) -> None:
        desk.seed(*(person(f"p{n}", n) for n in range(count)))
        records = desk.records()
        for who in records:
            desk.act("admin_unsubscribe" if desk.is_esp else "opt_out", who)
        outcomes = desk.write(*(desk.into(record) for record in records.values()))
        assert {outcome.result for outcome in outcomes} == {Result.APPLIED}
        assert [who for who in records if not desk.is_in(who)] == []

    def test_the_same_wish_again_changes_nothing(self, desk: Desk) -> None:
        desk.seed(person("ann"), person("bob", opt_in=True))
        records = desk.records()
        out, into = desk.out(records[ANN]), desk.into(records[BOB])
        desk.write(out, into)
        before = desk.status_of(ANN), desk.status_of(BOB)
        assert {outcome.result for outcome in desk.write(out, into)} <= set(DONE)
        assert (desk.status_of(ANN), desk.status_of(BOB)) == before

    def test_an_opt_out_holds_against_another_program_that_opts_in_meanwhile(self, desk: Desk) -> None:
        desk.seed(person("ann"))
        write = desk.out(desk.record(ANN))
        is_first = [True]

        def race(_: object) -> None:
            if is_first and is_first.pop():
                desk.flip_in(ANN)

        desk.line.before = race
        (outcome,) = desk.write(write)
        assert not is_first
        assert outcome.result in DONE
        assert desk.is_out(ANN)

    def test_an_opt_out_of_somebody_whose_address_changed_reaches_the_person(self, desk: Desk) -> None:
        desk.needs(not desk.capabilities.id_is_address, "it declares that another address is another record")
        desk.seed(person("ann"), person("bob"))
        records = desk.records()
        desk.act("change_address", ANN, to="new.ann@example.com")
        desk.write(desk.out(records[ANN]), desk.out(records[BOB]))
        assert desk.is_out("new.ann@example.com")

    def test_a_new_record_has_what_it_was_made_with(self, desk: Desk) -> None:
        desk.seed(person("ann"))
        (outcome,) = desk.write(desk.create("cleo@example.com"))
        assert outcome.result is Result.APPLIED
        assert desk.is_in("cleo@example.com")
        record = desk.record("cleo@example.com")
        assert record.fields[desk.name_field] == "Cleo"
        assert outcome.record_id == record.id
        confirmed(desk, outcome)

    def test_a_new_record_has_the_topics_it_was_made_with(self, desk: Desk) -> None:
        desk.needs_topics()
        topics = {desk.topics[TOPIC]: True, desk.topics[OTHER_TOPIC]: False}
        (outcome,) = desk.write(replace(desk.create("cleo@example.com"), topics=topics))
        shown = desk.record("cleo@example.com").topics
        assert outcome.result is Result.APPLIED
        assert shown[desk.topics[TOPIC]] is True
        assert not shown[desk.topics[OTHER_TOPIC]]
        confirmed(desk, outcome)

    def test_a_new_record_that_is_to_be_out_is_never_in(self, desk: Desk) -> None:
        write = desk.create("cleo@example.com", status=Status.OUT)
        if not desk.is_esp:
            side = desk.harness.config.side
            write = replace(write, fields={**write.fields, side["opt_out"]: True, side["opt_in"]: False})
        (outcome,) = desk.write(write)
        if outcome.result in DONE:
            assert desk.is_out("cleo@example.com")
            confirmed(desk, outcome)
        else:
            assert desk.view("cleo@example.com") is None

    @pytest.mark.parametrize("status", [s for s in Status if s is not Status.ABSENT])
    def test_a_create_never_changes_a_record_that_exists(self, desk: Desk, status: Status) -> None:
        desk.needs(not desk.is_esp or status in desk.harness.statuses, "nobody there has this status")
        desk.seed(person("ann", status=status, opt_out=status is Status.OUT))
        before = desk.view(ANN)
        (outcome,) = desk.write(desk.create("Ann@EXAMPLE.com", name="Other"))
        assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.EXISTS)
        assert desk.view(ANN) == before

    def test_two_creates_of_one_address_make_one_record(self, desk: Desk) -> None:
        writes = [desk.create(a, key=a) for a in ("cleo@example.com", "Cleo@Example.com", "dan@example.com")]
        outcomes = desk.write(*writes)
        assert [outcome.key for outcome in outcomes] == [write.key for write in writes]
        assert [outcome.result for outcome in outcomes].count(Result.APPLIED) == 2
        shown = [record for page in desk.read() for record in page.records]
        assert len({record.id for record in shown}) == 2

    def test_a_request_waits_until_the_person_confirms(self, desk: Desk) -> None:
        desk.needs(desk.capabilities.can_ask, "it declares that it cannot ask")
        (outcome,) = desk.write(desk.create("cleo@example.com", status=Status.PENDING))
        assert outcome.result is Result.APPLIED
        assert desk.record("cleo@example.com").status is Status.PENDING
        desk.act("confirm", "cleo@example.com")
        assert desk.is_in("cleo@example.com")
        assert desk.record("cleo@example.com").status is Status.IN

    def test_what_leaves_and_is_written_again_keeps_its_name(self, desk: Desk) -> None:
        """A status carries no fields."""
        desk.needs_deletion()
        desk.seed(person("ann"))
        desk.write(desk.out(desk.record(ANN)))
        view = desk.view(ANN)
        assert view is not None
        assert view["fields"][NAME] == "Ann"
