"""What happens to a file on a disk that others use, too, and in the hands of people who mistype."""

import os
import random
import stat
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from optsync.clock import ManualClock
from optsync.connect.conformance.harness import START
from optsync.connect.contract import Context, Severity
from optsync.errors import SystemUnavailable
from optsync.model.change import Fact, Result, Write, WriteKind
from optsync.model.page import ReadSpec
from optsync_csv import Csv
from optsync_csv.disk import Disk
from optsync_csv.settings import CsvSettings
from optsync_csv.table import LARGEST_CELL
from optsync_csv.tests.test_connector import HEADER, SPEC, TWO, Place, named, out

ACCESS_LIST = "system.posix_acl_access"


def create(address: str) -> Write:
    return Write(key="c", kind=WriteKind.CREATE, collection="contact", address=address)


def access_list(*, user: int) -> bytes:
    """Read and write for this user besides the owner, nothing for the group."""
    nobody = 0xFFFFFFFF
    entries = [(0x01, 6, nobody), (0x02, 6, user), (0x04, 0, nobody), (0x10, 6, nobody), (0x20, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_writing_keeps_the_access_list_and_lets_no_group_in(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    try:
        os.setxattr(place.path, ACCESS_LIST, access_list(user=4711))
    except (OSError, AttributeError):
        pytest.skip("no access lists here")
    before = place.path.stat().st_mtime_ns
    place.csv.write([out("1")], SPEC)
    assert os.getxattr(place.path, ACCESS_LIST) == access_list(user=4711)
    assert place.path.stat().st_mtime_ns > before, "programs that watch the file see that it changed"


def test_an_access_list_of_the_folder_gives_nobody_the_file(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    try:
        os.setxattr(tmp_path, "system.posix_acl_default", access_list(user=4711))
    except (OSError, AttributeError):
        pytest.skip("no access lists here")
    place.path.chmod(0o660)
    place.csv.write([out("1")], SPEC)
    assert ACCESS_LIST not in os.listxattr(place.path)


def test_the_copy_of_a_process_that_was_killed_is_removed(tmp_path: Path) -> None:
    """It holds everybody, also those whom the file has forgotten since."""
    place = Place(tmp_path, TWO)
    old, new, other = (tmp_path / name for name in (".contacts.csv.a.optsync", ".contacts.csv.b.optsync", ".x.optsync"))
    for each in (old, new, other):
        each.write_text(TWO, encoding="utf-8")
    for each in (old, other):
        os.utime(each, (1, 1))
    place.csv.write([out("1")], SPEC)
    assert (old.exists(), new.exists(), other.exists()) == (False, True, True)


@pytest.mark.parametrize("address", ["=1+1@example.com", "+ann@example.com", "-2-3@example.com"])
def test_an_address_from_a_web_form_is_no_formula_in_the_file_either(tmp_path: Path, address: str) -> None:
    place = Place(tmp_path, TWO)
    moved = Write(key="r", kind=WriteKind.RENAME, collection="contact", record="2", address=f"{address}.uk")
    outcomes = place.csv.write([create(address), moved], SPEC)
    assert [one.result for one in outcomes] == [Result.APPLIED] * 2
    assert f",'{address}," in place.text()
    assert f",'{address}.uk," in place.text()
    shown = place.records()
    assert shown[outcomes[0].record_id or ""].addresses == (address,)
    assert shown["2"].addresses == (f"{address}.uk",)
    assert place.csv.write([create(address)], SPEC)[0].fact is Fact.EXISTS


def test_a_text_that_looks_protected_comes_back_as_it_was(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    for text in ("'=x", "''=x", "'+ann"):
        place.csv.write([named("1", text)], SPEC)
        assert place.records()["1"].fields["name"] == text


@pytest.mark.parametrize("first", ["x", "="])
def test_the_largest_text_that_is_taken_can_be_read_again(tmp_path: Path, first: str) -> None:
    """One cell too large would make the whole file unreadable."""
    place = Place(tmp_path, TWO)
    text = first * LARGEST_CELL
    (outcome,) = place.csv.write([named("1", text)], SPEC)
    assert set(place.records()) == {"1", "2"}
    assert (outcome.result is Result.APPLIED) == (place.records()["1"].fields["name"] == text)


@pytest.mark.parametrize("has_ids", [True, False])
@pytest.mark.parametrize("bad", ["2,Ben@example.com,Ben,no,no,b,\n", "2,Ben@example.com\n"])
def test_whoever_stands_in_a_line_that_cannot_be_read_is_not_gone(tmp_path: Path, bad: str, has_ids: bool) -> None:
    lines = (HEADER + "1,ann@example.com,Ann,,yes,a\n" + bad).splitlines(keepends=True)
    place = Place(tmp_path, "".join(line if has_ids else line.partition(",")[2] for line in lines))
    ann, ben = ("1", "2") if has_ids else ("ann@example.com", "ben@example.com")
    assert [fault.record for page in place.pages() for fault in page.faults] == [ben]
    forgotten = place.csv.forget("contact", ben)
    assert (forgotten.result, forgotten.fact) == (Result.FAILED, None)
    with pytest.raises(SystemUnavailable, match="mend the line"):
        place.csv.read_ids(ReadSpec(collection="contact"), [ben])
    outcomes = place.csv.write([out(ben), create("Ben@example.com"), out("7"), out(ann)], SPEC)
    results = [(one.result, one.fact) for one in outcomes]
    assert results[:2] == [(Result.FAILED, None)] * 2
    assert results[2:] == [(Result.REFUSED, Fact.GONE), (Result.APPLIED, None)]
    assert place.csv.read_ids(SPEC, [ben]) == []


class Growing(Disk):
    """Somebody saves the file piece by piece: each look at it shows more."""

    pieces: tuple[str, ...] = ()

    def read(self) -> bytes:
        if self.pieces:
            self._path.write_text(self.pieces[0], encoding="utf-8")
            self.pieces = self.pieces[1:]
        return super().read()


def growing(place: Place, *pieces: str) -> Csv:
    kind = type("Slow", (Growing,), {"pieces": pieces})
    connector: type[Csv] = type("Csv", (Csv,), {"disk": kind})
    return connector(place.csv._settings, place.csv._context)


def test_a_file_that_is_being_saved_is_read_when_it_is_whole(tmp_path: Path) -> None:
    """Half a name is nobody's, and a file replaced meanwhile would lose what had not been saved yet."""
    place = Place(tmp_path, TWO)
    csv = growing(place, "", TWO[:60], TWO[: TWO.index("n,no,no,b")], TWO)
    (page,) = csv.read(SPEC, None)
    assert [record.fields["name"] for record in page.records] == ["Ann", "Ben"]
    csv = growing(place, TWO[:60], TWO)
    assert csv.write([out("2")], SPEC)[0].result is Result.APPLIED
    assert place.text() == TWO.replace("Ben,no", "Ben,yes")


def test_a_file_that_never_ends_is_not_read(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO)
    csv = growing(place, *(TWO + "x" * number for number in range(1, 20)))
    with pytest.raises(SystemUnavailable, match="is being saved"):
        list(csv.read(SPEC, None))


def test_a_file_without_a_line_end_at_its_end_waits_once(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO.removesuffix("\n"))
    clock = ManualClock(START)
    csv = Csv(place.csv._settings, replace(place.csv._context, clock=clock))
    for _ in range(3):
        (page,) = csv.read(SPEC, None)
        assert len(page.records) == 2
    assert 0 < (clock.now() - START).total_seconds() < 3


def test_a_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    class Full(Disk):
        def replace(self, content: bytes, *, before: bytes) -> None:
            raise OSError(28, "No space left on device")

    made = CsvSettings.model_validate({"connector": "csv", "path": tmp_path / "contacts.csv"})
    (tmp_path / "contacts.csv").write_text(TWO, encoding="utf-8")
    context = Context(system="crm", clock=ManualClock(START), rng=random.Random(3))
    csv = type("Csv", (Csv,), {"disk": Full})(made, context)
    with pytest.raises(SystemUnavailable, match="No space left on device"):
        csv.write([out("2")], SPEC)


def test_a_written_row_keeps_its_quotation_marks_and_a_new_one_has_those_of_the_header(tmp_path: Path) -> None:
    quoted = ",".join(f'"{name}"' for name in HEADER.strip().split(",")) + "\n"
    place = Place(tmp_path, quoted + '"1","ann@example.com","Ann ""A"", B",,"yes",7\n')
    place.csv.write([out("1"), create("new@example.com")], SPEC)
    _, ann, new = place.text().splitlines()
    assert ann == '"1","ann@example.com","Ann ""A"", B",yes,"yes",7'
    assert new.endswith('","new@example.com","","","",""')


def test_a_replacement_outlasts_a_power_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, TWO)
    synced: list[bool] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(handle).st_mode) and "Ann,yes" in place.text())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    place.csv.write([out("1")], SPEC)
    assert synced == [False, True]


@pytest.mark.parametrize("word", ["  ", "\t"])
def test_a_blank_is_no_word_for_yes(word: str) -> None:
    """An opt-out would be written and never be seen again."""
    with pytest.raises(ValidationError):
        CsvSettings.model_validate({"connector": "csv", "path": "x.csv", "yes": word})


def test_a_word_for_yes_is_read_as_it_was_written(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO.replace("yes", ""), yes=" ja ")
    place.csv.write([out("1")], SPEC)
    assert place.records()["1"].fields["opt_out"] is True


@pytest.mark.parametrize("wanted", [None, {">": 1}, [], [None], {}])
def test_check_refuses_a_list_scope_that_nobody_can_belong_to(tmp_path: Path, wanted: object) -> None:
    place = Place(tmp_path, TWO)
    spec = replace(SPEC, lists={"some": {"remark": wanted}})
    assert [(each.severity, each.field) for each in place.csv.check([spec]).problems] == [(Severity.ERROR, "remark")]
    for known in ("", "a", 3, 1.5, True, START.date(), ["a", False]):
        assert place.csv.check([replace(SPEC, lists={"some": {"remark": known}})]).problems == ()


def test_check_warns_of_a_column_for_the_time_of_change_that_is_not_there(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO, updated_column="changed")
    assert [(each.severity, each.field) for each in place.csv.check([SPEC]).problems] == [(Severity.WARNING, "changed")]


def test_a_quotation_mark_that_is_open_in_the_last_line_hides_nobody_from_a_new_row(tmp_path: Path) -> None:
    place = Place(tmp_path, HEADER + '1,ann@example.com,Ann,yes,yes,"a\n')
    assert place.records()["1"].fields["opt_out"] is True
    (made,) = place.csv.write([create("new@example.com")], SPEC)
    assert made.result is Result.APPLIED
    assert {rid: record.addresses for rid, record in place.records().items()} == {
        "1": ("ann@example.com",),
        made.record_id: ("new@example.com",),
    }


def test_whoever_stands_behind_an_open_quotation_mark_in_the_last_line_gets_no_second_row(tmp_path: Path) -> None:
    place = Place(tmp_path, TWO + '3,"cleo@example.com,Cleo,yes,,c\n')
    (made,) = place.csv.write([create("cleo@example.com")], SPEC)
    assert made.result is Result.FAILED
    assert [page.is_complete for page in place.pages()] == [False]


def test_a_file_that_is_ours_already_is_not_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox may end whoever as much as asks for that."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "chown", lambda _, owner, group: asked.append((owner, group)))
    place = Place(tmp_path, TWO)
    (outcome,) = place.csv.write([out("1")], SPEC)
    assert (outcome.result, asked) == (Result.APPLIED, [])


@pytest.mark.parametrize("number", ["", "7"])
def test_whoever_is_forgotten_stays_in_no_copy_of_their_row(tmp_path: Path, number: str) -> None:
    """With one of two alike deleted, the other one would have its id: told as gone, and there."""
    ann = f"{number},ann@example.com,Ann,,yes,a\n"
    place = Place(tmp_path, HEADER + ann + "8,ben@example.com,Ben,no,no,b\n" + ann.replace("ann@", "Ann@"))
    prefix = f"{number}/" if number else ""
    rids = [f"{prefix}ann@example.com", f"{prefix}ann@example.com/2"]
    assert set(place.records()) == {*rids, "8"}
    first, second = (place.csv.forget("contact", rid) for rid in rids)
    assert (first.result, second.fact) == (Result.APPLIED, Fact.GONE)
    assert set(place.records()) == {"8"}


def test_a_row_with_another_address_or_id_is_not_forgotten_with_it(tmp_path: Path) -> None:
    rows = ("1,ann@example.com,Ann,,yes,a\n", "2,ann@example.com,Ann,,yes,a\n", "1,ben@example.com,Ben,,,b\n")
    place = Place(tmp_path, HEADER + "".join(rows))
    assert place.csv.forget("contact", "1/ann@example.com").result is Result.APPLIED
    assert place.text() == HEADER + "".join(rows[1:])


def test_a_row_that_is_set_aside_tells_what_can_be_read_of_it(tmp_path: Path) -> None:
    """A column that says neither yes nor no is left out, and not called blank."""
    place = Place(tmp_path, HEADER + "1,ann@example.com,Ann,yes,perhaps,a\n2,ben@example.com,Ben,never,,b\n")
    (page,) = place.pages()
    told = [fault.readable for fault in page.faults if fault.readable]
    assert [(dict(each.fields), dict(each.topics)) for each in told] == [({"opt_out": True}, {}), ({}, {"news": None})]
