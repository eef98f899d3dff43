"""A file as a CRM, from the command line: people edit it, and an e-mail platform follows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from optsync.connect.mock import Person
from optsync.model.record import Status
from optsync_mock.server import RunningServer
from tests.cli.desk import ESP, Desk, imitations

HEADER = "id;email;name;opt_out;news;remark\n"
ANN = "1;Ann@example.com;Ann;;yes;keeps bees\n"
BEN = '2;ben@example.com;"Ben; the second";no;no;\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_text(HEADER + ANN + BEN, encoding="utf-8-sig")
    return path


@pytest.fixture
def desk(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    """A file with two people and the platform with the same two."""
    people = [
        Person(number=n, first_name=name.title(), last_name="", addresses=(f"{name}@example.com",), status=Status.IN)
        for n, name in enumerate(("ann", "ben"))
    ]
    with RunningServer(mocks=imitations(people)) as server:
        made = Desk(tmp_path, capsys, server)
        made.document["systems"]["crm"] = {"connector": "csv", "path": str(file)}
        sync = made.document["syncs"]["newsletter"]
        topic = sync["esp"]["topics"]["news"]
        sync["crm"] = {"system": "crm", "opt_out": "opt_out", "topics": {"news": "news"}}
        sync["esp"]["topics"] = {"news": topic}
        sync["fields"] = [{"crm": "name", "esp": "FNAME"}]
        made.write()
        yield made


def settled(desk: Desk) -> None:
    """Cycles until nothing is left to do; the guard's first holds are released."""
    for _ in range(3):
        assert desk.optsync("sync", "--yes").code in (0, 1)


def test_an_opt_out_in_the_file_reaches_the_platform_and_the_other_way_round(desk: Desk, file: Path) -> None:
    settled(desk)
    file.write_bytes(file.read_bytes().replace(b"Ann;;yes", b"Ann;x;yes"))
    desk.act(ESP, "unsubscribe", email="ben@example.com")
    settled(desk)

    assert desk.act(ESP, "view", email="ann@example.com")["status"] == "out"
    text = file.read_bytes().decode("utf-8-sig")
    # Ann's line is as she left it, and Ben's says "out" in the word that the column knows; nothing else moved.
    assert text.splitlines()[:2] == [HEADER.strip(), ANN.strip().replace(";;yes", ";x;yes")]
    assert text.splitlines()[2].split(";")[-3:-1] == ["x", "no"]
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    assert desk.optsync("may-send", "ben@example.com", "--scope", "acme/marketing", "--json").json["may_send"] is False


def test_a_file_that_nobody_touched_costs_nothing_and_is_not_written(desk: Desk, file: Path) -> None:
    settled(desk)
    before, stamp, calls = file.read_bytes(), file.stat().st_mtime_ns, desk.writes()
    answer = desk.optsync("sync", "--json")
    assert answer.json["syncs"]["newsletter"]["seen"]["crm"] == 0
    assert (file.read_bytes(), file.stat().st_mtime_ns, desk.writes()) == (before, stamp, calls)


def test_a_row_that_cannot_be_read_is_told_by_file_line_and_column(desk: Desk, file: Path) -> None:
    with file.open("a", encoding="utf-8") as text:
        text.write("3;cleo@example.com;Cleo;perhaps;no;\n4;dan@example.com\n")
    assert desk.optsync("sync", "--yes", "--json").json["syncs"]["newsletter"]["outcome"]["quarantined"] == 2
    told = {issue["record"]: issue["message"] for issue in desk.optsync("issues", "--json").json}
    assert "contacts.csv:4: column opt_out" in told["3"]
    assert "contacts.csv:5: 2 cells and 6 columns" in told["4"]


def test_an_opt_out_is_heard_although_another_cell_of_the_row_cannot_be_read(desk: Desk, file: Path) -> None:
    """And nothing that permits, and nothing of the cell that cannot be read."""
    settled(desk)
    file.write_bytes(
        file.read_bytes().replace(b"Ann;;yes", b"Ann;x;perhaps").replace(b'second";no;no', b'second";no;?')
    )
    answer = desk.optsync("sync", "--json").json["syncs"]["newsletter"]
    assert answer["outcome"]["quarantined"] == 2
    settled(desk)
    ann, ben = (desk.act(ESP, "view", email=f"{name}@example.com") for name in ("ann", "ben"))
    assert (ann["status"], ben["status"]) == ("out", "in")
    assert {issue["record"] for issue in desk.optsync("issues", "--json").json} >= {"1", "2"}

    file.write_bytes(file.read_bytes().replace(b"perhaps", b"yes"))
    settled(desk)
    assert desk.act(ESP, "view", email="ann@example.com")["status"] == "out"
    before = desk.writes()
    assert desk.optsync("sync").code == 0
    assert desk.writes() == before


