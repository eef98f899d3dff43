"""Archiving, renaming, tagging, and looking for a sign-up."""

from datetime import timedelta
from typing import Any

import pytest

from optsync.model.change import Fact, Outcome, Result, WriteKind
from optsync.model.record import Record, Status
from optsync_mailchimp.tests.world import START, World, numbered

_A, _B, _C = "person0@example.org", "person1@example.org", "person2@example.org"


def _rename(world: World, record: Record, to: str) -> Outcome:
    [outcome] = world.connector.rename([world.to(WriteKind.RENAME, record, address=to)], world.spec)
    return outcome


def _archive(world: World, record: Record) -> Outcome:
    [outcome] = world.connector.archive([world.to(WriteKind.ARCHIVE, record)], world.spec)
    return outcome


def _tag(world: World, *records: Record, **tags: bool) -> list[Outcome]:
    writes = [world.to(WriteKind.TAG, record, tags=tags) for record in records]
    return list(world.connector.tag(writes, world.spec))


@pytest.mark.parametrize(
    ("status", "result", "fact"),
    [
        (Status.IN, Result.APPLIED, None),
        (Status.OUT, Result.APPLIED, None),
        (Status.ARCHIVED, Result.SAME, None),
        (Status.BOUNCED, Result.REFUSED, Fact.UNDELIVERABLE),
        (Status.PENDING, Result.REFUSED, Fact.NOT_ALLOWED),
    ],
)
def test_archiving_depends_on_the_status(status: Status, result: Result, fact: Fact | None) -> None:
    world = World({_A: status})
    outcome = _archive(world, world.records()[_A])

    assert (outcome.result, outcome.fact) == (result, fact)
    assert (world.shows(_A)["word"] == "archived") is (fact is None)


def test_archiving_who_is_gone_changes_nothing() -> None:
    world = World(numbered(2))
    record = world.records()[_A]
    world.act("forget", _A)
    assert _archive(world, record).result is Result.SAME

    world.mock.account.audiences.clear()
    assert _archive(world, record).result is Result.FAILED


def test_a_rename_keeps_the_id_and_everything_else() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    outcome = _rename(world, record, "Ada@example.org")

    assert (outcome.result, outcome.record_id) == (Result.APPLIED, record.id)
    assert outcome.record is not None
    assert outcome.record.addresses == ("Ada@example.org",)
    assert world.bodies()[-1] == {"email_address": "Ada@example.org"}
    assert _rename(world, record, "ada@example.org").result is Result.APPLIED


@pytest.mark.parametrize("is_german", [False, True])
@pytest.mark.parametrize("status", [Status.IN, Status.OUT, Status.ARCHIVED])
def test_a_rename_to_an_address_that_is_a_member_is_refused(status: Status, is_german: bool) -> None:
    world = World({_A: Status.IN, _B: status})
    record = world.records()[_A]
    if is_german:
        world.line.rewrite = _translate
    outcome = _rename(world, record, _B)

    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.EXISTS)
    assert world.shows(_A)["word"] == "subscribed"


def _translate(_method: str, _path: str, body: Any) -> Any:
    if isinstance(body, dict) and "detail" in body:
        errors = [error | {"message": "Nein."} for error in body.get("errors", ())]
        return body | {"detail": "Nein.", "errors": errors}
    return body


@pytest.mark.parametrize(
    ("status", "fact"),
    [
        (Status.OUT, Fact.NOT_ALLOWED),
        (Status.BOUNCED, Fact.UNDELIVERABLE),
        (Status.ARCHIVED, Fact.ARCHIVED),
    ],
)
def test_a_member_who_is_not_active_is_not_renamed(status: Status, fact: Fact) -> None:
    world = World({_A: status})
    outcome = _rename(world, world.records()[_A], "new@example.org")

    assert (outcome.result, outcome.fact) == (Result.REFUSED, fact)


