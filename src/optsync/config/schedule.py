"""When a sync runs, in the words of crontab."""

from datetime import UTC, datetime

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def checked_cron(text: str) -> str:
    """The text itself, if a scheduler can run by it.

    Raises:
        ValueError: it is no crontab expression of five fields.
    """
    try:
        trigger = cron_trigger(text)
    except ValueError as error:
        raise ValueError('five crontab fields such as "*/5 * * * *"') from error
    if trigger.get_next_fire_time(None, _ANY_DAY) is None:
        raise ValueError("crontab fields with a day that its month has")
    return text


def cron_trigger(text: str) -> BaseTrigger:
    """The trigger of five crontab fields, UTC.

    APScheduler's own reading differs from crontab(5) in two ways that would move a run to other days: its weekdays
    count from Monday, and where day and weekday are both given it wants both to match, crontab either.

    Raises:
        ValueError: these are no five fields of a crontab.
    """
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"{len(fields)} fields")
    minute, hour, day, month, weekday = fields
    time = {"minute": minute, "hour": hour, "month": month, "timezone": "UTC"}
    by_day = CronTrigger(day=day, **time)
    if weekday == "*":
        return by_day
    by_weekday = CronTrigger(day_of_week=_weekdays(weekday), **time)
    return by_weekday if day == "*" else OrTrigger([by_day, by_weekday])


def _weekdays(field: str) -> str:
    """``1-5`` -> ``mon,tue,wed,thu,fri``."""
    numbers = [number for part in field.split(",") for number in _numbers(part)]
    return ",".join(dict.fromkeys(_DAYS[number % 7] for number in numbers))


def _numbers(part: str) -> range:
    span, _, step = part.partition("/")
    first, dash, last = ("0", "-", "6") if span == "*" else span.partition("-")
    start = _number(first)
    end = _number(last) if dash else (6 if step else start)
    if end == 0 and start > 0:
        end = 7
    days = range(start, end + 1, int(step or 1))
    if not days:
        raise ValueError(f"the weekdays {part} are none")
    return days


def _number(day: str) -> int:
    """0 to 7; both ends are Sunday."""
    number = _DAYS.index(day.lower()) if day.lower() in _DAYS else int(day)
    if not 0 <= number <= 7:
        raise ValueError(f"there is no weekday {day}")
    return number
