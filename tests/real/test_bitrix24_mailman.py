"""A CRM and a real GNU Mailman, both ways, through the whole engine."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.real.mailman_server import MailmanServer
from tests.real.pair import CRM, Pair, address, member

pytestmark = pytest.mark.real

OUT, IN, SILENT = (True, False), (False, True), (False, False)
CONSENTED_AT = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


def test_the_first_sync_takes_wishes_over_and_opts_nobody_in(mailman: MailmanServer, tmp_path: Path) -> None:
    people = [
        member("ann"),
        member("bob", opt_out=True),
        member("cleo", in_esp=False, opt_in=True, consent_at=CONSENTED_AT, consent_source="web form"),
        member("dan", in_esp=False),
        member("eve", in_esp=False, opt_in=True, consent_at=CONSENTED_AT, is_client=False),
    ]
    with Pair(mailman, tmp_path, people) as pair:
        assert pair.changes() == {
            ("mailman", "bob", "opt_out", "out_travels"),
            ("mailman", "cleo", "create", "entered_list"),
        }
        assert pair.roster() == {"ann": "enabled", "cleo": "enabled"}
        assert [pair.flags(name) for name in ("ann", "bob", "dan")] == [SILENT, OUT, SILENT]
        pair.settle()


def test_who_leaves_the_list_is_opted_out_in_the_crm(mailman: MailmanServer, tmp_path: Path) -> None:
    with Pair(mailman, tmp_path, [member("ann"), member("bob")]) as pair:
        pair.sync()
        mailman.unsubscribe(pair.list_id, address("ann"))
        assert ("crm", "ann", "opt_out", "out_travels") in pair.changes()
        assert (pair.flags("ann"), pair.flags("bob")) == (OUT, SILENT)
        pair.settle()


def test_who_is_opted_out_in_the_crm_is_taken_off_the_list(mailman: MailmanServer, tmp_path: Path) -> None:
    with Pair(mailman, tmp_path, [member("ann"), member("bob")]) as pair:
        pair.sync()
        pair.crm.act(CRM, "opt_out", email=address("bob"))
        assert pair.changes() == {("mailman", "bob", "opt_out", "out_travels")}
        assert pair.roster() == {"ann": "enabled"}
        pair.settle()
        assert pair.flags("bob") == OUT


def test_somebody_put_back_on_the_list_without_evidence_is_taken_off_again(
    mailman: MailmanServer, tmp_path: Path
) -> None:
    with Pair(mailman, tmp_path, [member("ann")]) as pair:
        pair.sync()
        mailman.unsubscribe(pair.list_id, address("ann"))
        pair.sync()
        mailman.subscribe(pair.list_id, address("ann"))
        assert pair.changes() == {("mailman", "ann", "opt_out", "restrictive_wins")}
        assert (pair.roster(), pair.flags("ann")) == ({}, OUT)
        (issue,) = pair.issues()
        assert (issue.kind, issue.system, issue.email) == ("refused_opt_in", "mailman", address("ann"))
        pair.settle()


def test_where_the_list_is_trusted_coming_back_to_it_opts_in_again(mailman: MailmanServer, tmp_path: Path) -> None:
    with Pair(mailman, tmp_path, [member("ann")], esp={"grants": {"status": "trusted"}}) as pair:
        pair.sync()
        mailman.unsubscribe(pair.list_id, address("ann"))
        pair.sync()
        mailman.subscribe(pair.list_id, address("ann"))
        assert ("crm", "ann", "opt_in", "grant_lifts_out") in pair.changes()
        assert (pair.roster(), pair.flags("ann")) == ({"ann": "enabled"}, IN)
        pair.settle()


def test_an_opt_in_ticked_in_the_crm_without_evidence_is_unticked(mailman: MailmanServer, tmp_path: Path) -> None:
    with Pair(mailman, tmp_path, [member("ann")]) as pair:
        pair.sync()
        mailman.unsubscribe(pair.list_id, address("ann"))
        pair.sync()
        pair.crm.act(CRM, "opt_in", email=address("ann"))
        assert ("crm", "ann", "opt_out") in {change[:3] for change in pair.changes()}
        assert (pair.roster(), pair.flags("ann")) == ({}, OUT)
        assert [(issue.kind, issue.system) for issue in pair.issues()] == [("refused_opt_in", "crm")]
        pair.settle()


def test_pausing_the_delivery_is_opting_out(mailman: MailmanServer, tmp_path: Path) -> None:
    with Pair(mailman, tmp_path, [member("ann")]) as pair:
        pair.sync()
        mailman.pause(pair.list_id, address("ann"))
        assert ("crm", "ann", "opt_out", "out_travels") in pair.changes()
        assert (pair.roster(), pair.flags("ann")) == ({"ann": "by_user"}, OUT)
        pair.settle()


def test_a_member_suspended_after_bounces_is_marked_and_not_opted_out(mailman: MailmanServer, tmp_path: Path) -> None:
    with Pair(mailman, tmp_path, [member("ann")]) as pair:
        pair.sync()
        mailman.pause(pair.list_id, address("ann"), "by_bounces")
        assert pair.changes() == {("crm", "ann", "bounce", "bounce_marked")}
        assert (pair.roster(), pair.flags("ann")) == ({"ann": "by_bounces"}, SILENT)
        pair.settle()


def test_both_leave_at_once_and_everything_agrees_after_one_sync(mailman: MailmanServer, tmp_path: Path) -> None:
    with Pair(mailman, tmp_path, [member(f"m{number}", number=number) for number in range(30)]) as pair:
        pair.sync()
        for number in range(10):
            mailman.unsubscribe(pair.list_id, address(f"m{number}"))
        for number in range(5, 15):
            pair.crm.act(CRM, "opt_out", email=address(f"m{number}"))
        pair.sync()
        assert pair.roster() == {f"m{number}": "enabled" for number in range(15, 30)}
        assert [pair.flags(f"m{number}") for number in range(30)] == [OUT] * 15 + [SILENT] * 15
        pair.settle()
