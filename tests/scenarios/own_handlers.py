"""Handlers of the tests' organisation, as a package of one's own would bring them."""

import threading
from collections.abc import Mapping
from importlib.metadata import EntryPoint

from optsync.connect.handlers import HANDLERS, OptOutEvent
from optsync.model.record import Value

CALLS: list[OptOutEvent] = []
BROKEN: set[str] = set()
"""Names of the handlers that fail for now."""
RELEASE = threading.Event()


def notify_sales(event: OptOutEvent) -> None:
    CALLS.append(event)
    if "notify_sales" in BROKEN:
        raise ConnectionError(f"no way to tell about {event.address}")


def set_owner(event: OptOutEvent) -> Mapping[str, Value]:
    CALLS.append(event)
    return {"UF_CRM_OWNER": f"kim, about {event.standing}"}


def return_nonsense(event: OptOutEvent) -> Mapping[str, Value]:
    return {"UF_CRM_OPT_OUT": False}


def hang(event: OptOutEvent) -> None:
    CALLS.append(event)
    RELEASE.wait()


def leave(event: OptOutEvent) -> None:
    raise SystemExit(3)


def installed() -> dict[str, EntryPoint]:
    names = ("notify_sales", "set_owner", "return_nonsense", "hang", "leave")
    return {n: EntryPoint(name=n, value=f"{__name__}:{n}", group=HANDLERS) for n in names}
