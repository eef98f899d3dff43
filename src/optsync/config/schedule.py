"""When a sync runs, in the words of crontab."""

from apscheduler.triggers.cron import CronTrigger


def checked_cron(text: str) -> str:
    """The text itself, if a scheduler can run by it.

    Raises:
        ValueError: it is no crontab expression of five fields.
    """
    try:
        CronTrigger.from_crontab(text, timezone="UTC")
    except ValueError as error:
        raise ValueError('five crontab fields such as "*/5 * * * *"') from error
    return text
