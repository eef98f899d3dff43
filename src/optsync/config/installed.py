"""The connectors that this installation can really use."""

from optsync.connect import registry
from optsync.connect.contract import Connector


def connectors() -> dict[str, type[Connector]]:
    """By name, sorted; one that cannot be imported is left out (`optsync connectors` says why)."""
    found: dict[str, type[Connector]] = {}
    for name in registry.installed():
        try:
            found[name] = registry.load(name)
        except registry.ConnectorBroken:
            continue
    return found
