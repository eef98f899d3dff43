"""Reading a table of wishes: a CSV file as people save it. Each row is understood, or refused with its place."""

import codecs
import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from optsync.errors import ConfigError
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.statement import StatementKind

COLUMNS = ("email", "status", "at", "reason", "source", "evidence")
_NEEDED = ("email", "status")
_OF_EXPORT = ("scope", "is_void")
"""Columns of an export that say what a row may not be taken for."""
_STATUS = {"out": StatementKind.OUT, "grant": StatementKind.GRANT}
_TIME = "a time such as 2026-11-22, 2026-11-22T09:14 or 2026-11-22T10:14+01:00"
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
"""Before it nobody said anything about e-mail: such times stand for none at all in many systems."""
_EARLIEST = timedelta(hours=14)
"""So much earlier than in UTC a day begins somewhere."""
_LONGEST = 4000
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_SPREADSHEET_HINT = re.compile(r"sep=(.)\s*")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A row, which may span lines: ``at`` is aware UTC, None where none was given. Of a day it is the first instant for
    a grant and the last one for an out, which may lie ahead."""

    line: int
    last_line: int
    email: str
    kind: StatementKind
    at: datetime | None
    reason: str | None
    source: str | None
    evidence: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a row did not go in. ``last_line`` differs where a row spans several; ``found`` never holds an address."""

    line: int
    last_line: int
    column: str | None
    found: str
    expected: str

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line == self.last_line else f"lines {self.line} to {self.last_line}"
        column = f", column {self.column}" if self.column else ""
        return f"{place}{column}: found {self.found}, expected {self.expected}"


class ImportFile:
    """One file. ``ignored`` are its columns that mean nothing here."""

    def __init__(self, path: Path) -> None:
        """Reads the header.

        Raises:
            ConfigError: the file cannot be read, or its first line names no `email` and `status`.
        """
        self._path = path
        try:
            self._encoding = self._sniffed()
            self.digest = self._read_through()
            names, self._delimiter, self._header_lines = self._header()
        except (OSError, UnicodeError) as error:
            reason = str(error.strerror or "cannot be read").lower() if isinstance(error, OSError) else "is no text"
        else:
            self._places = self._placed(names)
            self._width = len(names)
            self.ignored = tuple(name for name in names if name and name.lower() not in (*COLUMNS, *_OF_EXPORT))
            return
        raise ConfigError(f"FILE: {path}: {reason}")

    def rows(self, now: datetime, *, scope: str) -> Iterator[Wish | Refused]:
        """All rows but empty ones, in order; each is one or the other. ``scope`` is what they are brought in for."""
        for first, last, cells in self._filled():
            yield cells if isinstance(cells, Refused) else self._row(first, last, cells, now, scope)

    def count(self) -> int:
        """How many rows there are but empty ones: the file is read for it, once more."""
        return sum(1 for _ in self._filled())

    def _filled(self) -> Iterator[tuple[int, int, Sequence[str] | Refused]]:
        with self._path.open(encoding=self._encoding, errors="replace", newline="") as file:
            for _ in range(self._header_lines):
                next(file, None)
            for first, last, cells in _records(file, self._delimiter, self._header_lines):
                if isinstance(cells, Refused) or any(cell.strip() for cell in cells):
                    yield first, last, cells

    # the file

    def _sniffed(self) -> str:
        with self._path.open("rb") as file:
            start = file.read(4096)
        for mark, encoding in _BOMS:
            if start.startswith(mark):
                return encoding
        if b"\0" in start[:2]:
            return "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
        return "utf-8"

    def _read_through(self) -> bytes:
        """The file's digest. What is no UTF-8 was saved by a spreadsheet on Windows."""
        digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
        is_doubtful = self._encoding == "utf-8"
        with self._path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
                if is_doubtful and not _decodes(decoder, part):
                    self._encoding, is_doubtful = "cp1252", False
        if is_doubtful and not _decodes(decoder, b"", is_last=True):
            self._encoding = "cp1252"
        return digest.digest()

    def _header(self) -> tuple[list[str], str, int]:
        """The columns' names, the delimiter, and how many lines that took."""
        with self._path.open(encoding=self._encoding, errors="replace", newline="") as file:
            first = file.readline(100_000)
            hint = _SPREADSHEET_HINT.fullmatch(first)
            lines = 2 if hint else 1
            line = file.readline(100_000) if hint else first
        found = [hint[1]] if hint else sorted(",;\t", key=line.count, reverse=True)
        names = next(csv.reader([line], delimiter=found[0]), [])
        return [name.strip() for name in names], found[0], lines

    def _placed(self, names: Sequence[str]) -> Mapping[str, int]:
        known = [name.lower() for name in names]
        twice = sorted({name for name in known if name in COLUMNS and known.count(name) > 1})
        missing = [name for name in _NEEDED if name not in known]
        if not missing and not twice:
            return {name: place for place, name in enumerate(known) if name in (*COLUMNS, *_OF_EXPORT)}
        if names == []:
            raise ConfigError(f"FILE: {self._path}: is empty; expected a header with the columns {', '.join(COLUMNS)}")
        what = f"no column {' and '.join(missing)}" if missing else f"column {', '.join(twice)} twice"
        raise ConfigError(
            f"FILE: {self._path}: its first line has {what}; expected a header with the columns {', '.join(COLUMNS)}, "
            "of which email and status are needed"
        )

    # a row

    def _row(self, first: int, last: int, cells: Sequence[str], now: datetime, scope: str) -> Wish | Refused:
        try:
            _check_width(cells, self._width)
            values = {name: _text(name, cells, place) for name, place in self._places.items()}
            _check_grant(values, scope)
            return _understood((first, last), values, now)
        except _Bad as bad:
            return Refused(line=first, last_line=last, column=bad.column, found=bad.found, expected=bad.expected)


