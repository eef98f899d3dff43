from importlib.metadata import EntryPoint

import pytest

from optsync.connect import handlers
from tests.cli.desk import Desk


def test_a_check_names_the_accounts_and_finds_nothing_wrong(desk: Desk) -> None:
    text, document = desk.optsync("check"), desk.optsync("check", "--json")
    assert (text.code, document.code) == (0, 0)
    assert "Everything that is configured is there" in text.out
    systems = document.json["systems"]
    assert document.json["ok"] is True
    assert set(systems) == {"crm", "mc"}
    assert all(s["ok"] and s["account_id"] and s["clock_offset_s"] is not None for s in systems.values())
    assert desk.writes() == 0


def test_what_does_not_exist_in_a_system_is_named_and_ends_in_2(desk: Desk) -> None:
    sync = desk.document["syncs"]["newsletter"]
    fields = [*sync["fields"], {"crm": "UF_CRM_NOWHERE", "esp": "NOPE"}]
    desk.write(syncs={"newsletter": {**sync, "fields": fields}})
    answer = desk.optsync("check")
    assert answer.code == 2
    assert "UF_CRM_NOWHERE" in answer.out
    assert "NOPE" in answer.out
    problems = desk.optsync("check", "--json").json["systems"]["crm"]["problems"]
    assert {p["severity"] for p in problems} >= {"error"}


def test_a_direction_that_is_switched_off_is_warned_about(desk: Desk) -> None:
    sync = desk.document["syncs"]["newsletter"]
    desk.write(syncs={"newsletter": {**sync, "opt_out": {"crm_to_esp": True, "esp_to_crm": False}}})
    answer = desk.optsync("check")
    assert answer.code == 0
    assert "warning: sync newsletter: opt_out.esp_to_crm is off" in answer.out
    assert "opt_out.esp_to_crm is off" in desk.optsync("status").out


@pytest.mark.parametrize(
    ("policy", "power", "lacks"),
    [
        ("tag", "CanReportActivity", "does not report who gives signs of life"),
        ("exclude", "CanReportActivity", "does not report who gives signs of life"),
        ("tag", "CanTag", "cannot tag"),
        ("exclude", "CanArchive", "cannot archive"),
    ],
)
def test_a_policy_for_inactive_people_without_the_power_is_warned_about(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, policy: str, power: str, lacks: str
) -> None:
    sync = desk.document["syncs"]["newsletter"]
    desk.write(syncs={"newsletter": {**sync, "policy": {"inactive": policy}}})
    assert "has no effect" not in desk.optsync("check").out
    monkeypatch.setattr(f"optsync.sync.check.{power}", type("Unknown", (), {}))
    assert f"policy.inactive: {policy} has no effect: the connector of mc {lacks}" in desk.optsync("check").out


def test_the_fields_of_a_system_are_listed_with_types_and_topics(desk: Desk) -> None:
    document = desk.optsync("fields", "mc", "--json").json
    [audience] = [c for c in document["collections"] if c["fields"]]
    assert {f["name"]: f["type"] for f in audience["fields"]}["FNAME"] == "text"
    assert "Topics/News" in audience["topics"]
    text = desk.optsync("fields", "crm")
    assert text.code == 0
    assert "UF_CRM_OPT_OUT" in text.out
    assert not desk.database.exists()


def test_the_fields_of_an_unknown_system_are_a_usage_error(lonely: Desk) -> None:
    answer = lonely.optsync("fields", "erp")
    assert answer.code == 2
    assert "configured: crm, mc" in answer.err


def test_installed_connectors_are_listed_without_a_configuration(lonely: Desk) -> None:
    lonely.path.unlink()
    document = {c["name"]: c for c in lonely.optsync("connectors", "--json").json}
    assert document["bitrix24"]["sides"] == ["crm"]
    assert document["bitrix24"]["has_mock"] is True
    assert "rename" in document["mailchimp"]["can"]
    assert document["mailman3"]["has_mock"] is False
    answer = lonely.optsync("connectors")
    assert "mailman3" in answer.out
    assert "No handlers of your own are installed." in answer.out


def test_an_organisations_own_handlers_are_listed_with_what_is_wrong_with_them(
    lonely: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lonely.folder / "ends_at_once.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(lonely.folder)
    values = {"leave": "tests.scenarios.own_handlers:leave", "lost": "tests.nowhere:lost", "over": "ends_at_once:over"}
    points = {n: EntryPoint(name=n, value=value, group=handlers.HANDLERS) for n, value in values.items()}
    monkeypatch.setattr(handlers, "installed", lambda: points)

    working, lost, over = [e for e in lonely.optsync("connectors", "--json").json if e["kind"] == "handler"]
    assert working == {"kind": "handler", "name": "leave", "version": None, "function": values["leave"]}
    assert lost["error"] == "handler lost (tests.nowhere:lost) cannot be imported: ModuleNotFoundError"
    assert over["error"] == "handler over (ends_at_once:over) cannot be imported: SystemExit"
    text = lonely.optsync("connectors").out
    assert "leave" in text
    assert "cannot be imported" in text
