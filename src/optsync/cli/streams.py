"""The standard streams of a command: none of them ends it before its time."""

import os
import sys
from io import BufferedWriter, FileIO, RawIOBase, TextIOWrapper
from typing import Any, TextIO


class _ToWhoeverReads(FileIO):
    """What nobody reads any more goes into nothing: the command does what it was asked for, and ends as it would have.
    (The signal for it must stay ignored: a vendor that hangs up would end a run.)"""

    def write(self, data: "memoryview | bytes") -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            into_nothing(self.fileno())
            return memoryview(data).nbytes


class _ToWhoeverHasRoom(FileIO):
    """What finds no room there, or nobody who reads it, is lost: logs and complaints end no command, nor does the
    interpreter that would write them once more at its end."""

    def write(self, data: "memoryview | bytes") -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def into_nothing(descriptor: int) -> None:
    """From now on what is written there is dropped."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


def prepare() -> None:
    """To be called before anything is printed. A service may start us with its streams closed; what is opened next
    would then be taken for one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = _patient(sys.stdout or os.fdopen(1, "w", closefd=False), _ToWhoeverReads)
    sys.stderr = _patient(sys.stderr or os.fdopen(2, "w", closefd=False), _ToWhoeverHasRoom)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that knows no arrows shows a question mark instead of a fault.
            stream.reconfigure(errors="replace")


def _patient(stream: TextIO, kind: type[FileIO]) -> TextIO:
    if not isinstance(stream, TextIOWrapper):
        return stream
    stream.flush()  # what was printed already comes first
    raw: RawIOBase = kind(stream.fileno(), "w", closefd=False)
    buffer: Any = raw if stream.write_through else BufferedWriter(raw)  # PYTHONUNBUFFERED
    return TextIOWrapper(
        buffer,
        encoding=stream.encoding,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
