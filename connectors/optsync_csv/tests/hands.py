"""A file in the hands of people: they open it in a spreadsheet, edit, sort and save, and know nothing of optsync."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optsync.clock import ManualClock
from optsync.connect.conformance import Harness, Line, Trouble
from optsync.connect.conformance.harness import START
from optsync.connect.mock import MockConfig, MockRequest, Person
from optsync.model.contact_point import same_mailbox
from optsync.model.record import Side
from optsync_csv import Csv
from optsync_csv.disk import Disk

COLUMNS = ("Nr", "First name", "Mail", "Second mail", "No mail", "May mail", "News", "Offers", "Remark", "Changed")
FIELDS = {"first_name": "First name"}
TOPICS = {"news": "News", "offers": "Offers"}
SYSTEM = {
    "connector": "csv",
    "id_column": "Nr",
    "address_columns": ["Mail", "Second mail"],
    "updated_column": "Changed",
}
SIDE = {"entity": "contact", "opt_out": "No mail", "opt_in": "May mail", "topics": TOPICS}

Rows = list[dict[str, str]]


class Spreadsheet:
    """The people who edit the file."""

    def __init__(
        self, path: Path, *, delimiter: str = ";", encoding: str = "utf-8-sig", line_end: str = "\r\n"
    ) -> None:
        self._path = path
        self._delimiter = delimiter
        self._encoding = encoding
        self._line_end = line_end
        self._next = 1
        self._save([])

    def is_write(self, request: MockRequest) -> bool:
        return request.method == "PUT"

    def populate(self, people: Iterable[Person]) -> None:
        with self._open() as rows:
            rows.extend(self._row(person) for person in people)

    def act(self, action: str, **arguments: Any) -> Any:
        known: dict[str, Callable[..., Any]] = {
            "view": self.view,
            "count": self.count,
            "create": self.create,
            "delete": self.delete,
            "opt_out": self.opt_out,
            "opt_in": self.opt_in,
            "set_field": self.set_field,
            "set_topic": self.set_topic,
            "change_address": self.change_address,
        }
        return known[action](**arguments)

    def view(self, email: str) -> Mapping[str, Any] | None:
        row = next((row for row in self._load() if _is_of(row, email)), None)
        return row and {
            "address": row["Mail"],
            "opt_out": row["No mail"] == "yes",
            "opt_in": row["May mail"] == "yes",
            "topics": {topic: row[column] == "yes" for topic, column in TOPICS.items()},
            "fields": {field: row[column] for field, column in FIELDS.items()},
        }

    def count(self) -> dict[str, int]:
        return {"records": len(self._load())}

    def create(self, email: str, first_name: str = "") -> None:
        with self._open() as rows:
            rows.append(self._row(Person(number=0, first_name=first_name, last_name="", addresses=(email,))))

    def delete(self, email: str) -> None:
        with self._open() as rows:
            rows[:] = [row for row in rows if not _is_of(row, email)]

    def opt_out(self, email: str) -> None:
        self._put(email, **{"No mail": "yes", "May mail": "no"})

    def opt_in(self, email: str) -> None:
        self._put(email, **{"No mail": "no", "May mail": "yes"})

    def set_field(self, email: str, field: str, value: str) -> None:
        self._put(email, **{FIELDS[field]: value})

    def set_topic(self, email: str, topic: str, wanted: bool) -> None:
        self._put(email, **{TOPICS[topic]: _word(wanted)})

    def change_address(self, email: str, to: str) -> None:
        self._put(email, Mail=to)

    def _put(self, email: str, **cells: str) -> None:
        with self._open() as rows:
            for row in rows:
                if _is_of(row, email):
                    row.update(cells)

    def _row(self, person: Person) -> dict[str, str]:
        number, self._next = self._next, self._next + 1
        mails = [*person.addresses, "", ""]
        row = {"Nr": str(number), "First name": person.first_name, "Mail": mails[0], "Second mail": mails[1]}
        flags = {"No mail": _word(person.opt_out), "May mail": _word(person.opt_in)}
        topics = {column: _word(person.crm_topics.get(topic, False)) for topic, column in TOPICS.items()}
        return {**row, **flags, **topics, "Remark": "of nobody's business", "Changed": ""}

    @contextmanager
    def _open(self) -> Iterator[Rows]:
        rows = self._load()
        yield rows
        self._save(rows)

    def _load(self) -> Rows:
        text = self._path.read_bytes().decode(self._encoding)
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=self._delimiter))

    def _save(self, rows: Rows) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, delimiter=self._delimiter, lineterminator=self._line_end)
        writer.writeheader()
        writer.writerows(rows)
        self._path.write_bytes(text.getvalue().encode(self._encoding))


class DiskLine(Line):
    """What can happen to a file: an error before it was read or saved, and one after."""

    troubles = frozenset({Trouble.DROP, Trouble.DROP_AFTER})

    def disk(self, path: Path) -> Disk:
        return _Disk(path, self)

    @contextmanager
    def carry(self, method: str) -> Iterator[None]:
        asked = MockRequest(method=method, path="/file")
        trouble = self.meets(asked)
        if trouble is Trouble.DROP:
            raise OSError(5, "Input/output error")
        self.before(asked)
        yield
        self.after(asked)
        if trouble is Trouble.DROP_AFTER:
            raise OSError(5, "Input/output error")


class _Disk(Disk):
    def __init__(self, path: Path, line: DiskLine) -> None:
        super().__init__(path)
        self._line = line

    def read(self) -> bytes:
        with self._line.carry("GET"):
            return super().read()

    def replace(self, content: bytes, *, before: bytes) -> None:
        with self._line.carry("PUT"):
            super().replace(content, before=before)


def harness(folder: Path, **dialect: str) -> Harness:
    """A connector on a file in this folder."""
    path = folder / "contacts.csv"
    people = Spreadsheet(path, **dialect)
    line = DiskLine(people.is_write)
    return Harness(
        connector=type("Csv", (Csv,), {"disk": staticmethod(line.disk)}),
        vendor=people,
        side=Side.CRM,
        config=MockConfig(system={**SYSTEM, "path": str(path)}, side=SIDE, fields=FIELDS),
        line=line,
        pages={"optsync_csv.connector.PAGE": 7},
        crowd=30,
        many=30,
        clock=ManualClock(START),
    )


def _is_of(row: Mapping[str, str], email: str) -> bool:
    return any(address and same_mailbox(address, email) for address in (row["Mail"], row["Second mail"]))


def _word(is_yes: bool) -> str:
    return "yes" if is_yes else "no"
