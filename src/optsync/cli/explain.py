"""``optsync explain``: why somebody may be mailed, or not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from optsync.cli.invocation import AsJson, of, require_address

_SHOWN = 20
_OF_THE_MAILBOX = frozenset({"hard_bounce", "soft_bounce", "delivered"})
"""Whether mail arrives is no wish, and about no scope."""


def explain(
    context: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The address to explain.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Say why an address may be mailed or not: what was said, when, by whom, and what each system shows."""
    from optsync.cli.output import line, print_json
    from optsync.sync.explain import explain as gather

    address = require_address(email)
    with of(context).looking() as engine:
        document = gather(engine, address)
    if as_json:
        print_json(document)
        return
    for text in in_words(document):
        line(text)


def in_words(document: Mapping[str, Any]) -> Iterator[str]:
    """The document of ``explain --json`` as lines for people."""
    yield f"{document['email']}    deliverability: {document['deliverability']}"
    if document.get("forgotten_at"):
        from optsync.cli.moments import written

        yield f"This person was forgotten on {written(document['forgotten_at'])}: only a keyed hash and outs are left."
    elif not document["records"] and not any(s["statements"] for s in document["scopes"].values()):
        yield "Nothing is known about this address: no system has shown it and nothing was said about it."
    yield ""
    for scope, about in document["scopes"].items():
        yield from _scope(scope, about)
    yield from _section("What each system shows", list(map(_record, document["records"])))
    changes = [_change(c) for c in document["changes"]]
    yield from _section("Changes", changes[-_SHOWN:])
    if len(changes) > _SHOWN:
        yield f"  … and {len(changes) - _SHOWN} earlier ones, --json shows all"
    yield from _section("Refused or put off", list(map(_refusal, document["refusals"])))
    yield from _section("Open issues", [f"{i['id']}: {i['kind']}: {i['message']}" for i in document["issues"]])
    if document["waiting_in"]:
        yield ""
        yield f"The next run of {', '.join(document['waiting_in'])} looks at this address again."


def _scope(scope: str, about: Mapping[str, Any]) -> Iterator[str]:
    from optsync.cli.sentences import sentence

    answer = "may be mailed" if about["may_send"] else "must not be mailed"
    yield f"{scope}: {about['standing']} – {answer} ({about['reason']})"
    decided = about["decided_by"]
    if decided:
        yield f"  {_about(decided, scope)}{sentence(decided)}"
    yield from _request(about["request"])
    # What was said about more than this scope is told once, under its purpose.
    told = [s for s in about["statements"] if s["scope"] == scope or scope.count("/") == 1]
    others = [s for s in told if decided is None or s["id"] != decided["id"]]
    for said in reversed(others):
        void = "retracted: " if said["is_void"] else "also: "
        yield f"    {void}{_about(said, scope)}{sentence(said)}"


_ANSWERS = {
    "waiting": "no answer yet",
    "confirmed": "confirmed",
    "opted_out": "opted out since",
    "no_answer": "no answer",
    "refused": "which the platform refused",
}


def _request(request: Mapping[str, Any]) -> Iterator[str]:
    """Whether the person was asked to confirm, and what came of it."""
    from optsync.cli.moments import written

    if request["state"] == "never":
        return
    ended = f" on {written(request['ended_at'])}" if request["ended_at"] else ""
    if request["state"] == "no_answer":
        ended = f": it ended{ended}"
    what = "to confirm an opt-in" if request["grant"] else "for consent"
    fact = f" ({request['fact']})" if request["fact"] else ""
    answer = f"{_ANSWERS[request['state']]}{fact}{ended}"
    yield f"  asked {what} on {written(request['asked_at'])} at {request['system']}, {answer}"


def _refusal(refusal: Mapping[str, Any]) -> str:
    from optsync.cli.moments import written

    fact = f" ({refusal['fact']})" if refusal["fact"] else ""
    words = f': "{refusal["words"]}"' if refusal["words"] else ""
    return f"{written(refusal['at'])}  {refusal['system']}  {refusal['kind']}{fact}{words}; next: {refusal['next']}"


def _about(said: Mapping[str, Any], scope: str) -> str:
    """Names the scope of a statement that was made about more than the scope in question."""
    if said["scope"] == scope or said["kind"] in _OF_THE_MAILBOX:
        return ""
    return "for everything: " if said["scope"] == "*" else f"for all of {said['scope']}: "


def _record(record: Mapping[str, Any]) -> str:
    from optsync.cli.moments import written

    topics = ", ".join(f"{scope} {_tick(on)}" for scope, on in record["topics"].items())
    about = f" for {record['scope']}" if record["scope"] else ""
    word = f" ({record['word']})" if record["word"] and record["word"] != record["shows"] else ""
    since = f" since {written(record['since'])}" if record["since"] else ""
    text = f"{record['system']} {record['collection']} {record['record']}: {record['shows']}{word}{about}{since}"
    return f"{text}, read {written(record['read_at'])}" + (f"; topics: {topics}" if topics else "")


def _tick(value: bool | None) -> str:
    return "unset" if value is None else "on" if value else "off"


def _change(change: Mapping[str, Any]) -> str:
    from optsync.cli.moments import written
    from optsync.cli.report import diff, why

    at = written(change["settled_at"] or change["planned_at"])
    values = diff(change["before"], change["after"])
    text = f"{at}  {change['system']}  {change['kind']} {change['state']}: {values} ({why(change['rule'])})"
    return f"{text}: {change['message']}" if change["message"] else text


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield f"{title}:"
        yield from (f"  {text}" for text in lines)