def test_renaming_who_is_gone_says_so() -> None:
    world = World(numbered(2))
    record = world.records()[_A]
    world.act("forget", _A)

    assert _rename(world, record, "new@example.org").fact is Fact.GONE


def test_many_members_are_tagged_with_one_call_a_tag() -> None:
    world = World(numbered(40))
    records = world.records()
    assert {o.result for o in _tag(world, *records.values(), left=True, old=False)} == {Result.APPLIED}
    # The names of the tags, the new tag, its members. A tag that nobody has needs no removal.
    assert world.calls("GET", "/tag-search") == 1
    assert world.calls("POST") == 2
    assert world.shows(_A)["tags"] == ["left"]

    _tag(world, records[_A], records[_B], LEFT=False)
    assert [world.shows(address)["tags"] for address in (_A, _B, _C)] == [[], [], ["left"]]


def test_one_member_is_tagged_by_id_without_starting_automations() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    [outcome] = _tag(world, record, left=True)

    assert outcome.result is Result.APPLIED
    assert world.bodies()[-1] == {"tags": [{"name": "left", "status": "active"}], "is_syncing": True}


def test_tagging_who_is_gone_says_so_and_tags_the_others() -> None:
    world = World(numbered(3))
    records = world.records()
    world.act("forget", _A)
    outcomes = {o.record_id: o for o in _tag(world, *records.values(), left=True)}

    assert outcomes[records[_A].id].fact is Fact.GONE
    assert world.shows(_B)["tags"] == ["left"]


def test_a_sign_up_counts_only_when_it_is_newer() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    assert world.connector.confirm_opt_in(world.spec.collection, record.id, START) is None

    world.clock.advance(60)
    world.act("resubscribe", _A)
    found = world.connector.confirm_opt_in(world.spec.collection, record.id, START)
    assert found is not None
    assert found.at == START + timedelta(seconds=60)
    assert world.connector.confirm_opt_in(world.spec.collection, record.id, found.at) is None


def test_a_subscription_written_by_another_program_is_no_sign_up() -> None:
    world = World({_A: Status.UNKNOWN})
    record = world.records()[_A]
    world.clock.advance(60)
    world.act("flip_in", _A)

    assert world.connector.confirm_opt_in(world.spec.collection, record.id, START) is None
    assert world.connector.confirm_opt_in(world.spec.collection, "0" * 32, START) is None


@pytest.mark.parametrize(
    ("item", "counts"),
    [
        ({"activity_type": "generic_signup"}, False),
        ({"activity_type": "generic_signup", "signup_category": "API"}, False),
        ({"activity_type": "generic_signup", "signup_category": "Pop-up form"}, True),
        ({"activity_type": "generic_signup", "signup_category": "api3_import"}, False),
        ({"activity_type": "generic_signup", "signup_category": "Added by admin"}, False),
        ({"activity_type": "landing_page_signup", "landing_page_title": "Spring"}, True),
        ({"activity_type": "landing_page_signup", "landing_page_title": "Important news"}, True),
        ({"activity_type": "landing_page_signup", "landing_page_title": "Therapists of the capital"}, True),
        ({"activity_type": "landing_page_signup", "landing_page_title": "News of our API"}, True),
        ({"activity_type": "website_signup", "title": "Import and export"}, True),
        ({"activity_type": "signup", "source": "API - Generic"}, False),
        ({"activity_type": "signup", "source": "list_import"}, False),
        ({"activity_type": "ecommerce_signup"}, False),
        ({"activity_type": "open"}, False),
    ],
)
def test_only_what_the_person_did_is_a_sign_up(item: dict[str, str], counts: bool) -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    at = (START + timedelta(hours=1)).isoformat()

    def answer(_method: str, path: str, body: Any) -> Any:
        return {"activity": [item | {"created_at_timestamp": at}]} if path.endswith("/activity-feed") else body

    world.line.rewrite = answer
    found = world.connector.confirm_opt_in(world.spec.collection, record.id, START)
    assert (found is not None) is counts
