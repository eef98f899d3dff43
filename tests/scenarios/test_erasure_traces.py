"""After an erasure no byte of the database's files, of what is printed and of the logs tells of the person."""

import base64
import hashlib
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from optsync.connect.redact import Redactor
from optsync.logs import configure
from optsync.model.change import ChangeKind
from optsync.model.record import Status
from optsync.model.statement import StatementKind
from optsync.reconcile import erasure
from optsync.state.events import Selection
from optsync.sync.consent_records import events, standings
from optsync.sync.explain import explain, issue_to_json
from optsync.sync.forget import forget
from optsync.sync.forgotten import remember
from optsync.sync.observe import Observer
from optsync.sync.progress import Silent
from tests.scenarios import world as worlds
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("forgotten stays out")
TYPED = "Zoë.Quillfeather@Bücher.Example"
ADDRESS = "zoë.quillfeather@xn--bcher-kva.example"
PLAIN = "xenia.quillfeather@example.org"
NAMES = ("Xenobia", "Quillfeather", "Ouagadougou", "telephone call of the 3rd")


def forms(address: str) -> Iterator[bytes]:
    """The address as it may be written somewhere."""
    for spelled in {address, address.lower(), address.upper()}:
        yield spelled.encode()
        yield spelled.encode("utf-16-le")
        yield quote(spelled).encode()
        yield quote(spelled, safe="").lower().encode()
        yield json.dumps(spelled).strip('"').encode()
        yield base64.b64encode(spelled.encode()).rstrip(b"=")
        for name in ("md5", "sha1", "sha256"):
            digest = hashlib.new(name, spelled.encode(), usedforsecurity=False)
            yield digest.digest()
            yield digest.hexdigest().encode()


def traces(content: bytes, *addresses: str) -> set[bytes]:
    found = {form for address in addresses for form in forms(address) if form in content}
    lowered = content.lower()
    return found | {name.encode() for name in NAMES if name.lower().encode() in lowered}


def files(folder: Path) -> bytes:
    """The database, its log, and whatever lies beside them."""
    return b"".join(f.read_bytes() for f in sorted(folder.glob("state.db*")))


def eventful(folder: Path, address: str) -> World:
    """Somebody about whom every table has something to tell."""
    ann = person(
        1,
        first_name=NAMES[0],
        last_name=NAMES[1],
        addresses=(address,),
        city="Riga",
        opt_in=True,
        consent_at=None,
        consent_text=NAMES[3],
        crm_topics={"news": True},
        esp_topics={"news": False},
    )
    w = World(folder, [ann, *(person(n) for n in range(2, 6))], state_url=f"sqlite:///{folder}/state.db")
    w.sync()
    w.crm.act("set_field", email=address, field="city", value=NAMES[2])
    w.sync()
    w.esp.act("set_field", email=address, field="last_name", value=NAMES[1].upper())
    w.sync()
    w.wait(minutes=30)
    w.esp.act("unsubscribe", email=address)
    w.sync()
    w.esp.act("flip_in", email=address, force=True)
    w.sync()
    w.crm.act("set_field", email=address, field="first_name", value=NAMES[0].lower())
    w.sync(stopping=lambda: True)
    return w


@pytest.mark.parametrize(("typed", "stored"), [(PLAIN, PLAIN), (TYPED, ADDRESS)])
def test_no_byte_of_the_database_tells_of_a_forgotten_person(tmp_path: Path, typed: str, stored: str) -> None:
    w = eventful(tmp_path, typed)
    assert traces(files(tmp_path), typed, stored), "the test would find nothing in any case"
    forget(w.engine, stored, actor="the privacy officer")

    assert traces(files(tmp_path), typed, stored) == set()
    w.sync()
    w.sync(full=True)
    w.crm.act("set_field", email=typed, field="city", value="Ouagadougou-2")
    w.esp.act("flip_in", email=typed, force=True)
    w.sync()
    w.sync(full=True)
    assert traces(files(tmp_path), typed, stored) == set()
    assert w.esp_shows(typed)["status"] == Status.OUT


def test_the_ledger_still_proves_itself_after_erasures(tmp_path: Path) -> None:
    w = eventful(tmp_path, PLAIN)
    for _ in range(2):
        forget(w.engine, PLAIN, actor="the privacy officer")
        w.sync(full=True)
    with w.store.transaction() as unit:
        remember(unit, PLAIN)
    w.sync()
    forget(w.engine, PLAIN, actor="the privacy officer")
    forget(w.engine, "nobody@example.org", actor="the privacy officer")

    with w.store.reading() as unit:
        verdict = unit.ledger.verify([b"a secret of the tests"])
    assert verdict.findings == []
    assert verdict.erased > 3


