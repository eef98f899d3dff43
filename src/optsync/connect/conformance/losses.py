"""Lost answers, limits and failing gateways."""

from collections.abc import Callable

import pytest

from optsync.connect.conformance.asking import ANN, DONE
from optsync.connect.conformance.calls import writes
from optsync.connect.conformance.desk import TOPIC, Desk, people, person
from optsync.connect.conformance.line import RETRY_AFTER_S, Trouble
from optsync.connect.mock import MockRequest
from optsync.errors import OptsyncError, RateLimited, StateLocked, SystemFailure, SystemUnavailable
from optsync.model.change import Outcome, Result, Write

_LOSSES = [Trouble.DROP, Trouble.DROP_AFTER, Trouble.CUT_AFTER]
_PASSING = [Trouble.DROP, Trouble.TOO_MANY, Trouble.TOO_MANY_BARE, Trouble.ERROR_502, Trouble.ERROR_503]
_LASTING = [Trouble.DROP, Trouble.TOO_MANY, Trouble.ERROR_502, Trouble.ERROR_503, Trouble.CUT_AFTER]


def _lease_is_lost() -> None:
    raise StateLocked


def _attempt(desk: Desk, *writes: Write) -> list[Outcome]:
    """No outcomes when the call raised: then nothing was sent."""
    try:
        return desk.write(*writes)
    except SystemFailure:
        return []


def _is_honest(outcome: Outcome, is_true: bool) -> bool:
    """APPLIED and SAME mean that it is so, FAILED that it is not."""
    if outcome.result in DONE:
        return is_true
    return outcome.result is Result.UNKNOWN or not is_true


