"""What a file has that no other system has: people who save it while we write, sort it, and copy rows."""

import errno
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from optsync.clock import ManualClock
from optsync.connect.conformance.harness import START
from optsync.connect.contract import Context
from optsync.errors import StateLocked, SystemUnavailable
from optsync.model.change import Fact, Result, Write, WriteKind
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Record
from optsync_csv import Csv
from optsync_csv.disk import ChangedMeanwhile, Disk
from optsync_csv.settings import CsvSettings

SPEC = ReadSpec(
    collection="contact",
    fields=frozenset({"name", "opt_out"}),
    flags=frozenset({"opt_out"}),
    topics=frozenset({"news"}),
)
HEADER = "id,email,name,opt_out,news,remark\n"
TWO = HEADER + "1,ann@example.com,Ann,,yes,a\n2,ben@example.com,Ben,no,no,b\n"


class Place:
    """A connector on a file with this text."""

    def __init__(self, folder: Path, text: str, **settings: str) -> None:
        self.path = folder / "contacts.csv"
        self.path.write_text(text, encoding="utf-8")
        made = CsvSettings.model_validate({"connector": "csv", "path": self.path, **settings})
        self.csv = Csv(made, Context(system="crm", clock=ManualClock(START), rng=random.Random(3)))

    def pages(self, cursor: str | None = None) -> list[Page]:
        return list(self.csv.read(SPEC, cursor))

    def records(self) -> dict[str, Record]:
        return {record.id: record for page in self.pages() for record in page.records}

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")


def out(record: str) -> Write:
    return Write(
        key=record,
        kind=WriteKind.STATUS,
        collection="contact",
        record=record,
        fields={"opt_out": True},
        restrictive=True,
    )


def named(record: str, name: str | None) -> Write:
    return Write(key=f"n{record}", kind=WriteKind.FIELDS, collection="contact", record=record, fields={"name": name})


def test_an_edit_that_is_saved_while_we_write_is_kept_and_so_is_ours(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)

    class Hurried(Disk):
        """Somebody saves between our reading and our writing, twice."""

        saves = 2

        def replace(self, content: bytes, *, before: bytes) -> None:
            if Hurried.saves:
                Hurried.saves -= 1
                place.path.write_text(place.text().replace("yes,a", "yes,a!"), encoding="utf-8")
            super().replace(content, before=before)

    place.csv = type("Csv", (Csv,), {"disk": Hurried})(place.csv._settings, place.csv._context)
    (outcome,) = place.csv.write([out("2")], SPEC)
    assert outcome.result is Result.APPLIED
    assert place.text() == TWO.replace(",a\n", ",a!!\n").replace("Ben,no", "Ben,yes")


def test_a_file_that_changes_all_the_time_is_given_up_with_nothing_written(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)

    class Restless(Disk):
        def replace(self, content: bytes, *, before: bytes) -> None:
            raise ChangedMeanwhile

    place.csv = type("Csv", (Csv,), {"disk": Restless})(place.csv._settings, place.csv._context)
    with pytest.raises(SystemUnavailable, match="changes all the time"):
        place.csv.write([out("2")], SPEC)
    assert place.text() == TWO


def test_an_address_that_the_files_encoding_lacks_keeps_no_opt_out_from_being_written(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO, encoding="cp1252")
    new = Write(key="c", kind=WriteKind.CREATE, collection="contact", address="анна@example.com")
    moved = Write(key="r", kind=WriteKind.RENAME, collection="contact", record="2", address="анна@example.com")
    outcomes = place.csv.write([new, out("1"), moved, out("2")], SPEC)
    assert [one.result for one in outcomes] == [Result.INVALID, Result.APPLIED, Result.INVALID, Result.APPLIED]
    assert place.text() == TWO.replace("Ann,,", "Ann,yes,").replace("Ben,no,", "Ben,yes,")


def test_a_word_for_yes_that_the_files_encoding_lacks_spoils_no_other_write(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO.replace("yes", ""), encoding="cp1252", yes="да")
    outcomes = place.csv.write([out("1"), named("2", "Bea")], SPEC)
    assert [one.result for one in outcomes] == [Result.INVALID, Result.APPLIED]


