"""A table of wishes is read as people save it; no row is lost without a word."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optsync.errors import ConfigError
from optsync.model.statement import StatementKind
from optsync.sync.import_file import ImportFile, Refused, Wish, protected, unprotected

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FULL = "email,status,at,reason,source,evidence\n"
again = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(folder: Path, content: bytes | str) -> list[Wish | Refused]:
    path = folder / "wishes.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(ImportFile(path).rows(NOW, scope="acme/marketing"))


def one(folder: Path, row: str, header: str = FULL) -> Wish | Refused:
    (found,) = read(folder, header + row)
    return found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_files_are_read_as_spreadsheets_save_them(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    rows = [["Name", "E-Mail-Art", "STATUS", " Email ", "Reason"], ["Ünal", "x", "Out", "Ann@Example.com", "zu häufig"]]
    text = end.join(delimiter.join(row) for row in rows) + end
    (found,) = read(tmp_path, text.encode(encoding))
    assert isinstance(found, Wish)
    assert (found.email, found.kind, found.reason) == ("ann@example.com", StatementKind.OUT, "zu häufig")


def test_a_file_of_windows_may_end_in_a_letter_that_begins_one_of_utf_8(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "email,status,reason\nann@example.com,out,Café".encode("cp1252"))
    assert isinstance(found, Wish)
    assert found.reason == "Café"


def test_other_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "wishes.csv"
    path.write_text("Name;email;status;;Town\n", encoding="utf-8")
    assert ImportFile(path).ignored == ("Name", "Town")


def test_a_spreadsheets_own_first_line_is_skipped(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "sep=;\nemail;status\na@example.com;out\n")
    assert isinstance(found, Wish)
    assert found.line == 3


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-02", datetime(2026, 1, 2, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, 23, 59, 59, 999999, tzinfo=UTC)),  # it has begun in Auckland
        ("2026-01-02T03:04:05.000006Z", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-01-02 03:04", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
        ("2026-01-02T03:04+02:00", datetime(2026, 1, 2, 1, 4, tzinfo=UTC)),
    ],
)
def test_times_are_utc_unless_they_say_otherwise_and_an_opt_out_of_a_day_is_its_last_instant(
    tmp_path: Path, text: str, at: datetime
) -> None:
    found = one(tmp_path, f"a@example.com,out,{text},,,")
    assert isinstance(found, Wish)
    assert found.at == at


def test_a_grant_of_a_day_is_its_first_instant(tmp_path: Path) -> None:
    found = one(tmp_path, "a@example.com,grant,2026-01-02,,,a form")
    assert isinstance(found, Wish)
    assert found.at == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "column", "found"),
    [
        ("a@example.com,maybe,,,,", "status", "'maybe'"),
        ("a@example.com,,,,,", "status", "nothing"),
        ("a@example.com", "status", "nothing"),
        ("nobody,out,,,,", "email", "what is no address"),
        (",out,,,,", "email", "nothing"),
        ("a@example.com,out,22.11.2026,,,", "at", "'22.11.2026'"),
        ("a@example.com,out,2026-11-24,,,", "at", "'2026-11-24'"),
        ("a@example.com,out,2026-11-22T12:01,,,", "at", "'2026-11-22T12:01'"),
        ("a@example.com,grant,2026-11-23,,,form", "at", "'2026-11-23'"),
        ("a@example.com,out,1970-01-01,,,", "at", "'1970-01-01'"),
        ("a@example.com,out,0001-01-01T00:00+14:00,,,", "at", "'0001-01-01T00:00+14:00'"),
        ("a@example.com,out,b@example.com,,,", "at", "what looks like an address"),
        ("a@example.com,grant,,,,form", "at", "nothing"),
        ("a@example.com,grant,2026-01-02,,,", "evidence", "nothing"),
        ("a@example.com,out,,too often, and too much,,,x", None, "8 cells"),
        (f"a@example.com,out,,{'x' * 4001},,", "reason", "4001 characters"),
        ("a@example.com,out,,x\0y,,", "reason", "a character that is none"),
    ],
)
def test_a_row_that_cannot_be_used_says_where_and_what_was_expected(
    tmp_path: Path, row: str, column: str | None, found: str
) -> None:
    first, refused, last = read(tmp_path, f"{FULL}x@example.com,out,,,,\n{row}\ny@example.com,out,,,,\n")
    assert isinstance(first, Wish)
    assert isinstance(last, Wish)
    assert isinstance(refused, Refused)
    assert (refused.line, refused.column) == (3, column)
    assert found in refused.found
    assert "@example.com" not in str(refused)


def test_an_open_quote_names_every_line_that_it_swallowed(tmp_path: Path) -> None:
    rows = read(tmp_path, FULL + 'a@example.com,out,,"oops,,\nb@example.com,out,,,,\nc@example.com,out,,,,\n')
    (refused,) = rows
    assert isinstance(refused, Refused)
    assert (refused.line, refused.last_line) == (2, 4)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", "is empty; expected a header with the columns email, status"),
        ("mail,status\n", "no column email"),
        ("email;at\n", "no column status"),
        ("email,status,Email\n", "column email twice"),
        ('"email,status\na@example.com,out\n', "no column"),
    ],
)
def test_a_file_without_its_columns_is_refused_before_anything_is_read(tmp_path: Path, header: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(tmp_path, header)


def test_a_file_that_is_not_there_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        ImportFile(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="is a directory"):
        ImportFile(tmp_path)


@again
@given(content=st.binary(max_size=300), is_headed=st.booleans())
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path: Path, content: bytes, is_headed: bool) -> None:
    try:
        read(tmp_path, (FULL.encode() if is_headed else b"") + content)
    except ConfigError:
        assert not is_headed


_LINE = st.text(alphabet="a@.,\";'\x00\u2028 ég=\r", max_size=30)


@again
@given(lines=st.lists(st.one_of(_LINE, st.just("a@example.com,out,,,,")), max_size=12))
def test_every_line_belongs_to_a_row_that_went_in_or_was_refused(tmp_path: Path, lines: list[str]) -> None:
    body = "\n".join(lines)
    found = read(tmp_path, FULL + body)
    covered = {number for row in found for number in range(row.line, row.last_line + 1)}
    # As Python's csv counts them: a carriage return ends a line, too.
    kept = io.StringIO(body, newline="").read().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(kept, start=2):
        assert number in covered or not line.strip(' ,"\r\u2028'), (number, line)


_CELL = st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffd"), max_size=20)


@again
@given(rows=st.lists(st.tuples(_CELL, _CELL, _CELL), min_size=1, max_size=5))
def test_what_is_written_as_csv_is_read_as_it_was(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for reason, source, evidence in rows:
        cells = [protected(cell) for cell in (reason, source, evidence)]
        writer.writerow(["a@example.com", "out", "2026-01-02", *cells])
    found = read(tmp_path, FULL + text.getvalue())
    assert len(found) == len(rows)
    for each, (reason, source, evidence) in zip(found, rows, strict=True):
        assert isinstance(each, Wish)
        assert (each.reason or "", each.source or "", each.evidence or "") == tuple(
            unprotected(protected(cell).strip()) for cell in (reason, source, evidence)
        )


@given(text=st.text(max_size=10))
def test_no_text_becomes_a_formula(text: str) -> None:
    shown = protected(text)
    assert shown[:1] not in tuple("=+-@\t\r\n")
    assert unprotected(shown) == text