def test_a_tick_that_was_taken_away_is_heard_although_the_opt_out_cannot_be_read(desk: Desk, file: Path) -> None:
    settled(desk)
    assert desk.act(ESP, "view", email="ann@example.com")["topics"]["news"] is True
    file.write_bytes(file.read_bytes().replace(b"Ann;;yes", b"Ann;perhaps;no"))
    settled(desk)
    shown = desk.act(ESP, "view", email="ann@example.com")
    assert (shown["status"], shown["topics"]["news"]) == ("in", False)


@pytest.mark.parametrize("what", ["missing", "empty", "without a header", "without its flag"])
def test_a_file_that_cannot_be_right_changes_nothing_and_says_why(desk: Desk, file: Path, what: str) -> None:
    settled(desk)
    writes = desk.writes()
    if what == "missing":
        file.unlink()
    else:
        text = file.read_text(encoding="utf-8-sig")
        contents = {"empty": "", "without a header": ANN, "without its flag": text.replace("opt_out", "remark 2", 1)}
        file.write_text(contents[what], encoding="utf-8-sig")
    answer = desk.optsync("sync", "--full")
    assert answer.code == 3
    assert "contacts.csv" in answer.out + answer.err
    assert desk.writes() == writes
    assert desk.act(ESP, "view", email="ann@example.com")["status"] == "in"


def test_a_file_that_lost_its_rows_is_not_believed(desk: Desk, file: Path) -> None:
    settled(desk)
    writes = desk.writes()
    file.write_text(HEADER, encoding="utf-8-sig")
    desk.optsync("sync")
    assert "source_shrunk" in {issue["kind"] for issue in desk.optsync("issues", "--json").json}
    assert desk.writes() == writes


def test_check_tells_what_does_not_fit_before_anything_is_synced(desk: Desk, file: Path) -> None:
    assert desk.optsync("check").code == 0
    file.write_bytes(file.read_bytes().replace(b"Ann;;yes", b"Ann;opted out;yes"))
    answer = desk.optsync("check")
    assert answer.code != 0
    assert "opt_out must hold yes, no or nothing" in " ".join((answer.out + answer.err).split())


def test_nobody_is_called_erased_who_stands_in_a_line_that_cannot_be_read(desk: Desk, file: Path) -> None:
    settled(desk)
    file.write_bytes(file.read_bytes().replace(b"Ann;;yes", b"Ann;;;yes"))
    answer = desk.optsync("forget", "ann@example.com", "--vendors", "--actor", "the privacy officer", "--yes", "--json")
    told = {each["system"]: each["outcome"] for each in answer.json["records"]}
    assert told["crm"] == "failed"
    assert b"Ann@example.com" in file.read_bytes()


def test_a_forgotten_persons_row_is_known_as_theirs_although_it_cannot_be_read(desk: Desk, file: Path) -> None:
    settled(desk)
    forget = ("forget", "ann@example.com", "--actor", "the privacy officer", "--json")
    assert desk.optsync(*forget).json["records"]
    file.write_bytes(file.read_bytes().replace(b"Ann;;yes", b"Ann;perhaps;no"))
    desk.optsync("sync")

    told = [each["system"] for each in desk.optsync(*forget).json["records"]]
    assert "crm" in told


def test_a_file_that_was_repaired_is_told_as_well_while_the_platform_lets_nobody_in(desk: Desk, file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(b"")
    assert desk.optsync("sync").code == 3
    assert desk.optsync("status", "--json").json["systems"]["crm"]["ok"] is False
    file.write_bytes(whole)
    systems = desk.document["systems"]
    desk.write(systems={**systems, "mc": {**systems["mc"], "api_key": f"{'0' * 32}-us6"}})
    assert desk.optsync("sync").code == 3

    told = desk.optsync("status", "--json").json["systems"]
    assert (told["crm"]["ok"], told["mc"]["ok"]) == (True, False)
