"""The line between the engine and the mocks: weather strikes, things happen while a request is on its way, every
write is looked at before the vendor sees it, and every answer that arrives is noted as what the engine was shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote, unquote_plus

import msgspec

from optsync.connect.mock import MockRequest, MockResponse, MockTransport
from optsync_mock.faults import FaultKind, Rule, answer_with_fault
from tests.simulation.script import FAULTS, PARTIAL, STALE, primary_first
from tests.simulation.stage import CRM, ESP, Fate, Killed, Stage

FLAGS = frozenset({"UF_CRM_OPT_OUT", "UF_CRM_OPT_IN"})
_CONSENT = "UF_CRM_CONSENT_DATE"
_PROOF = frozenset({_CONSENT, "UF_CRM_CONSENT_SOURCE", "UF_CRM_CONSENT_TEXT"})
_BOXES = {"UF_CRM_TOPIC_NEWS": "news", "UF_CRM_TOPIC_OFFERS": "offers"}
REPLICA_LAG = 60
_WRITES = (".update", ".add")
_MARKS = {"crm": (b'"DATE_MODIFY"',), "esp": (b'"contact_id"', b'"new_members"', b'"abuse_reports"')}
"""What an answer contains if it tells of a record."""
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
    """Topics of which the answer says nothing, since nobody asked for them: they are not mapped any more."""


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


class Watcher(Protocol):
    """Who is told what goes over the line."""

    stage: Stage

    @property
    def fate(self) -> Fate: ...

    def on_write(self, asked: Sequence[Asked]) -> None: ...

    def on_put_off(self, asked: Sequence[Asked]) -> None: ...

    def on_shown(self, rows: Sequence[Row]) -> None: ...

    def on_complaints_shown(self, addresses: Sequence[str]) -> None: ...

    def on_the_way(self, number: int) -> None: ...

    def changed_within(self, side: str, key: Any, seconds: float) -> bool: ...


class Line(MockTransport):
    """The transport of one process."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__({CRM: watcher.stage.crm, ESP: watcher.stage.esp})
        self._watcher = watcher
        self._inner = self._mocks
        self._mocks = {base: _Wire(self, base) for base in self._inner}  # type: ignore[misc]
        self._topics = {key: i.name.lower() for key, i in watcher.stage.esp.audience.interests().items()}
        self._former: dict[tuple[str, Any, frozenset[str]], dict[str, Any] | None] = {}
        """By record and what of it was asked for; None where we have written since: that a replica has, too."""
        self._unsorted: list[tuple[str, Any, dict[str, Any] | None]] = []
        """What was shown since the last stale answer, which is the first to ask for it, and None where we wrote."""
        self.writes = 0
        self._made: frozenset[str] = frozenset()
        """Addresses of members that the last answer says were just made, without their ids."""

    def answer(self, base: str, request: MockRequest) -> MockResponse:
        """What the vendor, the network and fate make of a request."""
        watcher, fate = self._watcher, self._watcher.fate
        self.requests.clear()  # nobody asks for them later
        fate.requests += 1
        number = fate.requests
        if fate.kills("before request", number):
            raise Killed
        mock = self._inner[base]
        is_write = mock.is_write(request)
        asked = list(self._asked(base, request)) if is_write else []
        if is_write:
            self.writes += 1
            self._unsorted += [(each.side, each.key, None) for each in asked if each.key is not None]
            watcher.on_write(asked)
        watcher.on_the_way(number)
        kind = fate.faults.get(number)
        if kind is not None and FAULTS[kind] not in {PARTIAL, STALE}:
            fate.struck.add(FAULTS[kind])
        answer = self._struck(kind, base, request, is_write=is_write)
        if not_done := asked if answer.status == 429 else _refused(answer, asked):
            watcher.on_put_off(not_done)
        if fate.kills("after request", number):
            raise Killed
        if answer.status == 200:
            self._note(base, request, answer)
        return answer

    def _struck(self, kind: str | None, base: str, request: MockRequest, *, is_write: bool) -> MockResponse:
        mock = self._inner[base]
        if kind is None or (kind == "stale" and is_write):
            return mock.handle(request)
        if kind == "stale":
            return self._stale(base, request, mock.handle(request))
        if kind.startswith("partial"):
            return self._in_part(base, request, is_missing=kind == "partial_missing")
        rule = Rule(kind=FaultKind(kind), retry_after=2)
        return answer_with_fault(rule, lambda: mock.handle(request))

    # partial failure

    def _in_part(self, base: str, request: MockRequest, *, is_missing: bool) -> MockResponse:
        """The first part of what was asked is not done: it has an error of its own, or is not spoken of."""
        mock = self._inner[base]
        body = _json(request.body)
        commands = body.get("cmd")
        if isinstance(commands, dict) and commands:
            self._watcher.fate.struck.add(PARTIAL)
            lost = next((k for k in commands if k.startswith("u")), next(iter(commands)))
            rest = {k: v for k, v in commands.items() if k != lost}
            answer = _json((made := mock.handle(_with_body(request, {**body, "cmd": rest}))).body)
            if not is_missing and "result" in answer:
                errors = answer["result"].get("result_error") or {}
                error = {"error": "INTERNAL_SERVER_ERROR", "error_description": "Internal server error"}
                answer["result"]["result_error"] = {**errors, lost: error}
            return _with_answer(made, answer)
        items = body.get("members")
        if not isinstance(items, list) or len(items) < 2:
            return mock.handle(request)
        self._watcher.fate.struck.add(PARTIAL)
        answer = _json((made := mock.handle(_with_body(request, {**body, "members": items[1:]}))).body)
        if not is_missing and "errors" in answer:
            error = {"email_address": items[0]["email_address"], "error": "An internal error occurred."}
            more = {"error_code": "ERROR_GENERIC", "field": "", "field_message": ""}
            answer["errors"] = [*answer["errors"], {**error, **more}]
            answer["error_count"] = len(answer["errors"])
        return _with_answer(made, answer)

    # stale reads

    def _stale(self, base: str, request: MockRequest, answer: MockResponse) -> MockResponse:
        """A replica that is behind: what people changed within a minute is shown as it was, or not yet listed."""
        side = "crm" if base == CRM else "esp"
        if answer.status != 200:
            return answer
        body = _json(answer.body)
        self._sort()
        if (key := _key(side, body)) is not None and self._watcher.changed_within(side, key, REPLICA_LAG):
            if former := self._former.get((side, key, frozenset(body))):
                self._watcher.fate.struck.add(STALE)
            return _with_answer(answer, former or body)
        total = body.get("total_items")
        left_out = self._age(side, body)
        if isinstance(total, int):
            body["total_items"] = total - left_out
        return _with_answer(answer, body)

    def _sort(self) -> None:
        for side, key, item in self._unsorted:
            if item is not None:
                self._former[side, key, frozenset(item)] = item
            else:
                self._former.update(dict.fromkeys([of for of in self._former if of[:2] == (side, key)]))
        self._unsorted.clear()

    def _age(self, side: str, value: Any) -> int:
        """Puts the former rows in place; how many are not there yet."""
        left_out = 0
        if isinstance(value, list):
            kept = []
            for item in value:
                key = _key(side, item)
                if key is None or not self._watcher.changed_within(side, key, REPLICA_LAG):
                    left_out += self._age(side, item)
                    kept.append(item)
                    continue
                of = (side, key, frozenset(item))
                if of in self._former:
                    kept.append(self._former[of] or item)
                else:
                    left_out += 1
                if of not in self._former or self._former[of]:
                    self._watcher.fate.struck.add(STALE)
            value[:] = kept
        elif isinstance(value, dict):
            for item in value.values():
                left_out += self._age(side, item)
        return left_out

    # what the engine is shown

    def _note(self, base: str, request: MockRequest, answer: MockResponse) -> None:
        side = "crm" if base == CRM else "esp"
        # Nobody reads whom the answer about a tag names: what that shows of them is shown again by the next reading.
        if "/segments" in request.path or not any(mark in answer.body for mark in _MARKS[side]):
            return
        try:
            body = _json(answer.body)
        except msgspec.DecodeError:
            return
        if "/abuse-reports" in request.path:
            reports = body.get("abuse_reports") or ()
            self._watcher.on_complaints_shown([str(r["email_address"]).lower() for r in reports])
        items: list[tuple[Any, dict[str, Any]]] = []
        _collect(side, body, items)
        # A listing that was asked for the ids of those is read for nobody else: the others on it are shown again by the
        # next reading, which goes on from where the last one ended.
        made, self._made = self._made, _just_made(body)
        self._unsorted += [(side, key, item) for key, item in items]
        rows = [row for key, item in items if (row := self._row(side, key, item)) is not None]
        if made:
            rows = [row for row in rows if row.addresses[0] in made]
        if rows:
            self._watcher.on_shown(rows)

    def _row(self, side: str, key: Any, item: Mapping[str, Any]) -> Row | None:
        if side == "esp":
            if "status" not in item or "email_address" not in item:
                return None
            topics = frozenset(self._topics[i] for i, on in (item.get("interests") or {}).items() if on)
            status = str(item["status"])
            flags = (status == "unsubscribed", status == "subscribed")
            proof = f"{item.get('timestamp_opt')} {item.get('unsubscribe_reason')}"
            return Row(side, key, (str(item["email_address"]).lower(),), status, *flags, topics, proof)
        if "UF_CRM_OPT_OUT" not in item:
            return None
        mails = primary_first([(o["VALUE_TYPE"], int(o["ID"]), o["VALUE"]) for o in item.get("EMAIL") or ()])
        topics = frozenset(topic for name, topic in _BOXES.items() if _is_on(item.get(name)))
        flags = (_is_on(item["UF_CRM_OPT_OUT"]), _is_on(item["UF_CRM_OPT_IN"]))
        untold = frozenset(topic for name, topic in _BOXES.items() if name not in item)
        return Row(side, key, mails, "", *flags, topics, str(item.get(_CONSENT)), untold)

    # what it asks for

    def _asked(self, base: str, request: MockRequest) -> Iterator[Asked]:
        body = _json(request.body) if request.body else {}
        if base == CRM:
            yield from _of_crm(request, body)
            return
        operations = body.get("operations") if request.path.endswith("/batches") else None
        for operation in operations or ():
            inner = _json(str(operation.get("body") or "{}").encode())
            yield from self._of_platform(operation["path"], inner)
        if operations is None:
            yield from self._of_platform(request.path, body)

    def _of_platform(self, path: str, body: Mapping[str, Any]) -> Iterator[Asked]:
        items = body.get("members")
        is_creating = isinstance(items, list) and not body.get("update_existing")
        key = None
        if "/members/" in path:
            found = self._watcher.stage.esp.audience.find(unquote(path.rsplit("/members/", 1)[1]).split("/")[0])
            key = None if found is None else found.contact_id
        for item in items if isinstance(items, list) else [body]:
            mail = str(item.get("email_address") or "").lower()
            member = self._watcher.stage.esp.audience.find(mail) if mail and key is None else None
            yield Asked(
                "esp",
                key if member is None else member.contact_id,
                mail,
                str(item.get("status") or item.get("status_if_new") or ""),
                {self._topics[i]: bool(on) for i, on in (item.get("interests") or {}).items()},
                bool(item.get("merge_fields")),
                is_creating=is_creating or (bool(mail) and key is None and member is None),
            )


