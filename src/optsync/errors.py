"""The few error classes, told apart by what a run does about them.

A message says what happened, to which record, what optsync did about it, and what the person can do.
It never holds a secret or an address.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class OptsyncError(Exception):
    """Base of everything optsync raises on purpose; shown to people without a traceback."""

    exit_code = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a configuration: where it is, what was found, what was expected."""

    file: str
    line: int | None
    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: found {self.found}, expected {self.expected}"


class ConfigError(OptsyncError):
    """The configuration or the command line is wrong; nothing was started."""

    exit_code = 2

    def __init__(self, faults: Sequence[Fault] | str) -> None:
        self.faults: tuple[Fault, ...] = () if isinstance(faults, str) else tuple(faults)
        super().__init__(faults if isinstance(faults, str) else "\n".join(str(f) for f in self.faults))


class CommandRefused(OptsyncError):
    """The command was understood and refused; ``reason`` says why in one sentence."""

    exit_code = 1


class SystemFailure(OptsyncError):
    """Something about one connected system; the other systems go on."""

    exit_code = 3

    def __init__(self, system: str, message: str) -> None:
        self.system = system
        super().__init__(f"{system}: {message}")


class SystemUnavailable(SystemFailure):
    """The system could not be reached, or kept failing after retries. Nothing is inferred from its silence."""


class CredentialsRefused(SystemFailure):
    """The system refused the credentials or the account's rights. Retrying does not help."""


class RateLimited(SystemUnavailable):
    """The vendor's limit was still in force after all waiting; the rest is done in the next cycle."""


class OutcomeUnknown(OptsyncError):
    """A write was sent and its answer was lost: it may or may not have been applied. Never retried blindly."""


class RecordInvalid(OptsyncError):
    """One record cannot be used; it is quarantined with this message and the run goes on."""

    def __init__(self, message: str, *, record: str | None = None, field: str | None = None) -> None:
        self.record = record
        self.field = field
        super().__init__(message)


class PlanHeld(OptsyncError):
    """The guard holds the plan until a person approves it."""

    exit_code = 4


class StateLocked(OptsyncError):
    """Another process holds the lease of this sync, or took it over meanwhile."""
