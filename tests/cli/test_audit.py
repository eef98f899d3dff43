from tests.cli.desk import ESP, Desk

GOOD = '<a href="*|UNSUB|*">Unsubscribe</a>'


def test_a_platform_without_any_template_is_not_said_to_be_fine(desk: Desk) -> None:
    answer = desk.optsync("audit", "templates", "mc")
    assert (answer.code, answer.out) == (0, "There are no templates and no drafts to look at.\n")


def test_templates_and_drafts_without_a_way_out_are_named_with_what_to_do(desk: Desk) -> None:
    draft = desk.act(ESP, "draft_campaign", title="Spring sale", html='<a href="*|UNSUBSCRIBE|*">Unsubscribe</a>')
    template = desk.act(ESP, "make_template", name="Plain", sections={"footer": '<a href="#">unsubscribe</a>'})
    desk.act(ESP, "draft_campaign", title="Fine")
    desk.act(ESP, "draft_campaign", title="Just begun", html="")
    desk.act(ESP, "make_template", name="Fine", sections={"body": "<p>Hello</p>", "footer": GOOD})
    desk.act(ESP, "make_template", name="Deleted", sections={"body": "x"}, is_active=False)
    desk.act(ESP, "make_template", name="Vendor's", sections={"body": "x"}, kind="gallery")

    answer = desk.optsync("audit", "templates", "mc", "--json")
    assert answer.code == 1
    found = {f["id"]: f for f in answer.json["findings"]}
    assert set(found) == {draft, str(template)}
    assert (found[draft]["kind"], found[draft]["name"], found[draft]["flaw"]) == (
        "campaign",
        "Spring sale",
        "misspelt_tag",
    )
    assert "*|UNSUBSCRIBE|*" in found[draft]["found"]
    assert found[draft]["advice"] == "write *|UNSUB|*"
    assert (found[str(template)]["kind"], found[str(template)]["flaw"]) == ("template", "dead_link")
    assert (answer.json["checked"], [m["name"] for m in answer.json["unread"]]) == (5, ["Just begun"])

    text = desk.optsync("audit", "templates", "mc")
    assert text.code == 1
    assert f"campaign {draft} “Spring sale” (html): the tag *|UNSUBSCRIBE|* is not replaced" in text.out
    assert "not judged: campaign" in text.out
    assert "5 templates and drafts: 2 without a way out that works." in text.out
    assert desk.writes() == 0
    assert not desk.database.exists()


def test_an_account_in_order_ends_in_0(desk: Desk) -> None:
    desk.act(ESP, "draft_campaign", title="Fine")
    answer = desk.optsync("audit", "templates", "mc")
    assert answer.code == 0
    assert "1 templates and drafts: every one that could be judged has a way out." in answer.out


def test_links_to_pages_that_optsync_does_not_serve_are_no_way_out(desk: Desk) -> None:
    url = "https://optsync.example.com"
    desk.write(web={"public_url": url})
    desk.act(ESP, "draft_campaign", title="Ours", html=f'<a href="{url}/o/*|TOKEN|*">Unsubscribe</a>')
    assert desk.optsync("audit", "templates", "mc").code == 1


def test_a_system_that_cannot_list_templates_is_refused(desk: Desk) -> None:
    answer = desk.optsync("audit", "templates", "crm", "--json")
    assert (answer.code, answer.json["error"]) == (1, "refused")
    assert "crm cannot list templates" in answer.json["reason"]


def test_an_unknown_system_and_one_that_lets_nobody_in_are_told_apart(desk: Desk) -> None:
    assert desk.optsync("audit", "templates", "erp").code == 2
    systems = desk.document["systems"]
    desk.write(systems={**systems, "mc": {**systems["mc"], "api_key": f"{'0' * 32}-us6"}})
    assert desk.optsync("audit", "templates", "mc").code == 3
    assert desk.optsync("audit").code == 2
