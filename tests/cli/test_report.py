import pytest

from tests.cli.desk import CRM, ESP, Desk

ENTRY = {"email", "scope", "system", "record", "shows", "standing", "reason", "since"}
LISTS = ("mailed_without_basis", "blocked_although_allowed", "mismatches")


def test_the_report_before_the_first_run_knows_nothing_and_asks_nobody(desk: Desk) -> None:
    part = desk.optsync("report", "--json").json["syncs"]["newsletter"]
    assert part == {"counts": [], **{name: [] for name in LISTS}, **{f"{name}_total": 0 for name in LISTS}}
    assert "nothing is known yet" in desk.optsync("report").out
    assert desk.calls() == 0


def test_the_report_names_who_is_mailed_without_a_basis_and_counts_every_record(desk: Desk) -> None:
    desk.optsync("sync")
    desk.optsync("opt-out", "ann1@example.com", "--actor", "Eve", "--scope", "acme/marketing")
    calls = desk.calls()
    part = desk.optsync("report", "newsletter", "--json").json["syncs"]["newsletter"]
    assert desk.calls() == calls

    assert sum(c["count"] for c in part["counts"]) == 6
    assert all(c.keys() == {"standing", "system", "shows", "count"} for c in part["counts"])
    assert part["mailed_without_basis_total"] == 3
    of_ann = [e for e in part["mailed_without_basis"] if e["email"] == "ann1@example.com"]
    assert [e.keys() for e in of_ann] == [ENTRY]
    assert of_ann[0]["reason"] == "opted out; waiting: the next cycle writes it"
    assert {e["system"] for e in part["mismatches"]} == {"crm", "mc"}


def test_the_lists_end_where_they_are_told_to_and_the_totals_do_not(desk: Desk) -> None:
    desk.optsync("sync")
    part = desk.optsync("report", "--limit", "1", "--json").json["syncs"]["newsletter"]
    assert (len(part["mailed_without_basis"]), part["mailed_without_basis_total"]) == (1, 3)
    shown = desk.optsync("report", "--limit", "1").out
    assert "newsletter: mailed without basis 3, blocked although allowed 0, mismatches 0" in shown
    assert "mailed without basis: 3, the first 1" in shown
    assert "no consent known" in shown


def test_when_all_is_well_the_report_says_so(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.act(ESP, "unsubscribe", email=f"ann{number}@example.com")
    desk.optsync("sync")
    desk.optsync("sync")
    shown = desk.optsync("report").out
    assert "all is well" in shown
    assert desk.act(CRM, "view", email="ann1@example.com")["opt_out"] is True


@pytest.mark.parametrize("arguments", [["letters"], ["--limit", "-1"], ["--limit", "many"]])
def test_an_unknown_sync_or_limit_is_a_usage_error(lonely: Desk, arguments: list[str]) -> None:
    assert lonely.optsync("report", *arguments).code == 2
