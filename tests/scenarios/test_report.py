"""The report names exactly those who are mailed without a basis, kept from what they want, or shown differently."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from optsync.metrics import Metrics
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.record import Status
from optsync.model.statement import Source, StatementKind, state
from optsync.sync.administer import opt_out
from optsync.sync.explain import explain
from optsync.sync.plans import approve
from optsync.sync.standings import report
from optsync.sync.status import status
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("every write is explained")

Make = Callable[..., World]


def ann(number: int) -> str:
    return f"ann{number}@example.com"


def reported(w: World, **options: Any) -> dict[str, Any]:
    part: dict[str, Any] = report(w.engine, **options)["syncs"]["newsletter"]
    return part


def who(entries: list[dict[str, Any]]) -> dict[str, str]:
    """The reasons by address; an address is listed once only."""
    found = {entry["email"]: str(entry["reason"]) for entry in entries}
    assert len(found) == len(entries)
    return found


def consenting(number: int, **details: Any) -> Any:
    """Somebody whose consent is known from the start."""
    return person(number, opt_in=True, consent_at=person().created_at, **details)


def test_when_all_is_well_every_list_is_empty_and_every_record_is_counted(world: Make) -> None:
    w = world(consenting(1), consenting(2), consenting(3, opt_out=True, status=Status.OUT))
    w.sync()
    w.sync()
    part = reported(w)

    assert (part["mailed_without_basis"], part["blocked_although_allowed"], part["mismatches"]) == ([], [], [])
    assert {(c["standing"], c["system"], c["shows"]): c["count"] for c in part["counts"]} == {
        ("in", "crm", "in"): 2,
        ("in", "esp", "in"): 2,
        ("out", "crm", "out"): 1,
        ("out", "esp", "out"): 1,
    }


def test_before_the_first_run_nothing_is_known(world: Make) -> None:
    w = world(person(1))

    assert reported(w)["counts"] == []
    w.sync()


def test_each_disagreement_is_named_with_its_reason_and_nobody_else(world: Make) -> None:
    w = world(
        consenting(1),
        person(2),  # subscribed there, and nobody knows why
        consenting(3),
        consenting(4, status=Status.BOUNCED),
        consenting(5, status=Status.PENDING),
        consenting(6),
        person(7, in_esp=False),  # no consent, so not entered: nothing to complain about
        person(8, addresses=("no address",), in_esp=False),
        changes={"opt_out": {"crm_to_esp": False, "esp_to_crm": True}},
    )
    w.sync()
    w.crm.act("opt_out", email=ann(3))
    w.esp.act("archive", email=ann(6))
    w.sync()
    w.sync()
    part = reported(w)

    assert who(part["mailed_without_basis"]) == {
        ann(2): "no consent known",
        ann(3): "opted out; opt_out.crm_to_esp: false",
    }
    assert who(part["blocked_although_allowed"]) == {
        ann(6): "archived: taken off the list there",
    }
    assert who(part["mismatches"]) == {ann(3): "opt_out.crm_to_esp: false"}
    counts = {(c["standing"], c["system"], c["shows"]): c["count"] for c in part["counts"]}
    assert counts["no_address", "crm", "unknown"] == 1
    assert sum(n for (_, system, _), n in counts.items() if system == "crm") == 8
    assert sum(n for (_, system, _), n in counts.items() if system == "esp") == 6


def test_a_field_that_differs_says_why_and_shows_no_whole_value(world: Make) -> None:
    w = world(consenting(1), consenting(2))
    w.sync()
    esp: Any = w.esp
    next(f for f in esp.audience.merge_fields.values() if f.tag == "CITY").type = "number"
    w.crm.act("set_field", email=ann(1), field="city", value="Tartu")
    w.sync()
    w.sync()
    (entry,) = reported(w)["mismatches"]

    assert (entry["email"], entry["system"], entry["about"], entry["field"]) == (ann(1), "esp", "field", "CITY")
    assert entry["shows"] == "R…a (4)"
    assert entry["reason"].startswith("quarantined_field: ")
    assert entry["since"] is not None


def test_who_was_asked_to_confirm_is_blocked_although_allowed_until_they_do(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ann(1))
    w.sync()
    w.wait(hours=1)
    w.crm.act("opt_in", email=ann(1), at=w.clock.now().isoformat())
    w.sync()

    (blocked,) = reported(w)["blocked_although_allowed"]
    assert (blocked["email"], blocked["system"], blocked["shows"]) == (ann(1), "esp", "pending")
    assert blocked["reason"] == "pending: the person has not confirmed there yet"


def test_who_cannot_be_asked_is_blocked_although_allowed_with_what_helps(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ann(1))
    w.sync()
    w.esp.act("archive", email=ann(1))
    w.sync()
    w.wait(hours=1)
    w.crm.act("opt_in", email=ann(1), at=w.clock.now().isoformat())
    w.sync()

    (blocked,) = reported(w)["blocked_although_allowed"]
    assert blocked["reason"].startswith("needs_confirmation: ")


def test_what_was_read_and_is_not_written_yet_waits(world: Make) -> None:
    w = world(consenting(1))
    w.sync()
    w.sync()
    with w.store.transaction() as unit:
        now = w.clock.now()
        out = state(
            scope="acme/marketing", kind=StatementKind.OUT, at=now, clock=None, seen_at=now, source=Source.ADMIN
        )
        (key,) = unit.points.find([ann(1)]).values()
        unit.ledger.append([(key, out)], run=None)
        unit.points.mark(["newsletter"], [key])
    part = reported(w)

    assert who(part["mailed_without_basis"]) == {ann(1): "opted out; waiting: the next cycle writes it"}
    assert {m["system"]: m["reason"] for m in part["mismatches"]} == {
        "crm": "waiting: the next cycle writes it",
        "esp": "waiting: the next cycle writes it",
    }
    w.sync()
    w.sync()
    assert reported(w)["mismatches"] == []


def test_a_held_plan_is_the_reason_why_things_stand(world: Make) -> None:
    w = world(*(consenting(number) for number in range(1, 61)))
    w.sync()
    w.sync()
    for number in range(1, 61):
        w.crm.act("opt_out", email=ann(number))
    report_of_run = w.sync()
    plan = report_of_run.syncs["newsletter"].plan
    part = reported(w, limit=5)

    assert plan is not None
    assert (part["mailed_without_basis_total"], len(part["mailed_without_basis"])) == (60, 5)
    assert part["mismatches_total"] == 60
    assert {m["reason"] for m in part["mismatches"]} == {f"held: plan {plan}"}


def test_a_topic_that_is_shown_against_the_persons_word_is_a_mismatch(world: Make) -> None:
    ticked = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(consenting(1, **ticked), changes={"opt_out": {"crm_to_esp": False, "esp_to_crm": True}})
    w.sync()
    w.crm.act("set_topic", email=ann(1), topic="news", wanted=False)
    w.sync()
    w.sync()
    (entry,) = reported(w)["mismatches"]

    assert (entry["about"], entry["system"], entry["shows"]) == ("topic", "esp", True)
    assert entry["reason"] == "opt_out.crm_to_esp: false"


def test_the_status_tells_of_a_run_that_broke_off(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(person(1))
    w.sync()

    def breaks(*_: Any) -> None:
        raise RuntimeError("a fault of its own")

    monkeypatch.setattr("optsync.sync.decide.Decider.work_off", breaks)
    with pytest.raises(RuntimeError):
        w.sync()

    told = status(w.engine)["syncs"]["newsletter"]
    assert (told["last_state"], told["last_run_at"]) == ("failed", w.clock.now().isoformat())
    assert told["last_ok_at"] < told["last_run_at"]
    monkeypatch.undo()
    w.settle()
    assert status(w.engine)["syncs"]["newsletter"]["last_state"] == "done"


def test_an_opt_out_that_a_platform_refuses_again_and_again_is_on_its_way(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(consenting(1), consenting(2))
    w.sync()
    w.crm.act("opt_out", email=ann(1))
    connector = type(w.engine.connectors["esp"])
    plainly = connector.write

    def write(self: Any, writes: Sequence[Write], spec: Any) -> Sequence[Outcome]:
        if writes[0].kind is not WriteKind.STATUS:
            return plainly(self, writes, spec)
        return [Outcome(key=e.key, result=Result.REFUSED, fact=Fact.NOT_ALLOWED, message="no") for e in writes]

    with monkeypatch.context() as patch:
        patch.setattr(connector, "write", write)
        w.sync()
        w.sync()
        w.wait(hours=2)
        assert oldest(w) == timedelta(hours=2, minutes=10).total_seconds()
    w.sync()
    assert w.esp_shows(ann(1))["status"] == Status.OUT
    opt_out(w.engine, ann(1), scope="acme/marketing/news", actor="Eve")
    assert oldest(w) is None, "what was refused then has arrived since"
    w.settle()


def test_a_topic_that_was_left_and_whose_plan_is_held_is_an_opt_out_on_its_way(world: Make) -> None:
    topic = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    few = {"max": 1, "percent": 5, "cap": 100}
    w = world(*(consenting(n, **topic) for n in (1, 2, 3, 4)), guard={"opt_outs": few})
    w.sync()
    assert oldest(w) is None
    for number in (1, 2):
        w.esp.act("set_topic", email=ann(number), topic="news", wanted=False)
    uid = w.sync().syncs["newsletter"].plan
    assert uid is not None
    w.wait(hours=2)
    assert oldest(w) == timedelta(hours=2).total_seconds()
    approve(w.engine, uid, actor="Eve")
    assert oldest(w) is None
    w.settle()


def oldest(w: World) -> float | None:
    """The age of the oldest opt-out under way; the metrics say the same."""
    metrics = Metrics(w.store, w.clock, w.config.syncs, w.config.systems)
    with w.store.reading() as unit:
        metrics.remember(unit.runs)
    name = "optsync_oldest_unpropagated_opt_out_seconds"
    told: float | None = status(w.engine)["syncs"]["newsletter"]["oldest_unpropagated_s"]
    assert metrics.registry.get_sample_value(name, {"sync": "newsletter"}) == (told or 0)
    return told


def shows(w: World, email: str, system: str) -> dict[str, Any]:
    """What the explanation says of the person's record there."""
    (entry,) = [r for r in explain(w.engine, email)["records"] if r["system"] == system]
    return dict(entry)


