"""What a request asks for and an answer shows, taken apart."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from optsync.connect.mock import MockRequest, MockResponse
from tests.fuzz.shapes import spoiled
from tests.simulation.script import BOXES, primary_first

FLAGS = frozenset({"UF_CRM_OPT_OUT", "UF_CRM_OPT_IN"})
_CONSENT = "UF_CRM_CONSENT_DATE"
_PROOF = frozenset({_CONSENT, "UF_CRM_CONSENT_SOURCE", "UF_CRM_CONSENT_TEXT"})
_BOXES = {name: topic for topic, name in BOXES.items()}
_WRITES = (".update", ".add")
_NESTING = frozenset({dict, list})


class Row(NamedTuple):
    """A record as an answer showed it. ``status`` is the platform's word; a CRM has none."""

    side: str
    key: Any
    addresses: tuple[str, ...]
    status: str
    is_out: bool
    is_in: bool
    topics: frozenset[str]
    proof: str
    """What moves when somebody opts in, or out in another way: a consent date, an opt-in stamp, a reason."""
    untold: frozenset[str] = frozenset()
    """Topics of which the answer says nothing, since nobody asked for them: they are not mapped any more. Of the
    platform, those whose groups are not there under their names."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One record that a request wants changed. ``key`` is None where it is to be made. ``status``: the platform's
    word; for a CRM ``out`` or ``in``, empty when no flag is named. ``topics``: those set, and to what."""

    side: str
    key: Any
    address: str
    status: str
    topics: Mapping[str, bool]
    has_values: bool
    """Whether values besides the status or flags, topics and proof aside, go with it."""
    is_creating: bool = False
    has_proof: bool = False
    """Whether something of the proof of a consent goes with it."""
    is_proving: bool = False
    """Whether the date of the consent does."""


def row_of_platform(key: Any, item: Mapping[str, Any], topics: Mapping[str, str], untold: frozenset[str]) -> Row | None:
    """``topics``: by the ids of the groups. ``untold``: those that nobody can know by their names."""
    if "status" not in item or "email_address" not in item:
        return None
    ticked = frozenset(topics[i] for i, on in (item.get("interests") or {}).items() if on)
    status = str(item["status"])
    flags = (status == "unsubscribed", status == "subscribed")
    proof = f"{item.get('timestamp_opt')} {item.get('unsubscribe_reason')}"
    return Row("esp", key, (str(item["email_address"]).lower(),), status, *flags, ticked, proof, untold)


def row_of_crm(key: Any, item: Mapping[str, Any]) -> Row | None:
    if "UF_CRM_OPT_OUT" not in item:
        return None
    mails = primary_first([(o["VALUE_TYPE"], int(o["ID"]), o["VALUE"]) for o in item.get("EMAIL") or ()])
    topics = frozenset(topic for name, topic in _BOXES.items() if is_on(item.get(name)))
    flags = (is_on(item["UF_CRM_OPT_OUT"]), is_on(item["UF_CRM_OPT_IN"]))
    untold = frozenset(topic for name, topic in _BOXES.items() if name not in item)
    return Row("crm", key, mails, "", *flags, topics, str(item.get(_CONSENT)), untold)


def of_crm(request: MockRequest, body: Mapping[str, Any]) -> Iterator[Asked]:
    method = request.path.rsplit("/", 1)[1].removesuffix(".json").lower()
    if method != "batch":
        fields = body.get("fields") or {}
        yield from _command(method, body.get("id"), {str(k): v for k, v in fields.items()})
        return
    for command in (body.get("cmd") or {}).values():
        name, _, query = str(command).partition("?")
        if not name.lower().endswith(_WRITES):
            continue
        pairs = dict(parse_qsl(query, keep_blank_values=True))
        named = {
            unquote_plus(k)[7:].split("]")[0]: v for k, v in pairs.items() if unquote_plus(k).startswith("fields[")
        }
        yield from _command(name.lower(), pairs.get("id") or pairs.get("ID"), named)


def _command(method: str, key: Any, fields: Mapping[str, Any]) -> Iterator[Asked]:
    if not method.endswith(_WRITES):
        return
    is_creating = method.endswith(".add")
    status = "out" if is_on(fields.get("UF_CRM_OPT_OUT")) else ""
    if not status and ("UF_CRM_OPT_OUT" in fields or is_on(fields.get("UF_CRM_OPT_IN"))):
        status = "in"
    topics = {topic: is_on(fields[name]) for name, topic in _BOXES.items() if name in fields}
    proof = set(fields) & _PROOF
    rest = set(fields) - FLAGS - set(_BOXES) - _PROOF
    yield Asked(
        "crm",
        None if is_creating else int(key),
        "",
        status,
        topics,
        bool(rest),
        is_creating=is_creating,
        has_proof=bool(proof),
        is_proving=_CONSENT in proof,
    )


def collect(side: str, value: Any, found: list[tuple[Any, dict[str, Any]]]) -> None:
    """Every record in an answer."""
    if isinstance(value, dict):
        key = key_of(side, value)
        if key is not None:
            found.append((key, value))
            return
        value = value.values()
    for item in value:
        if type(item) in _NESTING:
            collect(side, item, found)


def reasons_left(answer: MockResponse) -> dict[Any, str]:
    """The reasons of unsubscribes that can still be read from a damaged answer, by member."""
    found: list[tuple[Any, dict[str, Any]]] = []
    try:
        collect("esp", content(answer.body), found)
    except (msgspec.DecodeError, TypeError):
        return {}
    told = ((key, item.get("unsubscribe_reason")) for key, item in found if isinstance(key, str))
    return {key: reason for key, reason in told if isinstance(reason, str)}


def just_made(body: Mapping[str, Any]) -> frozenset[str]:
    rows = body.get("new_members") or ()
    return frozenset(str(row["email_address"]).lower() for row in rows if not row.get("contact_id"))


def refused(answer: MockResponse, asked: Sequence[Asked]) -> list[Asked]:
    """Those that have an error of their own: nothing was done about them."""
    if answer.status != 200 or b'"error_code"' not in answer.body:
        return []
    try:
        errors = content(answer.body).get("errors") or ()
    except msgspec.DecodeError:  # cut short: nobody knows
        return []
    mails = {str(error["email_address"]).lower() for error in errors}
    return [each for each in asked if each.address in mails]


def key_of(side: str, item: Any) -> Any:
    if not isinstance(item, dict):
        return None
    if side == "esp":
        return item.get("contact_id")
    key = item.get("ID") if "DATE_MODIFY" in item else None
    return int(key) if isinstance(key, str) else None


def is_on(value: Any) -> bool:
    return str(value) in {"1", "True", "true", "Y"}


def content(body: bytes) -> dict[str, Any]:
    value = msgspec.json.decode(body) if body else {}
    return value if isinstance(value, dict) else {}


def with_body(request: MockRequest, body: Mapping[str, Any]) -> MockRequest:
    return replace(request, body=msgspec.json.encode(body))


def with_answer(answer: MockResponse, body: Mapping[str, Any]) -> MockResponse:
    return replace(answer, body=msgspec.json.encode(body))


def damaged(answer: MockResponse, rng: random.Random) -> MockResponse:
    """With one to three places of a wrong shape. Nothing that is put there would be right in its place."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return answer
    for _ in range(rng.choice([1, 1, 2, 3])):
        body, _ = spoiled(body, rng)
    return replace(answer, body=json.dumps(body).encode())