def test_what_is_printed_and_logged_does_not_tell_of_a_forgotten_person(tmp_path: Path) -> None:
    w = eventful(tmp_path, PLAIN)
    logged = io.StringIO()
    configure(level="debug", form="json", redactor=Redactor(key=b"a secret of the tests"), stream=logged)
    done = forget(w.engine, PLAIN, actor="the privacy officer")
    reports = [w.sync().to_json(), w.sync(full=True).to_json()]
    with w.store.reading() as unit:
        issues = [issue_to_json(i) for i in unit.issues.list(state=None)]
        runs = [run.summary for run in unit.runs.list()]
        everything = Selection(kinds=tuple(StatementKind))
        exported = [*events(w.engine, unit, everything, Silent()), *standings(w.engine, unit, None, Silent())]
    shown = json.dumps([done.to_json(), reports, explain(w.engine, PLAIN), issues, runs, exported], default=str)

    assert len(exported) > 4
    assert traces(shown.encode(), PLAIN) == set()
    assert traces(logged.getvalue().encode(), PLAIN) == set()
    assert "person forgotten" in logged.getvalue()


def test_a_person_who_came_back_is_forgotten_once_more(tmp_path: Path) -> None:
    w = eventful(tmp_path, PLAIN)
    forget(w.engine, PLAIN, actor="the privacy officer")
    with w.store.transaction() as unit:
        remember(unit, PLAIN)
    w.sync()
    forget(w.engine, PLAIN, actor="the privacy officer")
    w.sync()

    assert traces(files(tmp_path), PLAIN) == set()
    assert w.crm_shows(PLAIN)["opt_out"] is True


@pytest.mark.parametrize("side", ["crm", "esp"])
def test_the_former_address_of_somebody_who_has_another_one_by_now_is_in_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    marketing = {"kind": "commercial", "basis": "legitimate_interest", "topics": ["news", "offers", "events"]}
    monkeypatch.setitem(worlds.BRANDS, "acme", {"purposes": {"marketing": marketing}})
    people = [person(1, addresses=(PLAIN.title(),)), person(2)]
    w = World(tmp_path, people, state_url=f"sqlite:///{tmp_path}/state.db")
    w.sync()
    (w.crm if side == "crm" else w.esp).act("change_address", email=PLAIN, to="new@example.org")
    assert [c.kind for c in w.sync().syncs["newsletter"].changes] == [ChangeKind.RENAME]
    forget(w.engine, PLAIN, actor="the privacy officer")

    assert traces(files(tmp_path), PLAIN, PLAIN.title()) == set()
    assert b"new@example.org" in files(tmp_path)
    w.settle()


def test_the_journal_of_who_shared_a_contact_does_not_name_the_address_that_the_other_one_had(tmp_path: Path) -> None:
    people = [person(1, addresses=("ben@example.org", PLAIN.title())), person(2)]
    w = World(tmp_path, people, state_url=f"sqlite:///{tmp_path}/state.db")
    w.sync()
    forget(w.engine, "ben@example.org", actor="the privacy officer")
    assert ("crm", ChangeKind.OPT_OUT) in {(c.system, c.kind) for c in w.sync().syncs["newsletter"].changes}
    w.crm.act("change_address", email=PLAIN, to="new@example.org")
    w.sync()
    w.sync()
    forget(w.engine, PLAIN, actor="the privacy officer")

    assert traces(files(tmp_path), PLAIN, PLAIN.title()) == set()
    w.settle()


def test_who_is_forgotten_before_their_opt_in_is_judged_is_in_no_issue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim waits in memory for the other side to be read, with the record's id, which tells the address."""
    monkeypatch.setattr(erasure, "gives_away", lambda _record, address: address == PLAIN)
    w = World(tmp_path, [person(1, addresses=(PLAIN,)), person(2)], state_url=f"sqlite:///{tmp_path}/state.db")
    w.sync()
    w.esp.act("unsubscribe", email=PLAIN)
    w.sync()
    w.esp.act("flip_in", email=PLAIN, force=True)
    judge = Observer.judge_claims

    def forget_before(observer: Observer) -> None:
        if observer._claims:
            forget(w.compose(), PLAIN, actor="the privacy officer")
        judge(observer)

    monkeypatch.setattr(Observer, "judge_claims", forget_before)
    w.sync()
    w.sync()

    with w.store.reading() as unit:
        assert unit.issues.list(kind="refused_opt_in", state=None) == []
    assert traces(files(tmp_path), PLAIN) == set()
    assert w.esp_shows(PLAIN)["status"] == Status.OUT


def test_everybody_else_is_still_there(tmp_path: Path) -> None:
    w = eventful(tmp_path, PLAIN)
    forget(w.engine, PLAIN, actor="the privacy officer")

    content = files(tmp_path)
    assert all(f"ann{n}@example.com".encode() in content for n in range(2, 6))
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
