"""Faults on demand: the next calls of a method are answered by an error, by no JSON or not at all."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from optsync_bitrix24.mocking.answers import RestError


class Kind(StrEnum):
    ERROR = "error"
    """A JSON error; inside a batch it is the command's."""
    HTML = "html"
    REDIRECT = "redirect"
    """302 to ``location``."""
    LOST_BEFORE = "lost_before"
    """The connection ends before anything was done."""
    LOST_AFTER = "lost_after"
    """Everything was done, and the connection ends without an answer."""
    TRUNCATED = "truncated"
    """Everything was done, and half of the answer arrives."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """``method`` is in lower case, empty for any; the first ``skip`` calls go well, then ``times`` fail."""

    kind: Kind
    method: str = ""
    status: int = 500
    code: str = "INTERNAL_SERVER_ERROR"
    text: str = "Internal server error"
    location: str = ""
    skip: int = 0
    times: int = 1


class Faults:
    """Those still to come."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, **wanted: Any) -> None:
        kind = Kind(wanted.pop("kind", Kind.ERROR))
        self._waiting.append(Fault(kind=kind, **{**wanted, "method": wanted.get("method", "").lower()}))

    def error(self, method: str) -> None:
        """Raises the JSON error that waits for this method."""
        if fault := self._due(method, errors=True):
            raise RestError(fault.code, fault.text, status=fault.status)

    def transport(self, method: str) -> Fault | None:
        """The other kind, which strikes the whole request."""
        return self._due(method, errors=False)

    def _due(self, method: str, *, errors: bool) -> Fault | None:
        for fault in self._waiting:
            if (fault.kind is Kind.ERROR) is errors and fault.method in ("", method):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None