def test_a_contact_shows_an_opt_out_since_its_own_time_and_not_since_a_topic_was_left(world: Make) -> None:
    topic = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(person(1, opt_in=True, **topic))
    w.sync()
    w.crm.act("opt_out", email=ann(1))
    w.sync()
    since = shows(w, ann(1), "crm")["since"]
    assert since is not None
    w.wait(hours=24)
    w.crm.act("edit", id=w.crm_id(ann(1)), fields={"UF_CRM_TOPIC_NEWS": 0})
    w.sync()
    assert shows(w, ann(1), "crm")["topics"]["acme/marketing/news"] is False
    assert shows(w, ann(1), "crm")["since"] == since
    w.settle()


def test_a_contact_that_was_deleted_is_absent_since_it_was_missed_and_shows_nothing(world: Make) -> None:
    w = world(person(1, opt_out=True, status=Status.OUT, crm_topics={"news": True}), person(2), person(3))
    w.sync()
    w.crm.act("delete", email=ann(1))
    w.wait(hours=30)
    w.sync(full=True)
    missed = w.clock.now()
    w.wait(hours=3)
    w.sync(full=True)
    found = shows(w, ann(1), "crm")
    assert (found["shows"], found["word"], found["topics"]) == (Status.ABSENT, None, {})
    assert found["since"] == missed.isoformat()
    w.settle()
