"""What became of the mails, as the connector tells it; and the reports of the mock."""

from datetime import datetime, timedelta
from pathlib import Path

import mailchimp_marketing.api.reports_api as vendor
import pytest

from optsync.connect.contract import CanReportActivity
from optsync.errors import SystemUnavailable
from optsync.model.record import Status
from optsync.model.sign import Sign, SignKind, SignPage
from optsync_mailchimp.mocking import reports
from optsync_mailchimp.mocking.people import furnish
from optsync_mailchimp.tests.world import START, World, numbered

ANN = "ann@example.org"
SINCE = START - timedelta(days=30)
OPENED, SOFT, HARD = SignKind.OPENED, SignKind.SOFT_BOUNCE, SignKind.HARD_BOUNCE


@pytest.fixture
def world() -> World:
    return World({ANN: Status.IN, "ben@example.org": Status.IN, "gone@example.org": Status.OUT})


def look(world: World, cursor: str | None = None, since: datetime = SINCE) -> list[SignPage]:
    return list(world.connector.activity(world.spec.collection, cursor, since))


def told(pages: list[SignPage]) -> list[tuple[str, SignKind]]:
    return [(sign.address, sign.kind) for page in pages for sign in page.signs]


def later(world: World, **span: float) -> None:
    world.clock.advance(timedelta(**span).total_seconds())


def test_opens_clicks_and_bounces_become_signs_with_their_own_time(world: World) -> None:
    assert isinstance(world.connector, CanReportActivity)
    campaign = world.mock.act("send_campaign")
    later(world, hours=1)
    world.act("open", ANN)
    world.act("click", ANN)
    world.act("soft_bounce", "ben@example.org")
    later(world, minutes=1)
    world.act("hard_bounce", "ben@example.org")

    pages = look(world)
    at = START + timedelta(hours=1)
    assert sorted(told(pages)) == [(ANN, OPENED), (ANN, OPENED), ("ben@example.org", HARD), ("ben@example.org", SOFT)]
    assert pages[0].signs[0] in {
        Sign(address=address, kind=kind, at=at, mailing=campaign)
        for address, kind in ((ANN, OPENED), ("ben@example.org", SOFT))
    }
    assert [page.is_last for page in pages] == [False, True]
    assert {page.mailed_at for page in pages} == {START}


def test_without_a_campaign_nothing_is_said_and_nobody_was_mailed(world: World) -> None:
    (page,) = look(world)
    assert (page.signs, page.mailed_at, page.is_last) == ((), None, True)


def test_the_next_look_shows_only_what_came_since_and_a_little_before(world: World) -> None:
    world.mock.act("send_campaign")
    later(world, hours=1)
    world.act("soft_bounce", ANN)
    later(world, hours=5)
    cursor = look(world)[-1].cursor
    assert told(look(world, cursor)) == []
    world.act("open", ANN)
    assert told(look(world, cursor)) == [(ANN, OPENED)]


def test_campaigns_that_nothing_more_was_heard_of_are_not_read(world: World) -> None:
    for _ in range(3):
        world.mock.act("send_campaign")
        later(world, days=1)
    cursor = look(world)[-1].cursor
    later(world, days=20)
    before = world.calls("GET", "/email-activity")
    cursor = look(world, cursor)[-1].cursor
    assert world.calls("GET", "/email-activity") == before + 3
    later(world, days=20)
    assert told(look(world, cursor)) == []
    assert world.calls("GET", "/email-activity") == before + 3

    world.act("open", ANN)
    assert told(look(world, cursor)) == [(ANN, OPENED)]
    assert world.calls("GET", "/email-activity") == before + 4


@pytest.mark.parametrize("everybody", [True, False])
def test_pages_are_bounded_and_any_of_them_can_be_resumed(monkeypatch: pytest.MonkeyPatch, everybody: bool) -> None:
    monkeypatch.setattr("optsync_mailchimp.signs.PAGE_SIZE", 2)
    world = World(numbered(7), activity_shows_everybody=everybody)
    people = sorted(numbered(7))
    for _ in range(2):
        world.mock.act("send_campaign")
        later(world, hours=1)
        for email in people:
            world.act("soft_bounce", email)
    whole = look(world)
    assert max(len(page.signs) for page in whole) == 2
    assert sorted(told(whole)) == sorted((email, SOFT) for email in people * 2)
    for number, page in enumerate(whole[:-1]):
        rest = look(world, page.cursor)
        assert told(whole[: number + 1]) + told(rest) == told(whole)


def test_campaigns_of_other_audiences_and_deleted_ones_say_nothing(world: World) -> None:
    gone = world.mock.act("send_campaign")
    world.mock.act("send_campaign")
    world.act("open", ANN)
    furnish(world.mock.account, "0123456789", "Others")
    world.mock.account.campaigns[gone].list_id = "0123456789"
    assert told(look(world)) == [(ANN, OPENED)]

    world.mock.account.campaigns[gone].list_id = world.spec.collection
    pages = world.connector.activity(world.spec.collection, None, SINCE)
    first = next(iter(pages))
    assert not first.is_last
    for campaign in list(world.mock.account.campaigns):
        del world.mock.account.campaigns[campaign]
    assert [page.is_last for page in pages] == [True]


def test_an_unreadable_cursor_shows_all_of_it_again(world: World) -> None:
    world.mock.act("send_campaign")
    world.act("open", ANN)
    assert told(look(world, "rubbish")) == [(ANN, OPENED)]


@pytest.mark.parametrize("path", ["/reports", "/email-activity"])
def test_an_answer_without_its_list_concludes_nothing(world: World, path: str) -> None:
    world.mock.act("send_campaign")
    world.line.rewrite = lambda _, asked, body: {"total_items": 0} if asked.endswith(path) else body
    with pytest.raises(SystemUnavailable):
        look(world)


def test_rows_and_items_that_make_no_sense_are_passed_over(world: World) -> None:
    world.mock.act("send_campaign")
    world.act("open", ANN)
    strange = [
        {"email_address": None, "activity": []},
        {"email_address": "x@example.org"},
        {"email_address": "y@example.org", "activity": ["?", {"action": "danced"}, {"action": "open"}]},
        {"email_address": "z@example.org", "activity": [{"action": "bounce", "type": "syntax", "timestamp": "?"}]},
    ]

    def add(_: str, path: str, body: dict[str, object]) -> dict[str, object]:
        if path.endswith("/email-activity"):
            rows = body["emails"]
            assert isinstance(rows, list)
            return {**body, "emails": [*strange, *rows]}
        return body

    world.line.rewrite = add
    assert told(look(world)) == [(ANN, OPENED)]


def test_the_mock_answers_every_report_it_has_as_the_vendors_own_client_names_it(world: World) -> None:
    names = {"/reports/{campaign_id}/email-activity", "/reports/{campaign_id}/email-activity/{subscriber_hash}"}
    source = Path(vendor.__file__).read_text(encoding="utf-8")
    assert all(f"'{name}'" in source for name in names | {"/reports", "/reports/{campaign_id}"})
    assert len(reports.ROUTES) == 4
