"""The configuration that every benchmark runs with."""

from collections.abc import Mapping
from typing import Any

import msgspec

from optsync.connect.mock import MockConfig

_PURPOSES = {"marketing": {"kind": "commercial", "basis": "consent", "topics": ["news", "offers", "events"]}}
_AMPLE = {"max": 10**9, "percent": 100, "cap": 10**9}
_GUARD = dict.fromkeys(("opt_outs", "opt_ins", "creates", "archives", "updates"), _AMPLE)
"""What a benchmark changes is meant, and nobody is there to approve it."""
_FIELDS = ("first_name", "last_name", "city", "plan")


def document(crm: MockConfig, esp: MockConfig, state_url: str) -> dict[str, Any]:
    """One sync of four fields and three topics."""
    fields: list[dict[str, Any]] = [{"crm": crm.fields[name], "esp": esp.fields[name]} for name in _FIELDS]
    fields[-1]["transform"] = {"map": {value: name for name, value in crm.plan_values.items()}}
    return {
        "state": {"url": state_url},
        "secret_keys": ["a secret of the benchmarks"],
        "guard": _GUARD,
        "brands": {"acme": {"purposes": _PURPOSES}},
        "systems": {"crm": crm.system, "esp": esp.system},
        "syncs": {
            "newsletter": {
                "scope": "acme/marketing",
                "crm": {"system": "crm", **crm.side},
                "esp": {"system": "esp", **esp.side},
                "fields": fields,
            }
        },
    }


def from_server(shown: Mapping[str, Any]) -> MockConfig:
    """A mock's entry of the server's ``GET /_mock/config``."""
    return msgspec.convert({key: value for key, value in shown.items() if key != "role"}, MockConfig)