def test_writing_leaves_nothing_behind_and_keeps_the_mode_and_a_link(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    place.path.chmod(0o640)
    real = tmp_path / "real.csv"
    place.path.rename(real)
    place.path.symlink_to(real)
    place.csv.write([out("1")], SPEC)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["contacts.csv", "real.csv"]
    assert place.path.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "Ann,yes" in real.read_text(encoding="utf-8")


def test_a_failed_save_leaves_the_file_and_no_other_one(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    with pytest.raises(ChangedMeanwhile):
        Disk(place.path).replace(b"new", before=b"something else")
    assert place.text() == TWO
    assert [each.name for each in tmp_path.iterdir()] == ["contacts.csv"]


def test_sorting_the_rows_and_adding_a_column_changes_no_record(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    before = place.records()
    rows = [line.split(",") for line in TWO.splitlines()]
    turned = [rows[0], *reversed(rows[1:])]
    place.path.write_text("".join(",".join(["x", *reversed(row)]) + "\n" for row in turned), encoding="utf-8")
    assert place.records() == before


def test_a_copied_row_hides_no_opt_out_whatever_the_order(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    copies = ["1,ann@example.com,Ann,yes,yes,copy\n", "1,new@example.com,Ann,yes,,copy\n"]
    seen = []
    for order in (copies, copies[::-1]):
        place.path.write_text(TWO + "".join(order), encoding="utf-8")
        seen.append(place.records())
    assert set(seen[0]) == {"1/ann@example.com", "1/ann@example.com/2", "1/new@example.com", "2"}
    assert seen[0] == seen[1]
    assert [seen[0][rid].fields["opt_out"] for rid in sorted(seen[0])] == [None, True, True, False]
    (outcome,) = place.csv.write([out("1/ann@example.com")], SPEC)
    assert outcome.result is Result.APPLIED
    assert "1,ann@example.com,Ann,yes,yes,a\n" in place.text()


def test_rows_that_cannot_be_read_are_faults_and_stop_nothing(tmp_path: Path) -> None:
    bad = "3,cleo@example.com,Cleo,perhaps,no,c\n\n4,dan@example.com\n,,Nobody,,,\n5,eve@example.com,Eve,no,1,e,e\n"
    place = Place(tmp_path, TWO + bad)
    (page,) = place.pages()
    assert [record.id for record in page.records] == ["1", "2"]
    assert [(fault.record, fault.field, fault.value) for fault in page.faults] == [
        ("3", "opt_out", "perhaps"),
        ("4", None, None),
        ("contacts.csv:7", None, None),
        ("5", None, None),
    ]
    lines = [fault.message.partition(": ")[0] for fault in page.faults]
    assert lines == [f"contacts.csv:{line}" for line in (4, 6, 7, 8)]
    assert place.csv.read_ids(SPEC, ["3", "2"]) == [place.records()["2"]]


def test_an_opt_out_is_written_over_a_word_that_nobody_understands(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO + "3,cleo@example.com,Cleo,perhaps,no,c\n")
    outcomes = place.csv.write([named("3", "Clio"), out("3")], SPEC)
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED, Result.APPLIED]
    assert place.records()["3"].fields == {"name": "Clio", "opt_out": True}


def test_a_row_without_an_id_is_known_by_its_address(tmp_path: Path) -> None:
    place = Place(tmp_path, HEADER + ",Ann@Example.com,Ann,,,\n")
    assert set(place.records()) == {"ann@example.com"}
    (outcome,) = place.csv.write([out("ann@example.com")], SPEC)
    assert (outcome.result, outcome.record_id) == (Result.APPLIED, "ann@example.com")
    rename = Write(
        key="r", kind=WriteKind.RENAME, collection="contact", record="ann@example.com", address="new@example.com"
    )
    (outcome,) = place.csv.rename([rename], SPEC)
    assert (outcome.result, outcome.record_id) == (Result.APPLIED, "new@example.com")
    assert place.records()["new@example.com"].fields["opt_out"] is True


def test_a_file_without_an_id_column_takes_new_rows(tmp_path: Path) -> None:
    place = Place(tmp_path, "email,name,opt_out,news\n")
    create = Write(key="c", kind=WriteKind.CREATE, collection="contact", address="Ann@example.com")
    outcomes = place.csv.write([create, create], SPEC)
    assert [(each.result, each.fact) for each in outcomes] == [(Result.APPLIED, None), (Result.REFUSED, Fact.EXISTS)]
    assert outcomes[0].record_id == "ann@example.com"
    assert set(place.records()) == {"ann@example.com"}


@pytest.mark.parametrize("words", [("x", ""), ("1", "0"), ("TRUE", "FALSE"), ("Yes", "No")])
def test_a_flag_is_written_in_the_word_of_its_column(tmp_path: Path, words: tuple[str, str]) -> None:
    yes, no = words
    place = Place(tmp_path, HEADER + f"1,ann@example.com,Ann,{yes},,\n2,ben@example.com,Ben,{no},,\n")
    place.csv.write([out("2")], SPEC)
    assert f"Ben,{yes},,\n" in place.text()


def test_a_word_of_ones_own_is_written_and_read(tmp_path: Path) -> None:
    place = Place(tmp_path, HEADER + "1,ann@example.com,Ann,,nein,\n2,ben@example.com,Ben,,JA,\n", yes="ja", no="nein")
    assert [record.topics["news"] for record in place.records().values()] == [False, True]
    place.csv.write([out("1")], SPEC)
    assert "Ann,ja,nein," in place.text()
    assert place.records()["1"].fields["opt_out"] is True


@pytest.mark.parametrize("words", [{"yes": "no"}, {"no": "X"}, {"yes": "ja", "no": "JA"}, {"yes": ""}])
def test_words_that_contradict_each_other_are_refused(words: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CsvSettings.model_validate({"connector": "csv", "path": "x.csv", **words})


def test_an_opt_out_is_not_dated_by_a_column_that_nobody_keeps(tmp_path: Path) -> None:
    """An old stamp beside a new tick would let an opt-in in between win over it."""
    text = "id,email,name,opt_out,news,changed\n1,ann@example.com,Ann,x,,2020-01-01\n"
    place = Place(tmp_path, text, updated_column="changed")
    assert place.records()["1"].modified_at is None
    place.csv.write([named("1", "Anna")], SPEC)
    assert place.text().endswith(f"1,ann@example.com,Anna,x,,{START.isoformat()}\n")


def test_a_formula_from_a_web_form_is_no_formula_in_the_file_and_comes_back_as_it_was(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    for text in ('=HYPERLINK("http://example.com")', "+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3+cmd|' /C'!A0"):
        (outcome,) = place.csv.write([named("1", text)], SPEC)
        assert outcome.result is Result.APPLIED
        assert "'" + text[:4] in place.text()
        assert place.records()["1"].fields["name"] == text


@pytest.mark.parametrize("text", ["+49 (30) 12-34", "-5", "'tis", "0", " x "])
def test_harmless_texts_are_written_as_they_are(tmp_path: Path, text: str) -> None:
    place = Place(tmp_path, TWO)
    place.csv.write([named("1", text)], SPEC)
    assert f"1,ann@example.com,{text}," in place.text()
    assert place.records()["1"].fields["name"] == text


def test_a_character_that_the_file_cannot_hold_is_refused_as_a_value(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO, encoding="cp1252")
    outcomes = place.csv.write([named("1", "李雷"), named("2", "Zoë")], SPEC)
    assert [(each.result, each.field) for each in outcomes] == [(Result.INVALID, "name"), (Result.APPLIED, None)]
    assert place.path.read_bytes() == TWO.replace("Ben", "Zoë").encode("cp1252")


@pytest.mark.parametrize("column", ["id", "email", "nowhere"])
def test_columns_that_are_not_ours_to_write_are_refused(tmp_path: Path, column: str) -> None:
    place = Place(tmp_path, TWO)
    write = Write(key="w", kind=WriteKind.FIELDS, collection="contact", record="1", fields={column: "x", "name": "y"})
    (outcome,) = place.csv.write([write], SPEC)
    assert (outcome.result, outcome.field) == (Result.INVALID, column)
    assert place.text() == TWO


def test_an_unchanged_file_is_not_looked_at_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, TWO)
    cursor = place.pages()[-1].cursor
    monkeypatch.delattr("optsync_csv.mapping.Sheet.show")
    (page,) = place.pages(cursor)
    assert (page.records, page.is_last, page.is_full, page.cursor) == ((), True, False, cursor)


@pytest.mark.parametrize("column", ["email", "name", "opt_out", "news", "remark", "Nr"])
def test_a_column_that_vanished_is_nobodys_change(tmp_path: Path, column: str) -> None:
    settings = {"id_column": "Nr"} if column == "Nr" else {}
    place = Place(tmp_path, TWO.replace(column, "other", 1), **settings)
    spec = replace(SPEC, lists={"some": {"remark": "a"}})
    for ask in (lambda: list(place.csv.read(spec, None)), lambda: place.csv.read_ids(spec, ["1"])):
        with pytest.raises(SystemUnavailable, match=f"line 1: the column {column} is not there; nothing was read"):
            ask()
    told = [problem.field for problem in place.csv.check([spec]).problems]
    assert told == [column]


def test_a_list_scope_compares_cells(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    spec = ReadSpec(collection="contact", lists={"one": {"remark": "a"}, "both": {"remark": ["a", "b"]}})
    (page,) = list(place.csv.read(spec, None))
    assert [sorted(record.lists) for record in page.records] == [["both", "one"], ["both"]]


@pytest.mark.parametrize(
    "torn",
    [
        '1,ann@example.com,Ann,,yes,"a\n2,ben@example.com,Ben,yes,no,b\n',
        '1,ann@example.com,Ann,,yes,"a\n2,ben@example.com,Ben,yes,no,"b"\n3,cleo@example.com,Cleo,,,c\n',
        '1,ann@example.com,"Ann,,yes,a\n2,ben@example.com,Ben,yes,no,b\n',
    ],
    ids=["to the end", "to the next one", "with cells left over"],
)
def test_a_missing_quotation_mark_hides_nobody_behind_it(tmp_path: Path, torn: str) -> None:
    """Whoever is not in a complete read is taken for deleted, and their opt-out is not seen."""
    place = Place(tmp_path, HEADER + torn)
    (page,) = place.pages()
    assert not page.is_complete
    assert [fault.record for fault in page.faults] == ["1"]
    assert "contacts.csv:2 to 3: a quotation mark is missing" in page.faults[0].message
    new = Write(key="c", kind=WriteKind.CREATE, collection="contact", address="new@example.com")
    outcomes = place.csv.write([out("2"), new], SPEC)
    assert [outcome.result for outcome in outcomes] == [Result.FAILED, Result.FAILED], "it may stand behind the mark"
    assert place.text() == HEADER + torn


def test_a_cell_of_several_lines_hides_nobody_and_is_read(tmp_path: Path) -> None:
    place = Place(tmp_path, HEADER + '1,ann@example.com,"Ann\nLee ""A"" ",,yes,a\n2,ben@example.com,"Be" n,no,no,b\n')
    (page,) = place.pages()
    assert page.is_complete
    assert [record.fields["name"] for record in page.records] == ['Ann\nLee "A" ', "Be n"]


def test_nobody_is_opted_in_over_a_word_that_nobody_understands(tmp_path: Path) -> None:
    """It may well be a no."""
    place = Place(tmp_path, TWO.replace("Ben,no,no", "Ben,never again,not these"))
    before = place.text()
    into = replace(out("2"), key="in", fields={"opt_out": False}, restrictive=False)
    tick = Write(key="t", kind=WriteKind.TOPICS, collection="contact", record="2", topics={"news": True})
    outcomes = place.csv.write([into, tick], SPEC)
    assert [one.result for one in outcomes] == [Result.FAILED, Result.FAILED]
    assert "opt_out" in outcomes[0].message
    assert place.text() == before


def test_nobody_is_opted_in_beside_a_word_that_nobody_understands(tmp_path: Path) -> None:
    spec = replace(SPEC, fields=frozenset({"opt_out", "opt_in"}), flags=frozenset({"opt_out", "opt_in"}))
    text = "id,email,opt_out,opt_in,news\n1,ann@example.com,never again,,\n2,ben@example.com,,,\n"
    place = Place(tmp_path, text)
    into = [replace(out(record), fields={"opt_in": True}, restrictive=False) for record in ("1", "2")]
    tick = Write(key="t", kind=WriteKind.TOPICS, collection="contact", record="1", topics={"news": True})
    untick = replace(tick, key="u", topics={"news": False}, restrictive=True)
    outcomes = place.csv.write([*into, tick, untick], spec)
    assert [one.result for one in outcomes] == [Result.FAILED, Result.APPLIED, Result.FAILED, Result.APPLIED]
    assert "opt_out" in outcomes[0].message
    assert place.text() == text.replace("again,,", "again,,no").replace("ben@example.com,,", "ben@example.com,,yes")


def test_a_rename_leaves_an_address_that_somebody_else_has_just_written(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO.replace("ben@", "benjamin@"))
    rename = Write(
        key="r",
        kind=WriteKind.RENAME,
        collection="contact",
        record="2",
        address="new@example.com",
        former="ben@example.com",
    )
    (outcome,) = place.csv.rename([rename], SPEC)
    assert outcome.result is Result.FAILED
    (outcome,) = place.csv.rename([replace(rename, former="Benjamin@example.com")], SPEC)
    assert outcome.result is Result.APPLIED


def test_other_words_for_yes_are_seen_in_a_file_that_did_not_change(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO.replace("Ben,no", "Ben,ja"))
    (page,) = place.pages()
    assert [fault.record for fault in page.faults] == ["2"]
    later = Place(tmp_path, place.text(), yes="ja")
    (seen,) = later.pages(page.cursor)
    assert {record.id: record.fields["opt_out"] for record in seen.records} == {"1": None, "2": True}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_writing_keeps_the_owner_and_the_group(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    os.chown(place.path, 4711, 4712)
    place.csv.write([out("1")], SPEC)
    found = place.path.stat()
    assert (found.st_uid, found.st_gid) == (4711, 4712)


def test_a_file_of_an_owner_who_is_not_known_here_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that maps users: the operating system calls such an owner invalid, and not forbidden."""

    def unknown(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    place = Place(tmp_path, TWO)
    stat, name = Path.stat, place.path.name

    def foreign(path: Path, **options: bool) -> os.stat_result:
        found = stat(path, **options)
        return os.stat_result([*found[:4], 4711, 4712, *found[6:]]) if path.name == name else found

    monkeypatch.setattr(Path, "stat", foreign)
    monkeypatch.setattr(os, "chown", unknown)
    (outcome,) = place.csv.write([out("1")], SPEC)
    assert outcome.result is Result.APPLIED


def test_a_column_is_searched_for_its_word_once_however_many_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, HEADER + "".join(f"{n},p{n}@example.com,,no,,\n" for n in range(50)))
    looks: list[str] = []
    words = vars(CsvSettings)["words"].fget

    def counted(settings: CsvSettings) -> object:
        looks.append("")
        return words(settings)

    monkeypatch.setattr(CsvSettings, "words", property(counted))
    outcomes = place.csv.write([out(str(n)) for n in reversed(range(50))], SPEC)
    assert {outcome.result for outcome in outcomes} == {Result.APPLIED}
    assert len(looks) < 10 * 50


def test_whoever_lost_the_lease_writes_no_file(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)

    def lost() -> None:
        raise StateLocked

    csv = Csv(place.csv._settings, replace(place.csv._context, before_write=lost))
    for act in (lambda: csv.write([out("1")], SPEC), lambda: csv.forget("contact", "1")):
        with pytest.raises(StateLocked):
            act()
    assert place.text() == TWO


def test_a_list_scope_of_true_takes_every_word_for_yes(tmp_path: Path) -> None:
    """Otherwise nobody would belong to the list, and all of its members would seem to have left it."""
    place = Place(tmp_path, TWO + "3,cleo@example.com,Cleo,,X,c\n")
    spec = ReadSpec(collection="contact", lists={"readers": {"news": True}, "others": {"news": [False, "X"]}})
    (page,) = list(place.csv.read(spec, None))
    assert [sorted(record.lists) for record in page.records] == [["readers"], ["others"], ["others", "readers"]]