def protected(text: str) -> str:
    """As a spreadsheet must get it, which would take some texts for formulas."""
    return f"'{text}" if _FORMULA.match(text) else text


def unprotected(text: str) -> str:
    """The text that was protected."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _decodes(decoder: codecs.IncrementalDecoder, part: bytes, *, is_last: bool = False) -> bool:
    try:
        decoder.decode(part, is_last)
    except UnicodeError:
        return False
    return True


class _Bad(Exception):
    def __init__(self, column: str | None, found: str, expected: str) -> None:
        super().__init__(found)
        self.column, self.found, self.expected = column, found, expected


def _records(lines: Iterable[str], delimiter: str, skipped: int) -> Iterator[tuple[int, int, Sequence[str] | Refused]]:
    """Each record with its first and last line. What is quoted wrongly is refused with all lines that it swallowed."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1 + skipped
        try:
            cells: Sequence[str] | Refused = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            last = max(first, reader.line_num + skipped)
            cells = Refused(
                line=first, last_line=last, column=None, found=str(error), expected="cells in closed quotes"
            )
        yield first, max(first, reader.line_num + skipped), cells


def _check_width(cells: Sequence[str], width: int) -> None:
    if any(cell.strip() for cell in cells[width:]):
        raise _Bad(
            None, f"{len(cells)} cells", f"{width}, as in the header: a cell that holds the delimiter needs quotes"
        )


def _text(name: str, cells: Sequence[str], place: int) -> str:
    text = cells[place].strip() if place < len(cells) else ""
    if len(text) > _LONGEST:
        raise _Bad(name, f"{len(text)} characters", f"at most {_LONGEST}")
    if "\0" in text or "\ufffd" in text:
        raise _Bad(name, "a character that is none", "text in UTF-8 or UTF-16")
    return unprotected(text)


def _understood(lines: tuple[int, int], values: Mapping[str, str], now: datetime) -> Wish:
    kind = _STATUS.get(values["status"].lower())
    if kind is None:
        raise _Bad("status", _quoted(values["status"]), "out or grant")
    evidence = values.get("evidence") or None
    at = _time(values.get("at", ""), now, is_out=kind is StatementKind.OUT)
    if kind is StatementKind.GRANT:
        if at is None:
            raise _Bad("at", "nothing", f"{_TIME}: a grant needs its time")
        if evidence is None:
            raise _Bad("evidence", "nothing", "how and where the person agreed: a grant needs evidence")
    elif at is not None and _is_day(values["at"]):
        at += timedelta(days=1, microseconds=-1)
    return Wish(
        line=lines[0],
        last_line=lines[1],
        email=_address(values["email"]),
        kind=kind,
        at=at,
        reason=values.get("reason") or None,
        source=values.get("source") or None,
        evidence=evidence,
    )


def _check_grant(values: Mapping[str, str], scope: str) -> None:
    """A yes to one thing is none to another, and one that was taken back is none. A no counts all the same."""
    if _STATUS.get(values["status"].lower()) is not StatementKind.GRANT:
        return
    if values.get("is_void", "").lower() not in ("", "false"):  # a spreadsheet writes true in its own language
        raise _Bad("is_void", _quoted(values["is_void"]), "false: a grant that was retracted counts no more")
    if values.get("scope", "") not in ("", scope):
        raise _Bad("scope", _quoted(values["scope"]), f"{scope}: a grant counts only for what it was given for")


def _address(text: str) -> str:
    try:
        return normalise(text)
    except InvalidAddress as error:
        reason = str(error)
    raise _Bad("email", f"what is no address ({reason})" if text else "nothing", "an e-mail address")


def _time(text: str, now: datetime, *, is_out: bool) -> datetime | None:
    """Nobody is kept from leaving because the day has begun where they are, and not yet in UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise _Bad("at", _quoted(text), _TIME)
    if not _OLDEST <= moment <= now + (_EARLIEST if is_out and _is_day(text) else timedelta(0)):
        raise _Bad("at", _quoted(text), "a time since 1990 that is not in the future")
    return moment


def _is_day(text: str) -> bool:
    """Whether a time that can be used is a date alone."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    """Short, and without what might be an address in the wrong column."""
    if not text:
        return "nothing"
    return "what looks like an address" if "@" in text else repr(text[:40])
