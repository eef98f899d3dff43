"""From any error to what people read and scripts get: text, document, exit code."""

import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import typer
from sqlalchemy.exc import SQLAlchemyError

from optsync.errors import (
    CommandRefused,
    ConfigError,
    CredentialsRefused,
    OptsyncError,
    PlanHeld,
    RateLimited,
    StateLocked,
    SystemUnavailable,
)
from optsync.state.store import is_lock_timeout

STOPPED = 130
_PASSWORD = re.compile(r"(://[^\s:/@]*:)\S*@")
"""Of a URL that stands where none is expected."""
_DAMAGED = ("malformed", "is not a database")
_NAMES: dict[type[OptsyncError], str] = {
    ConfigError: "configuration",
    CommandRefused: "refused",
    CredentialsRefused: "credentials_refused",
    RateLimited: "rate_limited",
    SystemUnavailable: "unavailable",
    PlanHeld: "held",
    StateLocked: "locked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """``document`` is printed with ``--json``, ``text`` without."""

    exit_code: int
    text: str
    document: dict[str, Any]
    is_bug: bool = False
    is_unwritten: bool = False
    """Standard output takes nothing more."""

    def to_json(self, hide: Callable[[str], str]) -> str:
        """``hide`` takes secrets out of a text: before it is escaped, and of no key."""
        return json.dumps(_hidden(self.document, hide), indent=2, ensure_ascii=False)


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: item if key == "error" else _hidden(item, hide) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item, hide) for item in value]
    return hide(value) if isinstance(value, str) else value


def describe(error: BaseException, *, database: str | None = None) -> Failure:
    """Every error has an answer; what is none of ours is a bug and says so. ``database``: which one is worked on."""
    if _was_interrupted(error):
        # An opt-out that was not noted yet is in no next run.
        text = "stopped before the end: it may be done by half, or not at all; run the command again"
        return _failure(STOPPED, "stopped", text)
    if isinstance(error, ConfigError) and error.faults:
        count = len(error.faults)
        summary = f"{count} fault{'s' if count > 1 else ''} in the configuration; nothing was started"
        document = {"error": "configuration", "reason": summary, "faults": [asdict(f) for f in error.faults]}
        return Failure(exit_code=2, text=str(error), document=document)
    if isinstance(error, OptsyncError):
        name = next((n for kind, n in _NAMES.items() if isinstance(error, kind)), "failed")
        return _failure(error.exit_code, name, str(error))
    if isinstance(error, SQLAlchemyError | sqlite3.Error):
        return database_failure(error, database)
    return _of_others(error)


def _was_interrupted(error: BaseException) -> bool:
    """Also where what was under way could not even be put away after a Ctrl-C: the database's connection is closed by
    it, for one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt | typer.Abort):
        cause = cause.__context__
    return cause is not None


def _of_others(error: BaseException) -> Failure:
    """What the machine and the command line's parser raise; else a bug."""
    if isinstance(error, OSError) and error.errno is not None:
        return _refused_by_the_machine(error)
    message = getattr(error, "format_message", None)
    if callable(message):
        return _failure(2, "usage", _usage(error, message()))
    kind = type(error).__name__
    text = f"optsync met a fault of its own ({kind}) and stopped; run the command again with -v to see where"
    return Failure(exit_code=1, text=text, document={"error": "bug", "reason": text}, is_bug=True)


def _usage(error: BaseException, message: str) -> str:
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "optsync")
    message = _PASSWORD.sub(r"\1***@", message)
    return f"{message.rstrip()}\nTry: {path} --help" if "\n" not in message.strip() else message.rstrip()


def _refused_by_the_machine(error: OSError) -> Failure:
    """A file that may not be read, a disk that is full."""
    reason = str(error.strerror or "cannot be used").lower()
    if error.filename is not None:
        return _failure(1, "failed", f"{error.filename}: {reason}; optsync stopped there, what was done before stays")
    text = f"the answer cannot be written: {reason}; what the command did stays done"
    return replace(_failure(1, "failed", text), is_unwritten=True)


def database_failure(error: BaseException, database: str | None = None) -> Failure:
    """What a database raised, told as of ``state.url``."""
    # The whole message would repeat the statement with its values.
    cause = error if isinstance(error, sqlite3.Error) else getattr(error, "orig", None) or type(error).__name__
    cause = str(cause).strip().partition("\n")[0]
    if is_lock_timeout(error):
        return _failure(1, "locked", "the state database is locked by another process; try again when it is done")
    if getattr(error, "connection_invalidated", False):
        text = f"state.url: the state database ended the connection ({cause}); nothing is lost, the next run goes on"
        return _failure(2, "configuration", text)
    hint = "check its place, its rights and the free space"
    if any(word in cause for word in _DAMAGED):
        hint = "it is damaged, or no database: check its place, or stop the daemon and put a backup there"
    name = f" {database}" if database else ""
    text = f"state.url: the state database{name} cannot be used ({cause}); {hint}"
    return _failure(2, "configuration", text)


def _failure(exit_code: int, name: str, text: str) -> Failure:
    return Failure(exit_code=exit_code, text=text, document={"error": name, "reason": text})
