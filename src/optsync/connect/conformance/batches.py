"""Many writes in one call."""

from dataclasses import replace

from optsync.connect.conformance.asking import DONE
from optsync.connect.conformance.desk import NAME, TOPIC, Desk, people
from optsync.model.change import Result


class BatchChecks:
    """One outcome per write, in order, whatever the number and the kinds."""

    def test_no_writes_cost_nothing(self, desk: Desk) -> None:
        assert list(desk.connector.write([], desk.spec)) == []
        assert desk.line.sent == []

    def test_kinds_may_be_mixed_and_outcomes_keep_the_order(self, desk: Desk) -> None:
        desk.seed(*people(6))
        records = [record for _, record in sorted(desk.records().items())]
        writes = [
            desk.named(records[0], "Zero"),
            desk.out(records[1]),
            desk.create("new@example.com"),
            desk.named(records[2], "Two"),
            desk.into(records[3]),
            desk.out(records[4]),
        ]
        if desk.topics:
            writes.insert(3, desk.ticked(records[5], **{TOPIC: True}))
        outcomes = desk.write(*writes)
        assert [outcome.key for outcome in outcomes] == [write.key for write in writes]
        assert {outcome.result for outcome in outcomes} <= set(DONE)
        assert [desk.is_out(f"p{n}@example.com") for n in range(6)] == [False, True, False, False, True, False]
        assert desk.is_in("new@example.com")
        ids = {write.key: write.record for write in writes if write.record}
        assert all(outcome.record_id in (None, ids[outcome.key]) for outcome in outcomes if outcome.key in ids)

    def test_several_writes_of_one_record_in_a_call_all_count(self, desk: Desk) -> None:
        desk.seed(*people(2))
        record = desk.record("p0@example.com")
        writes = [desk.out(record), replace(desk.named(record, "Zero"), key="name")]
        if desk.topics:
            writes.append(desk.ticked(record, **{TOPIC: True}))
        outcomes = desk.write(*writes)
        assert [outcome.key for outcome in outcomes] == [write.key for write in writes]
        assert desk.is_out("p0@example.com")
        if view := desk.view("p0@example.com"):
            assert view["fields"][NAME] == "Zero"
            assert not desk.topics or view["topics"][TOPIC] is True

    def test_more_writes_than_a_call_takes_are_all_settled(self, crowd: Desk) -> None:
        count = crowd.harness.many or crowd.capabilities.write_batch + 3
        crowd.seed(*people(max(count, crowd.harness.crowd))[crowd.harness.crowd :])
        records = dict(list(crowd.records().items())[:count])
        writes = [crowd.named(record, f"Name of {who}") for who, record in records.items()]
        outcomes = crowd.write(*writes)
        assert [outcome.key for outcome in outcomes] == [write.key for write in writes]
        assert {outcome.result for outcome in outcomes} == {Result.APPLIED}
        shown = crowd.records()
        assert {who: shown[who].fields[crowd.name_field] for who in records} == {
            who: f"Name of {who}" for who in records
        }
        left = crowd.write(*(crowd.out(record) for record in records.values()))
        assert {outcome.result for outcome in left} == {Result.APPLIED}
        assert [who for who in records if not crowd.is_out(who)] == []

    def test_what_restricts_is_sent_before_everything_else(self, desk: Desk) -> None:
        desk.seed(*people(4))
        records = [record for _, record in sorted(desk.records().items())]
        seen: list[bool] = []
        desk.line.after = lambda request: (
            seen.append(desk.is_out("p3@example.com")) if desk.line.asks_for_a_change(request) else None
        )
        desk.write(
            desk.named(records[0], "A"), desk.into(records[1]), desk.create("n@example.com"), desk.out(records[3])
        )
        assert seen
        assert seen[0]