class LossChecks:
    """The line fails; what is said about it stays true."""

    @pytest.mark.parametrize("loss", _LOSSES)
    def test_an_opt_out_is_repeated_after_a_lost_answer(self, desk: Desk, loss: Trouble) -> None:
        desk.seed(person("ann"), person("bob"))
        write = desk.out(desk.record(ANN))
        desk.trouble(loss, is_for_writes=True)
        (outcome,) = desk.write(write)
        assert outcome.result in DONE
        assert desk.is_out(ANN)

    @pytest.mark.parametrize("loss", _LOSSES)
    def test_a_field_is_repeated_after_a_lost_answer(self, desk: Desk, loss: Trouble) -> None:
        desk.seed(person("ann"), person("bob"))
        write = desk.named(desk.record(ANN), "Änne")
        desk.trouble(loss, is_for_writes=True)
        (outcome,) = desk.write(write)
        assert outcome.result in DONE
        assert desk.record(ANN).fields[desk.name_field] == "Änne"

    @pytest.mark.parametrize("loss", _LOSSES)
    def test_a_permissive_write_is_not_sent_over_an_opt_out_that_came_meanwhile(
        self, desk: Desk, loss: Trouble
    ) -> None:
        """The answer is lost, the person opts out: a repetition would opt them in again."""
        desk.seed(person("ann"))
        record = desk.record(ANN)
        desk.act("admin_unsubscribe" if desk.is_esp else "opt_out", ANN)
        desk.trouble(loss, is_for_writes=True)
        applied: list[bool] = []

        def leave(_: object) -> None:
            if not applied and desk.is_in(ANN):
                applied.append(True)
                desk.leave(ANN)

        desk.line.after = leave
        (outcome,) = desk.write(desk.into(record))
        if loss is Trouble.DROP:
            assert outcome.result is not Result.SAME
        else:
            assert applied
            assert desk.is_out(ANN)
            # Where an answer is its status alone, nothing can be cut off.
            is_status_enough = loss is Trouble.CUT_AFTER and outcome.result is Result.APPLIED
            assert outcome.result is Result.UNKNOWN or is_status_enough

    @pytest.mark.parametrize("loss", [Trouble.DROP_AFTER, Trouble.CUT_AFTER])
    def test_a_tick_is_not_sent_over_an_untick_that_came_meanwhile(self, desk: Desk, loss: Trouble) -> None:
        """A topic is a wish, too: its tick is permissive."""
        desk.needs_topics()
        desk.seed(person("ann"))
        record = desk.record(ANN)
        desk.trouble(loss, is_for_writes=True)
        applied: list[bool] = []

        def is_ticked() -> bool:
            view = desk.view(ANN)
            return view is not None and view["topics"][TOPIC] is True

        def untick(_: object) -> None:
            if not applied and is_ticked():
                applied.append(True)
                desk.act("set_topic", ANN, topic=TOPIC, wanted=False)

        desk.line.after = untick
        (outcome,) = desk.write(desk.ticked(record, **{TOPIC: True}))
        assert applied
        assert not is_ticked(), "the tick was sent again"
        is_status_enough = loss is Trouble.CUT_AFTER and outcome.result is Result.APPLIED
        assert outcome.result is Result.UNKNOWN or is_status_enough

    @pytest.mark.parametrize("loss", _LOSSES)
    def test_a_lost_create_makes_one_record_and_is_never_called_failed(self, desk: Desk, loss: Trouble) -> None:
        desk.seed(person("ann"))
        desk.trouble(loss, is_for_writes=True)
        (outcome,) = desk.write(desk.create("cleo@example.com"))
        shown = [record for page in desk.read() for record in page.records]
        made = len({record.id for record in shown}) - 1
        assert made <= 1
        assert _is_honest(outcome, made == 1)
        (again,) = desk.write(desk.create("cleo@example.com", key="again"))
        assert len(desk.records()) == 2
        assert (again.result is Result.APPLIED) is (made == 0)

    @pytest.mark.parametrize("trouble", _LASTING)
    @pytest.mark.parametrize("skip", range(4))
    def test_outcomes_are_true_when_the_system_fails_for_good(self, desk: Desk, trouble: Trouble, skip: int) -> None:
        desk.seed(*people(3))
        records = desk.records()
        p0, p1 = records["p0@example.com"], records["p1@example.com"]
        writes = [desk.out(p0), desk.named(p1, "One"), desk.create("new@example.com")]
        desk.trouble(trouble, skip=skip, times=100_000)
        outcomes = _attempt(desk, *writes)
        desk.line.clear()
        named = desk.record("p1@example.com").fields[desk.name_field] == "One"
        truth = [desk.is_out("p0@example.com"), named, desk.is_in("new@example.com")]
        assert outcomes or truth == [False] * 3, "it raised although something was written"
        told = {o.key: o.result for o in outcomes}
        assert all(_is_honest(o, is_true) for o, is_true in zip(outcomes, truth, strict=False)), (told, truth)
        assert len(outcomes) in (0, 3)

    @pytest.mark.parametrize("loss", [Trouble.DROP_AFTER, Trouble.CUT_AFTER])
    @pytest.mark.parametrize("then", [Trouble.DROP, Trouble.TOO_MANY, Trouble.FORBIDDEN])
    @pytest.mark.parametrize("what", ["opt-out", "opt-in", "field", "create"])
    def test_what_was_done_is_never_called_failed_when_the_system_goes_down_after_it(
        self, desk: Desk, loss: Trouble, then: Trouble, what: str
    ) -> None:
        """The repetition, or the look at what became of it, meets nobody: that says nothing of the first call."""
        desk.seed(*people(2))
        p0, p1 = (desk.records()[f"p{number}@example.com"] for number in range(2))
        desk.act("admin_unsubscribe" if desk.is_esp else "opt_out", "p1@example.com")
        write = {
            "opt-out": lambda: desk.out(p0),
            "opt-in": lambda: desk.into(p1),
            "field": lambda: desk.named(p0, "One"),
            "create": lambda: desk.create("new@example.com"),
        }[what]()

        def go_down(request: MockRequest) -> None:
            if desk.line.asks_for_a_change(request):
                desk.trouble(then, times=100_000)

        desk.line.after = go_down
        desk.trouble(loss, is_for_writes=True)
        outcomes = _attempt(desk, write)
        desk.line.clear()
        is_true = {
            "opt-out": lambda: desk.is_out("p0@example.com"),
            "opt-in": lambda: desk.is_in("p1@example.com"),
            "field": lambda: desk.record("p0@example.com").fields[desk.name_field] == "One",
            "create": lambda: desk.view("new@example.com") is not None,
        }[what]()
        assert outcomes or not is_true, "it raised although something was written"
        assert [_is_honest(outcome, is_true) for outcome in outcomes] == [True] * len(outcomes)

    @pytest.mark.parametrize("loss", _LOSSES)
    @pytest.mark.parametrize("skip", range(6))
    def test_one_loss_at_any_request_spoils_nothing_for_good(self, desk: Desk, loss: Trouble, skip: int) -> None:
        desk.seed(*people(4))
        records = desk.records()
        desk.act("admin_unsubscribe" if desk.is_esp else "opt_out", "p2@example.com")
        p0, p1, p2 = (records[f"p{number}@example.com"] for number in range(3))
        writes = [desk.named(p1, "One"), desk.create("new@example.com"), desk.into(p2), desk.out(p0)]
        desk.trouble(loss, skip=skip)
        outcomes = desk.write(*writes)
        desk.line.clear()
        named = desk.record("p1@example.com").fields[desk.name_field] == "One"
        truth = [named, desk.is_in("new@example.com"), desk.is_in("p2@example.com"), desk.is_out("p0@example.com")]
        assert [_is_honest(outcome, is_true) for outcome, is_true in zip(outcomes, truth, strict=True)] == [True] * 4
        assert (named, truth[3]) == (True, True), "what sets a state is repeated"
        assert len([record for page in desk.read() for record in page.records if "new@" in str(record.addresses)]) <= 1

    @pytest.mark.parametrize("loss", _LOSSES)
    @pytest.mark.parametrize("skip", range(3))
    def test_many_creates_with_a_lost_answer_are_each_told_truly(self, desk: Desk, loss: Trouble, skip: int) -> None:
        desk.trouble(loss, skip=skip, is_for_writes=True)
        outcomes = desk.write(*(desk.create(f"n{number}@example.com") for number in range(45)))
        shown = [record for page in desk.read() for record in page.records]
        made = {record.addresses[0] for record in shown}
        assert len(shown) == len(made)
        told = [_is_honest(outcome, f"n{number}@example.com" in made) for number, outcome in enumerate(outcomes)]
        assert told == [True] * 45

    @pytest.mark.parametrize("loss", _LOSSES)
    def test_many_opt_outs_with_a_lost_answer_all_end_out(self, desk: Desk, loss: Trouble) -> None:
        desk.seed(*people(45))
        records = desk.records()
        desk.trouble(loss, is_for_writes=True)
        outcomes = desk.write(*(desk.out(record) for record in records.values()))
        assert {outcome.result for outcome in outcomes} <= set(DONE)
        assert [who for who in records if not desk.is_out(who)] == []

    @pytest.mark.parametrize("trouble", _PASSING)
    def test_passing_trouble_is_waited_out(self, desk: Desk, trouble: Trouble) -> None:
        desk.seed(person("ann"))
        desk.trouble(trouble, times=2)
        before = desk.harness.clock.monotonic()
        record = desk.record(ANN)
        waited = desk.harness.clock.monotonic() - before
        assert waited >= (2 * RETRY_AFTER_S if trouble is Trouble.TOO_MANY else 1)
        desk.trouble(trouble, times=2, is_for_writes=True)
        (outcome,) = desk.write(desk.out(record))
        assert outcome.result in DONE
        assert desk.is_out(ANN)

    @pytest.mark.parametrize("trouble", [Trouble.TOO_MANY, Trouble.ERROR_503, Trouble.DROP, Trouble.CUT_AFTER])
    def test_lasting_trouble_ends_a_read_with_a_typed_error(self, desk: Desk, trouble: Trouble) -> None:
        desk.seed(person("ann"))
        desk.trouble(trouble, times=100_000)
        wanted = RateLimited if trouble is Trouble.TOO_MANY else SystemUnavailable
        verbs: list[Callable[[], object]] = [
            desk.read,
            lambda: desk.connector.check([desk.spec]),
            lambda: desk.connector.read_ids(desk.spec, ["1"]),
            desk.connector.describe,
        ]
        for verb in verbs:
            with pytest.raises(wanted):
                verb()

    def test_half_an_answer_is_never_a_complete_read(self, crowd: Desk) -> None:
        everybody = set(crowd.records())
        for skip in range(4):
            crowd.trouble(Trouble.CUT_AFTER, skip=skip)
            assert set(crowd.records()) == everybody
            crowd.line.clear()

    def test_a_read_only_connector_reads_everything_and_writes_nothing(self, desk: Desk) -> None:
        desk.seed(*people(3))
        reader = desk.connect(is_read_only=True)
        record = desk.record("p0@example.com")
        reader.check([desk.spec])
        reader.describe()
        list(reader.read(desk.spec, None))
        reader.read_ids(desk.spec, [record.id])
        for write in (desk.out(record), desk.named(record, "Other"), desk.create("new@example.com")):
            with pytest.raises((AssertionError, OptsyncError)):
                reader.write([write], desk.spec)
        assert desk.line.writes == 0
        assert desk.view("new@example.com") is None

    def test_whoever_may_not_write_any_more_sends_nothing(self, desk: Desk) -> None:
        """A process that stood still for longer than its lease: by now another one decides."""
        desk.connector = desk.connect(before_write=_lease_is_lost)
        for call in writes(desk):
            with pytest.raises(StateLocked):
                call.go()
            assert call.shows is None or not call.shows(), f"{call.name} did not ask Context.before_write"
        assert desk.line.writes == 0
