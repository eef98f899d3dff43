"""Whether a consent date moved."""

import pytest

from optsync.model.record import Value
from optsync.reconcile.moments import is_same_moment


@pytest.mark.parametrize(
    ("value", "old", "expected"),
    [
        ("2026-11-22T09:00:00Z", "2026-11-22T09:00:00Z", True),
        ("2026-11-22T09:00:00Z", "2026-11-22T09:00:01Z", False),
        # another way to write it
        ("2026-11-22T10:00:00+01:00", "2026-11-22T09:00:00Z", True),
        ("2026-11-22T00:00:00Z", "2026-11-22", True),
        # a field for dates keeps the day alone of what was written there
        ("2026-11-22", "2026-11-22T09:00:00Z", True),
        ("2026-11-22", "2026-11-22 09:00", True),
        ("2026-11-22", "2026-11-23T09:00:00Z", False),
        ("2026-11-23", "2026-11-22T09:00:00Z", False),
        ("2026-11-22T00:00:00Z", "2026-11-22T09:00:00Z", False),
        # a moment where only its day was known is news
        ("2026-11-22T09:00:00Z", "2026-11-22", False),
        # what is no date is the same only as itself
        ("by letter!", "by letter!", True),
        ("by letter!", "by letter! 1", False),
        ("soon", "later", False),
        ("2026-11-22", None, False),
        ("2026-11-22", ("2026-11-22",), False),
        ("1", 1, False),
    ],
)
def test_a_consent_date_moves_only_with_its_moment(value: str, old: Value, expected: bool) -> None:
    assert is_same_moment(value, old) is expected
