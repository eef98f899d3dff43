"""What the operator may choose while a world runs, and what the configuration promises then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DIRECTIONS = {"crm_to_esp": "crm", "esp_to_crm": "esp"}
"""The ways that opt-outs travel, and the side where they come from."""
CHOICES: Mapping[str, Sequence[str]] = {
    "after_opt_out": ("stop", "continue"),
    "leave": ("keep", "archive", "tag"),
    "enter": ("subscribe", "request", "skip"),
    "carry_grant": ("with_evidence", "never"),
    "existing": ("unknown", "legacy_grant"),
    "esp_only": ("ignore", "create_in_crm"),
    "primary": ("oldest", "newest"),
}
"""Policies that the operator may change while a world runs, and to what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the configuration promises. ``stays``: the sides whose opt-outs do not travel. ``enters``: whether members
    are made. ``stops``: whether fields rest while somebody is out."""

    stays: frozenset[str] = frozenset()
    enters: bool = True
    stops: bool = True
