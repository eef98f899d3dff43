"""Handlers: an organisation's own code, called after somebody's opt-out or opt-in was carried everywhere."""

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from optsync.connect.text import HALF
from optsync.errors import OptsyncError
from optsync.model.record import Value

HANDLERS = "optsync.handlers"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutEvent:
    """A standing that became out or in, at one CRM record. ``at`` is when it was said, aware, in UTC.

    A handler may be called again for the same event, after a failure or a crash: ``uid`` with ``record`` is the same
    then.
    """

    uid: str
    """Of the statement that decided."""
    sync: str
    scope: str
    standing: str
    """``out`` or ``in``."""
    address: str
    at: datetime
    source: str
    reason: str | None
    system: str
    """The CRM's name in the configuration."""
    collection: str
    record: str
    """The CRM's id of the record."""
    fields: Mapping[str, Value]
    """What the record showed when it was last read, by the CRM's field names."""


Handler = Callable[[OptOutEvent], Mapping[str, Value] | None]
"""May return CRM fields to set; None for none."""


class HandlerBroken(OptsyncError):
    """An installed handler could not be imported."""


class HandlerFailed(OptsyncError):
    """A handler raised, took too long, or returned something unusable. ``kind`` is the error's class; its words are
    not kept, since they may hold an address."""

    def __init__(self, kind: str, *, is_late: bool = False) -> None:
        self.kind = kind
        self.is_late = is_late
        super().__init__(kind)


@cache
def installed() -> dict[str, EntryPoint]:
    """Handler names and where they come from, sorted; none of them is imported."""
    return {point.name: point for point in sorted(entry_points(group=HANDLERS), key=lambda p: p.name)}


def load(name: str) -> Handler:
    """The handler itself.

    Raises:
        HandlerBroken: it is not installed, cannot be imported or is no callable; the message says why.
    """
    point = installed().get(name)
    if point is None:
        raise HandlerBroken(f"handler {name} is not installed; optsync connectors lists what is")
    try:
        handler: Any = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing somebody else's code may raise anything
        raise HandlerBroken(f"handler {name} ({point.value}) cannot be imported: {type(error).__name__}") from None
    if not callable(handler):
        raise HandlerBroken(f"handler {name} ({point.value}) is no function")
    result: Handler = handler
    return result


def call(handler: Handler, event: OptOutEvent, *, within: float, may_set: frozenset[str]) -> dict[str, Value]:
    """Calls it in a thread of its own and waits ``within`` seconds of real time at most; one that hangs is left behind
    and ends with the process. Answers the fields to set.

    Raises:
        HandlerFailed: see there; ``may_set`` are the fields that an answer may name.
    """
    answers: list[dict[str, Value]] = []
    errors: list[str] = []

    def work() -> None:
        try:
            answers.append(_usable(handler(event), may_set))
        except HandlerFailed as failure:
            errors.append(failure.kind)
        except BaseException as error:  # noqa: BLE001 - sys.exit() in a handler must not end optsync either
            errors.append(type(error).__name__)

    thread = threading.Thread(target=work, name="handler", daemon=True)
    thread.start()
    thread.join(within)
    if thread.is_alive():
        raise HandlerFailed("TimeoutError", is_late=True)
    if errors:
        raise HandlerFailed(errors[0])
    return answers[0]


def _usable(answer: Any, may_set: frozenset[str]) -> dict[str, Value]:
    if answer is None:
        return {}
    if not isinstance(answer, Mapping) or not answer.keys() <= may_set or not all(map(_is_value, answer.values())):
        raise HandlerFailed("UnusableAnswer")
    return {_plain(name): _plain(value) for name, value in answer.items()}


def _is_value(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(part, str) and not HALF.search(part) for part in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int) or (isinstance(value, str) and not HALF.search(value))


def _plain(value: Any) -> Any:
    """The same without a class of somebody else's, such as the safe text of a template, which nothing can store."""
    if isinstance(value, tuple):
        return tuple(_plain(part) for part in value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, float) else value
