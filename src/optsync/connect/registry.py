"""Finds what is installed, by entry points; a broken connector is named and does not stop the others."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from optsync.connect.contract import (
    CanArchive,
    CanConfirmOptIn,
    CanForesee,
    CanForget,
    CanListTemplates,
    CanReadRows,
    CanRename,
    CanReportActivity,
    CanScanIds,
    CanTag,
    CanTellDepartures,
    Capabilities,
    Connector,
)
from optsync.connect.mock import VendorMock
from optsync.errors import OptsyncError

CONNECTORS = "optsync.connectors"
MOCKS = "optsync.mocks"
POWERS: dict[type, str] = {
    CanArchive: "archive",
    CanConfirmOptIn: "confirm_opt_in",
    CanForesee: "seconds_for",
    CanForget: "forget",
    CanListTemplates: "templates",
    CanReadRows: "read_rows",
    CanRename: "rename",
    CanReportActivity: "activity",
    CanScanIds: "scan_ids",
    CanTag: "tag",
    CanTellDepartures: "departures",
}
"""The optional verbs, with the words for them."""


class ConnectorBroken(OptsyncError):
    """An installed connector could not be imported, or is none."""


@cache
def installed() -> dict[str, EntryPoint]:
    """Connector names and where they come from, sorted."""
    return {point.name: point for point in sorted(entry_points(group=CONNECTORS), key=lambda p: p.name)}


def load(name: str) -> type[Connector]:
    """The connector's class.

    Raises:
        KeyError: none of that name is installed.
        ConnectorBroken: it is installed and cannot be imported, or is no connector; the message says why.
    """
    point = installed()[name]
    try:
        connector: type[Connector] = point.load()
    except ImportError as error:
        raise ConnectorBroken(
            f"connector {name} ({point.value}) cannot be imported: {error}; install its missing package"
        ) from error
    except (Exception, SystemExit) as error:
        # Importing somebody else's code may raise anything, and must not stop the other connectors.
        message = f"connector {name} ({point.value}) cannot be imported: {type(error).__name__}: {error}"
        raise ConnectorBroken(f"{message}; tell its author, or install another version") from error
    if not isinstance(getattr(connector, "capabilities", None), Capabilities):
        raise ConnectorBroken(f"connector {name} ({point.value}) is no connector: it has no Capabilities")
    return connector


def mock_names() -> frozenset[str]:
    """Names of the installed vendor mocks; none of them is imported."""
    return frozenset(point.name for point in entry_points(group=MOCKS))


def powers(connector: type[Connector]) -> list[str]:
    """What the connector can do beyond the required verbs, sorted."""
    found = [word for protocol, word in POWERS.items() if issubclass(connector, protocol)]
    if connector.capabilities.can_ask:
        found.append("ask")
    return sorted(found)


@cache
def mocks() -> dict[str, type[VendorMock]]:
    """Vendor mocks by name, sorted."""
    return {point.name: point.load() for point in sorted(entry_points(group=MOCKS), key=lambda p: p.name)}
