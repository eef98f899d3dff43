"""A record in which nothing stands for the scope is given no status."""

from dataclasses import replace
from typing import Any

import pytest

from optsync.model.change import ChangeKind
from optsync.model.record import Status
from optsync.model.statement import Statement
from optsync.reconcile.project import project
from optsync.reconcile.view import Seen
from tests.reconcile.places import CRM, around, contact, grant, member, out, policy

UNMAPPED: dict[str, Any] = {"crm": replace(CRM, opt_out=None, opt_in=None)}


def with_status(seen: Seen, status: Status | None) -> Seen:
    return replace(seen, record=replace(seen.record, status=status))


@pytest.mark.parametrize(
    ("seen", "said", "how", "expected"),
    [
        # a CRM without a status whose flags are not mapped
        (contact(1), out(), UNMAPPED, []),
        (contact(1), grant(), UNMAPPED, []),
        # one that has a status, or a flag
        (with_status(contact(1), Status.IN), out(), UNMAPPED, [ChangeKind.OPT_OUT]),
        (with_status(contact(1), Status.UNKNOWN), grant(), UNMAPPED, [ChangeKind.OPT_IN]),
        (contact(1), out(), {}, [ChangeKind.OPT_OUT]),
        (contact(1), grant(), {}, [ChangeKind.OPT_IN]),
        (contact(1), out(), {"crm": replace(CRM, opt_in=None)}, [ChangeKind.OPT_OUT]),
        # every platform has one, told or not
        (member(2), out(), UNMAPPED, [ChangeKind.OPT_OUT]),
        (with_status(member(2), None), out(), UNMAPPED, [ChangeKind.OPT_OUT]),
    ],
)
def test_a_status_is_written_only_where_something_shows_it(
    seen: Seen, said: Statement, how: dict[str, Any], expected: list[ChangeKind]
) -> None:
    found = around(seen, said={1: [said]})
    kinds = {ChangeKind.OPT_OUT, ChangeKind.OPT_IN}

    assert [i.kind for i in project(seen, found, policy(**how)) if i.kind in kinds] == expected
