"""Templates and unsent campaigns, as the connector shows them; and the mock's answers about them."""

from typing import Any

import pytest

from optsync.connect.contract import CanListTemplates
from optsync.errors import SystemUnavailable
from optsync.model.mailing import MailingKind, MailText
from optsync_mailchimp.tests.api import Api
from optsync_mailchimp.tests.world import World

FOOTER = '<a href="*|UNSUB|*">Leave</a>'


@pytest.fixture
def world() -> World:
    return World({})


def test_own_active_templates_and_everything_unsent_is_shown(world: World) -> None:
    assert isinstance(world.connector, CanListTemplates)
    act = world.mock.act
    template = act("make_template", name="House style", sections={"body": "<p>…</p>", "foot": FOOTER, "none": ""})
    act("make_template", name="Old", sections={"foot": FOOTER}, is_active=False)
    act("make_template", name="Theirs", sections={"foot": FOOTER}, kind="gallery")
    ids = {s: act("draft_campaign", title=s, html=FOOTER, status=s) for s in ("save", "paused", "schedule")}
    act("send_campaign")

    shown = list(world.connector.templates())
    assert [(m.kind, m.id, m.name) for m in shown] == [
        (MailingKind.TEMPLATE, str(template), "House style"),
        *((MailingKind.CAMPAIGN, ids[s], s) for s in ids),
    ]
    assert shown[0].texts == (MailText(name="html", fragments=("<p>…</p>", FOOTER)),)
    assert (shown[0].is_whole, shown[1].is_whole) == (False, True)
    assert shown[0].tags.names == ("*|UNSUB|*",)


def test_a_campaign_is_judged_by_its_html_its_plain_text_and_every_variant(world: World) -> None:
    world.mock.act("draft_campaign", title="Test", html=FOOTER, plain_text="Leave: *|UNSUB|*")
    world.mock.act("draft_campaign", title="Plain", plain_text="Leave: *|UNSUB|*", kind="plaintext")

    def vary(_: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        variants = [{"content_label": "B", "html": "<p>B</p>", "plain_text": " "}, None]
        return {**body, "variate_contents": variants} if path.endswith("/content") and "html" in body else body

    world.line.rewrite = vary
    varied, plain = world.connector.templates()
    assert [(t.name, t.is_html) for t in varied.texts] == [("html", True), ("plain_text", False), ("html B", True)]
    assert [(t.name, t.is_html) for t in plain.texts] == [("plain_text", False)]


def test_what_has_no_content_or_shows_none_says_so(world: World) -> None:
    world.mock.act("make_template", name="Fixed", sections={})
    world.mock.act("draft_campaign", title="Begun", html="")
    assert [(m.name, m.texts, bool(m.reason)) for m in world.connector.templates()] == [
        ("Fixed", (), True),
        ("Begun", (), True),
    ]


def test_what_is_deleted_while_it_is_read_is_no_fault(world: World) -> None:
    world.mock.act("draft_campaign", title="Gone")
    found = world.connector.templates()
    world.line.after = lambda count: world.mock.account.campaigns.clear() if count == 2 else None
    assert [m.texts for m in found] == [()]


def test_lists_are_read_to_their_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optsync_mailchimp.mailings._PAGE", 2)
    for number in range(5):
        world.mock.act("make_template", name=str(number), sections={"foot": FOOTER})
    assert [m.name for m in world.connector.templates()] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("path", ["/templates", "/campaigns", "/default-content", "/content"])
def test_an_answer_that_makes_no_sense_concludes_nothing(world: World, path: str) -> None:
    world.mock.act("make_template", name="House style", sections={"foot": FOOTER})
    world.mock.act("draft_campaign", title="Test")
    refusal = {"title": "Bad Request", "status": 400, "detail": "no"}
    world.line.rewrite = lambda _, asked, body: refusal if asked.endswith(path) else body
    with pytest.raises(SystemUnavailable):
        list(world.connector.templates())


def test_the_mock_filters_and_refuses_as_the_vendor_does() -> None:
    api = Api()
    draft = api.act("draft_campaign", title="Test")
    template = api.act("make_template", name="House style", sections={"foot": FOOTER})
    assert api.call("GET", "/campaigns", status="sent").body["campaigns"] == []
    assert api.call("GET", "/campaigns", list_id="4c1a9f02bb").body["total_items"] == 1
    assert api.call("GET", "/campaigns", status="eaten").status == 400
    assert api.call("GET", "/templates", type="eaten").status == 400
    assert api.call("GET", f"/campaigns/{draft}").body["settings"]["title"] == "Test"
    assert api.call("GET", f"/templates/{template}").body["name"] == "House style"
    assert api.call("GET", f"/reports/{draft}").status == 404
    for path in ("/campaigns/0/content", "/templates/0/default-content", "/templates/x", "/reports/0/email-activity"):
        assert api.call("GET", path).status == 404
