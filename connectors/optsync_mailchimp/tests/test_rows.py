"""Rows of a listing: what is parsed of each, and what becomes of odd ones."""

from typing import Any

import pytest

from optsync.connect.http import parsed
from optsync_mailchimp.rows import LISTING, Row, rows_of

ANN = (
    b'{"id":"h","email_address":"ann@example.org","contact_id":"c1","status":"subscribed","last_changed":"2026-11-30"}'
)


def listed(*rows: bytes, total: bytes = b"9") -> list[Row]:
    """As an answer with these rows gives them."""
    body, is_json = parsed(b'{"members":[' + b",".join(rows) + b'],"total_items":' + total + b"}", LISTING)
    assert is_json
    return rows_of(body)


def shown(row: Row) -> tuple[str, str | None, str | None]:
    return row.key, row.email_address, row.last_changed


def test_a_row_tells_who_it_is_and_keeps_everything_else_as_it_came() -> None:
    (row,) = listed(ANN)

    assert shown(row) == ("c1", "ann@example.org", "2026-11-30")
    assert bytes(row.raw) == ANN
    assert row.member()["status"] == "subscribed"


@pytest.mark.parametrize("total", [b"9", b'"nine"'])
def test_values_of_other_types_are_read_as_text_wherever_else_the_answer_is_odd(total: bytes) -> None:
    rows = listed(b'{"contact_id":7,"email_address":null,"last_changed":20261130}', b"null", b"3", ANN, total=total)

    assert [shown(row) for row in rows] == [("7", None, "20261130"), ("c1", "ann@example.org", "2026-11-30")]
    assert [row.member()["contact_id"] for row in rows] == [7, "c1"]


@pytest.mark.parametrize("broken", [b"\xff", b"\\ud83d"])
def test_a_broken_character_spoils_its_own_text_only(broken: bytes) -> None:
    rows = listed(b'{"contact_id":"c0","merge_fields":{"FNAME":"Jo' + broken + b'"}}', ANN)

    members: list[Any] = [row.member() for row in rows]
    assert members[0]["merge_fields"] == {"FNAME": "Jo\N{REPLACEMENT CHARACTER}"}
    assert members[1]["email_address"] == "ann@example.org"


def test_a_row_without_a_contact_id_is_known_by_its_hash_or_not_at_all() -> None:
    assert [row.key for row in listed(b'{"id":"h"}', b'{"contact_id":""}')] == ["h", "?"]


def test_a_problem_that_comes_as_a_success_is_still_seen() -> None:
    body, _ = parsed(b'{"members":[],"total_items":0,"title":"Forbidden","status":403,"more":1}', LISTING)

    assert body == {"members": [], "total_items": 0, "title": "Forbidden", "status": 403}