class _Wire:
    """What the transport takes for a mock."""

    def __init__(self, line: Line, base: str) -> None:
        self._line, self._base = line, base

    def handle(self, request: MockRequest) -> MockResponse:
        return self._line.answer(self._base, request)


def _of_crm(request: MockRequest, body: Mapping[str, Any]) -> Iterator[Asked]:
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
    status = "out" if _is_on(fields.get("UF_CRM_OPT_OUT")) else ""
    if not status and ("UF_CRM_OPT_OUT" in fields or _is_on(fields.get("UF_CRM_OPT_IN"))):
        status = "in"
    topics = {topic: _is_on(fields[name]) for name, topic in _BOXES.items() if name in fields}
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


def _collect(side: str, value: Any, found: list[tuple[Any, dict[str, Any]]]) -> None:
    """Every record in an answer."""
    if isinstance(value, dict):
        key = _key(side, value)
        if key is not None:
            found.append((key, value))
            return
        value = value.values()
    for item in value:
        if type(item) in _NESTING:
            _collect(side, item, found)


def _just_made(body: Mapping[str, Any]) -> frozenset[str]:
    rows = body.get("new_members") or ()
    return frozenset(str(row["email_address"]).lower() for row in rows if not row.get("contact_id"))


def _refused(answer: MockResponse, asked: Sequence[Asked]) -> list[Asked]:
    """Those that have an error of their own: nothing was done about them."""
    if answer.status != 200 or b'"error_code"' not in answer.body:
        return []
    try:
        errors = _json(answer.body).get("errors") or ()
    except msgspec.DecodeError:  # cut short: nobody knows
        return []
    mails = {str(error["email_address"]).lower() for error in errors}
    return [each for each in asked if each.address in mails]


def _key(side: str, item: Any) -> Any:
    if not isinstance(item, dict):
        return None
    if side == "esp":
        return item.get("contact_id")
    key = item.get("ID") if "DATE_MODIFY" in item else None
    return int(key) if isinstance(key, str) else None


def _is_on(value: Any) -> bool:
    return str(value) in {"1", "True", "true", "Y"}


def _json(body: bytes) -> dict[str, Any]:
    value = msgspec.json.decode(body) if body else {}
    return value if isinstance(value, dict) else {}


def _with_body(request: MockRequest, body: Mapping[str, Any]) -> MockRequest:
    return replace(request, body=msgspec.json.encode(body))


def _with_answer(answer: MockResponse, body: Mapping[str, Any]) -> MockResponse:
    return replace(answer, body=msgspec.json.encode(body))
