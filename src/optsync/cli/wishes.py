"""``optsync opt-out``, ``opt-in`` and ``may-send``: saying what a person wants, and asking it."""

import csv
import io
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optsync.cli.invocation import AsJson, is_blank, of, require_address
from optsync.cli.moments import parse
from optsync.errors import ConfigError
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.scope import EVERYTHING

if TYPE_CHECKING:
    from optsync.sync.administer import Administered

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The person's address.")]
Actor = Annotated[str, typer.Option(metavar="A", help="Who answers for it.")]


def opt_out(
    context: typer.Context,
    email: Email,
    *,
    actor: Actor,
    scope: Annotated[str, typer.Option(metavar="S", help="What they want no more; * is everything.")] = EVERYTHING,
    reason: Annotated[str | None, typer.Option(metavar="R", help="Why, in your words.")] = None,
    as_json: AsJson = False,
) -> None:
    """Opt somebody out, in an administrator's name. The next run carries it to every system."""
    from optsync.sync.administer import opt_out as say

    address = require_address(email)
    with of(context).engine() as engine:
        done = say(engine, address, scope=scope, actor=actor, reason=reason)
    _answer(address, done, as_json=as_json)


def opt_in(
    context: typer.Context,
    email: Email,
    *,
    scope: Annotated[str, typer.Option(metavar="S", help="What they want.")],
    actor: Actor,
    evidence: Annotated[str, typer.Option(metavar="TEXT", help="How and where they said so.")] = "",
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When they said so, if not just now; without a zone: UTC.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Opt somebody in, in an administrator's name and with evidence. The next run carries it to every system."""
    from optsync.sync.administer import opt_in as say

    address = require_address(email)
    moment = None if at is None else parse(at, option="--at")
    with of(context).engine() as engine:
        done = say(engine, address, scope=scope, actor=actor, evidence=evidence, at=moment)
    _answer(address, done, as_json=as_json)


def _answer(address: str, done: "Administered", *, as_json: bool) -> None:
    from optsync.cli.output import line, print_json
    from optsync.sync.explain import statement_to_json

    said, cautions = statement_to_json(done.statement), list(_cautions(done))
    if as_json:
        print_json(
            {
                "email": address,
                "scope": done.statement.scope,
                "standing": done.standing.wish,
                "statement": said,
                "warnings": cautions,
            }
        )
        return
    about = "everything" if done.statement.scope == EVERYTHING else done.statement.scope
    word = "Opted out of" if said["kind"] == "out" else "Opt-in noted for"
    line(f"{word} {about}: {address}. The next run carries it to every system that is connected.")
    for caution in cautions:
        line(f"warning: {caution}")


def _cautions(done: "Administered") -> Iterator[str]:
    from optsync.cli.sentences import sentence
    from optsync.model.statement import StatementKind
    from optsync.reconcile.consent import Wish
    from optsync.sync.explain import statement_to_json

    if done.statement.kind is not StatementKind.GRANT:
        return
    decided = done.standing.decided_by
    if done.standing.wish is Wish.OUT and decided:
        yield (
            f"{done.statement.scope} stays out: {sentence(statement_to_json(decided))}. "
            "An opt-in counts only against what was said before it, by more than the tolerance between clocks."
        )
    for scope, out in done.still_out:
        yield f"{scope} stays out: {sentence(statement_to_json(out))}. To lift it, opt in to {scope} itself."


def may_send(
    context: typer.Context,
    email: Annotated[str | None, typer.Argument(metavar="EMAIL", help="The address to ask about.")] = None,
    *,
    scope: Annotated[str, typer.Option(metavar="S", help="What the mail is about.")],
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="F", help="One address a line, or CSV with a column `email`; - reads standard input."
        ),
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if any answer is no.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask whether an address may be mailed. Answers from the state alone."""
    from optsync.cli.output import line, print_json

    if (email is None) == (file is None):
        raise ConfigError("EMAIL or --file: exactly one of them is needed")
    asked = [require_address(email)] if email is not None else list(_addresses(file or Path("-")))
    answers = _ask(context, asked, scope)
    if as_json:
        print_json(answers if file is not None else answers[0])
    else:
        for answer in answers:
            line(f"{'yes' if answer['may_send'] else 'no ':3}  {answer['email']}  {answer['reason']}")
    raise typer.Exit(1 if exit_code and not all(a["may_send"] for a in answers) else 0)


def _ask(context: typer.Context, asked: Sequence[str], scope: str) -> list[dict[str, Any]]:
    """In the order of the questions; a line that is no address is answered with no."""
    from optsync.sync.permission import permissions

    keys, answers = _normalised(asked)
    with of(context).looking() as engine:
        rules = permissions(engine)
        rules.require_mail_scope(scope)
        if rules.is_open(scope) and is_blank(engine.config):
            # A mistyped place of the database must not turn into a yes for everybody.
            answers.update(dict.fromkeys(keys, (False, "nothing is known yet: there is no state database")))
        else:
            with engine.store.reading() as unit:
                verdicts = rules.verdicts(unit, set(keys.values()), scope, now=engine.clock.now())
            permitted = {raw: verdicts[key].permission for raw, key in keys.items()}
            answers.update({raw: (found.may_send, found.reason) for raw, found in permitted.items()})
    return [
        {"email": keys.get(raw, raw), "scope": scope, "may_send": answers[raw][0], "reason": answers[raw][1]}
        for raw in asked
    ]


def _normalised(asked: Sequence[str]) -> tuple[dict[str, str], dict[str, tuple[bool, str]]]:
    """The keys of those that are addresses, and the answers to the others."""
    keys: dict[str, str] = {}
    answers: dict[str, tuple[bool, str]] = {}
    for raw in asked:
        if "\ufffd" in raw:
            # Normalised it would be a stranger's address, to whom nobody ever said no.
            answers[raw] = (False, "no e-mail address: it is not in UTF-8; save the list as UTF-8")
            continue
        try:
            keys[raw] = normalise(raw)
        except InvalidAddress as error:
            answers[raw] = (False, f"no e-mail address: {error}")
    return keys, answers


def _addresses(file: Path) -> Iterator[str]:
    """One address a line; or the column ``email`` of a CSV, told by its first line. An export protects those that a
    spreadsheet would take for formulas; taken as they stand there they are other people's."""
    from optsync.sync.import_file import unprotected

    text = _text(file).lstrip("\n")
    first = text.partition("\n")[0][:100_000]
    headers = {mark: next(csv.reader([first], delimiter=mark), []) for mark in ",;\t"}
    columns = {mark: [name.strip().lower() for name in names] for mark, names in headers.items()}
    delimiter = next((mark for mark, names in columns.items() if "email" in names), None)
    if delimiter is None:
        yield from (unprotected(found) for line in text.splitlines() if (found := line.strip()))
        return
    place = columns[delimiter].index("email")
    for row in islice(_rows(file, text, delimiter), 1, None):
        if any(cell.strip() for cell in row):
            yield unprotected(row[place].strip()) if len(row) > place else ""


def _rows(file: Path, text: str, delimiter: str) -> Iterator[Sequence[str]]:
    """The header and those below it. One that is quoted wrongly holds no address; where it took others along, these
    would get no answer."""
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    while True:
        first = rows.line_num + 1
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error:
            if rows.line_num > first:
                break
            yield ["?"]
    raise ConfigError(f"--file: {file}: lines {first} to {rows.line_num} are one row, since a quote is not closed")


def _text(file: Path) -> str:
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        reason = str(error.strerror or "cannot be read").lower()
    else:
        # A stray byte spoils the line it is on, which is then no address, and not the whole list.
        encoding = "utf-16" if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
        return raw.decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")
    raise ConfigError(f"--file: {file}: {reason}")
