from datetime import UTC, datetime, timedelta

import pytest

from optsync.config.schedule import checked_cron, cron_trigger

SUNDAY = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def days(text: str, count: int = 7) -> list[str]:
    """Weekday and day of the next runs after a Sunday noon."""
    trigger, moment, found = cron_trigger(text), SUNDAY, []
    for _ in range(count):
        moment = trigger.get_next_fire_time(None, moment)
        found.append(f"{moment:%a %-d}")
        moment += timedelta(minutes=1)
    return found


@pytest.mark.parametrize("weekday", ["1", "mon", "MON"])
def test_monday_is_one(weekday: str) -> None:
    assert days(f"0 3 * * {weekday}", 2) == ["Mon 23", "Mon 30"]


@pytest.mark.parametrize("weekday", ["0", "7", "sun"])
def test_sunday_is_nought_and_seven(weekday: str) -> None:
    assert days(f"0 3 * * {weekday}", 2) == ["Sun 29", "Sun 6"]


@pytest.mark.parametrize(
    ("weekday", "expected"),
    [
        ("1-5", ["Mon 23", "Tue 24", "Wed 25", "Thu 26", "Fri 27", "Mon 30"]),
        ("mon-fri", ["Mon 23", "Tue 24", "Wed 25", "Thu 26", "Fri 27", "Mon 30"]),
        ("5-7", ["Fri 27", "Sat 28", "Sun 29", "Fri 4"]),
        ("sat-sun", ["Sat 28", "Sun 29", "Sat 5"]),
        ("0-1", ["Mon 23", "Sun 29", "Mon 30"]),
        ("*/2", ["Tue 24", "Thu 26", "Sat 28", "Sun 29"]),
        ("1-5/2", ["Mon 23", "Wed 25", "Fri 27", "Mon 30"]),
        ("2,4", ["Tue 24", "Thu 26", "Tue 1"]),
    ],
)
def test_ranges_steps_and_lists_of_weekdays_are_those_of_crontab(weekday: str, expected: list[str]) -> None:
    assert days(f"0 3 * * {weekday}", len(expected)) == expected


def test_of_a_day_and_a_weekday_either_is_enough() -> None:
    assert days("0 3 25 * 5", 3) == ["Wed 25", "Fri 27", "Fri 4"]


def test_a_day_of_the_month_alone_is_kept() -> None:
    assert days("0 3 13 * *", 2) == ["Sun 13", "Wed 13"]


@pytest.mark.parametrize(
    "text", ["", "* * * *", "* * * * * *", "61 * * * *", "* * * * 8", "* * * * mon-", "* * * * x", "* * * * 5-2"]
)
def test_what_crontab_would_not_take_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="five crontab fields"):
        checked_cron(text)
