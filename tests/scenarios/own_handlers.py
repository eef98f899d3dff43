"""Handlers of the tests' organisation, as a package of one's own would bring them."""

import threading
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint

from optsync.connect.handlers import HANDLERS, OptOutEvent
from optsync.model.record import Value

CALLS: list[OptOutEvent] = []
BROKEN: set[str] = set()
"""Names of the handlers that fail for now."""
RELEASE = threading.Event()
MEANWHILE: list[Callable[[], object]] = []
"""What others do while a handler works."""


def notify_sales(event: OptOutEvent) -> None:
    CALLS.append(event)
    if "notify_sales" in BROKEN:
        raise ConnectionError(f"no way to tell about {event.address}")


def set_owner(event: OptOutEvent) -> Mapping[str, Value]:
    CALLS.append(event)
    return {"UF_CRM_OWNER": f"kim, about {event.standing}"}


def return_nonsense(event: OptOutEvent) -> Mapping[str, Value]:
    return {"UF_CRM_OPT_OUT": False}


def take_time(event: OptOutEvent) -> Mapping[str, Value]:
    CALLS.append(event)
    for act in MEANWHILE:
        act()
    return {"UF_CRM_OWNER": f"kim of {event.address}"}


def hang(event: OptOutEvent) -> None:
    CALLS.append(event)
    RELEASE.wait()


def half(event: OptOutEvent) -> Mapping[str, Value]:
    return {"UF_CRM_OWNER": "half a character: \ud800"}


def no_number(event: OptOutEvent) -> Mapping[str, Value]:
    return {"UF_CRM_OWNER": float("nan")}


class _Safe(str):
    """As a template makes it."""

    __slots__ = ()


def fill_a_template(event: OptOutEvent) -> Mapping[str, Value]:
    return {"UF_CRM_OWNER": _Safe("kim")}


def leave(event: OptOutEvent) -> None:
    raise SystemExit(3)


def installed() -> dict[str, EntryPoint]:
    names = (
        "notify_sales",
        "set_owner",
        "return_nonsense",
        "take_time",
        "hang",
        "leave",
        "half",
        "no_number",
        "fill_a_template",
    )
    return {n: EntryPoint(name=n, value=f"{__name__}:{n}", group=HANDLERS) for n in names}
