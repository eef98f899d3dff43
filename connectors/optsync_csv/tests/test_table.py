"""The file's text: how it is written, and what stays as it was."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync_csv.table import NotATable, parse

DIALECTS = [
    (b"", "utf-8", ",", "\n"),
    (b"", "utf-8", ";", "\r\n"),
    (b"\xef\xbb\xbf", "utf-8", ";", "\r\n"),
    (b"\xff\xfe", "utf-16-le", "\t", "\r\n"),
    (b"\xfe\xff", "utf-16-be", ",", "\n"),
    (b"", "utf-8", "|", "\r"),
]
TEXT = 'id{d}name{d}remark{e}1{d}"Zoë ""Z"" Lee"{d}plain{e}2{d}"two\nlines; and more"{d}{e}{e}3{d}\'x{d}"needless"{e}'


@pytest.mark.parametrize(("mark", "encoding", "delimiter", "end"), DIALECTS)
def test_a_file_keeps_its_mark_encoding_delimiter_quotes_and_line_ends(
    mark: bytes, encoding: str, delimiter: str, end: str
) -> None:
    content = mark + TEXT.format(d=delimiter, e=end).encode(encoding)
    table = parse(content)
    assert (table.columns, table.delimiter) == (["id", "name", "remark"], delimiter)
    assert table.rows[0].cells[1] == 'Zoë "Z" Lee'
    assert table.render() == content


@pytest.mark.parametrize(("mark", "encoding", "delimiter", "end"), DIALECTS)
def test_a_changed_row_changes_no_other_byte(mark: bytes, encoding: str, delimiter: str, end: str) -> None:
    content = mark + TEXT.format(d=delimiter, e=end).encode(encoding)
    table = parse(content)
    table.put(table.rows[0], "remark", "new")
    wanted = TEXT.replace("plain", "new").format(d=delimiter, e=end)
    assert table.render() == mark + wanted.encode(encoding)


def test_a_row_is_added_after_a_last_line_that_has_no_end() -> None:
    table = parse(b"id,name\r\n1,Ann")
    row = table.add()
    table.put(row, "id", "2")
    assert table.render() == b"id,name\r\n1,Ann\r\n2,\r\n"


@pytest.mark.parametrize("last", ['2,"Ben', '2,"Ben\n', '"2,Ben\n'])
def test_a_row_is_not_swallowed_by_a_quotation_mark_that_is_open_before_it(last: str) -> None:
    table = parse(f"id,name\n1,Ann\n{last}".encode())
    known = [[text.strip() for text in row.cells] for row in table.rows]
    table.put(table.add(), "id", "3")
    again = parse(table.render())
    assert [row.cells for row in again.rows] == [*known, ["3", ""]]
    assert [row.torn_to for row in again.rows] == [0, 0, 0]
    assert table.render().startswith(b"id,name\n1,Ann\n")


@pytest.mark.parametrize("last", ['2,"Ben" B', '2,Ben "B', '2,"Ben"', '2,"two\nlines"', ""])
def test_a_row_is_added_after_a_last_line_that_stays_as_it_is(last: str) -> None:
    table = parse(f"id,name\n1,Ann\n{last}\n".encode())
    table.put(table.add(), "id", "3")
    assert table.render() == f"id,name\n1,Ann\n{last}\n3,\n".encode()


def test_a_row_is_added_to_a_header_alone() -> None:
    table = parse(b"id,name")
    table.put(table.add(), "name", "a,b")
    assert table.render() == b'id,name\r\n,"a,b"\r\n'


def test_rows_know_the_line_where_they_begin() -> None:
    table = parse(b'id,name\n1,"a\nb\nc"\n2,x\n\n3,y\n')
    assert [row.line for row in table.rows] == [2, 5, 6, 7]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"\xef\xbb\xbf", "it is empty"),
        (b"\n\n", "it is empty"),
        (b"id,name\n1,\xe9\n", "line 2 is not utf-8; set `encoding`"),
        (b"id,name,id\n", "column id is there twice"),
        (b'id,name\n1,"' + b"x" * (1 << 20) + b"\n2,y\n", "quotation mark"),
    ],
)
def test_what_is_no_table_is_told_in_words(content: bytes, words: str) -> None:
    with pytest.raises(NotATable, match=words.replace("`", ".")):
        parse(content)


def test_an_encoding_that_was_named_is_used() -> None:
    table = parse("id,name\n1,Zoë\n".encode("cp1252"), encoding="cp1252")
    table.put(table.rows[0], "id", "2")
    assert table.render() == "id,name\n2,Zoë\n".encode("cp1252")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf_8_sig", "utf-16", "utf-32"])
def test_a_file_gets_no_byte_order_mark_that_it_did_not_have(encoding: str) -> None:
    """Other programs would take it for a part of the first column's name."""
    written = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(encoding, "utf-8")
    content = "id,name\n1,Zoë\n".encode(written)
    table = parse(content, encoding=encoding)
    assert (table.columns, table.render()) == (["id", "name"], content)


@pytest.mark.parametrize("encoding", ["utf-32", "utf-16", "utf-8-sig"])
def test_a_byte_order_mark_tells_the_encoding(encoding: str) -> None:
    content = "id,name\n1,Zoë\n".encode(encoding)
    table = parse(content)
    assert (table.columns, table.render()) == (["id", "name"], content)


def test_an_encoding_that_cannot_be_read_is_told_in_words() -> None:
    with pytest.raises(NotATable, match="is not punycode"):
        parse(bytes(range(256)), encoding="punycode")


@given(
    rows=st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)).filter(any), max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_text_survives_reading_and_writing(rows: list[tuple[str, str]], delimiter: str, end: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("one", "two"), *rows])
    content = text.getvalue().encode("utf-8", "surrogatepass")
    try:
        table = parse(content)
    except NotATable as error:
        assert "is not utf-8" in str(error)  # noqa: PT017 - half a character, which no file in UTF-8 holds
        return
    assert [tuple(row.cells) for row in table.rows] == rows
    assert table.render() == content
    for row in table.rows:
        row.text = None
    assert [tuple(row.cells) for row in parse(table.render()).rows] == rows
