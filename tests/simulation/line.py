"""The line between the engine and the mocks: weather strikes, things happen while a request is on its way, every
write is looked at before the vendor sees it, and every answer that arrives is noted as what the engine was shown."""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec

from optsync.connect.mock import MockRequest, MockResponse, MockTransport
from optsync_mock.faults import FaultKind, Rule, answer_with_fault
from tests.simulation.builder import lacks_field, untold
from tests.simulation.messages import (
    Asked,
    Row,
    collect,
    content,
    damaged,
    just_made,
    key_of,
    of_crm,
    reasons_left,
    refused,
    row_of_crm,
    row_of_platform,
    with_answer,
    with_body,
)
from tests.simulation.script import DAMAGED, FAULTS, PARTIAL, STALE
from tests.simulation.stage import CRM, ESP, Fate, Killed, Stage

REPLICA_LAG = 60
_MARKS = {"crm": (b'"DATE_MODIFY"',), "esp": (b'"contact_id"', b'"new_members"', b'"abuse_reports"')}
"""What an answer contains if it tells of a record."""


class Watcher(Protocol):
    """Who is told what goes over the line."""

    stage: Stage

    @property
    def fate(self) -> Fate: ...

    def on_write(self, asked: Sequence[Asked]) -> None: ...

    def on_put_off(self, asked: Sequence[Asked]) -> None: ...

    def on_shown(self, rows: Sequence[Row], *, is_alone: bool) -> None: ...

    def on_damaged(self) -> None: ...

    def on_complaints_shown(self, addresses: Sequence[str]) -> None: ...

    def on_the_way(self, number: int) -> None: ...

    def was_otherwise(self, side: str, key: Any, seconds: float) -> bool: ...


class Line(MockTransport):
    """The transport of one process."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__({CRM: watcher.stage.crm, ESP: watcher.stage.esp})
        self._watcher = watcher
        self._inner = self._mocks
        self._mocks = {base: _Wire(self, base) for base in self._inner}  # type: ignore[misc]
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
        if kind is not None and FAULTS.get(kind, STALE) not in {PARTIAL, STALE}:
            fate.struck.add(FAULTS[kind])
        answer = self._struck(kind, base, request, is_write=is_write)
        if not_done := asked if answer.status == 429 else refused(answer, asked):
            watcher.on_put_off(not_done)
        if fate.kills("after request", number):
            raise Killed
        is_damaged = kind is not None and kind.startswith(DAMAGED) and bool(answer.body)
        if is_damaged:
            watcher.on_damaged()
        told = damaged(answer, random.Random(kind)) if is_damaged else answer
        if answer.status == 200:
            self._note(base, request, answer, reasons=reasons_left(told) if is_damaged else None)
        return told

    def _struck(self, kind: str | None, base: str, request: MockRequest, *, is_write: bool) -> MockResponse:
        mock = self._inner[base]
        if kind is None or kind.startswith(DAMAGED) or (kind == "stale" and is_write):
            return mock.handle(request)
        if kind == "stale":
            return self._stale(base, request, mock.handle(request))
        if kind.startswith("partial"):
            return self._in_part(base, request, kind)
        rule = Rule(kind=FaultKind(kind), retry_after=2)
        return answer_with_fault(rule, lambda: mock.handle(request))

    # partial failure

    def _in_part(self, base: str, request: MockRequest, kind: str) -> MockResponse:
        """The first part of what was asked is not done: it has an error of its own, or is not spoken of. Or it is
        done, and the answer does not say so."""
        body, is_done = content(request.body), kind == "partial_done"
        commands, items = body.get("cmd"), body.get("members")
        if isinstance(commands, dict) and commands:
            lost = next((k for k in commands if k.startswith("u")), next(iter(commands)))
            rest: dict[str, Any] = {"cmd": commands if is_done else {k: v for k, v in commands.items() if k != lost}}
            forget = partial(_without_command, lost, is_told=kind != "partial_missing")
        elif isinstance(items, list) and len(items) > 1:
            rest = {"members": items if is_done else items[1:]}
            forget = partial(_without_member, items[0]["email_address"], is_told=kind == "partial_error")
        else:
            return self._inner[base].handle(request)
        self._watcher.fate.struck.add(PARTIAL)
        made = self._inner[base].handle(with_body(request, {**body, **rest}))
        answer = content(made.body)
        forget(answer)
        return with_answer(made, answer)

    # stale reads

    def _stale(self, base: str, request: MockRequest, answer: MockResponse) -> MockResponse:
        """A replica that is behind: what people changed within a minute is shown as it was, or not yet listed."""
        side = "crm" if base == CRM else "esp"
        if answer.status != 200:
            return answer
        body = content(answer.body)
        self._sort()
        if (key := key_of(side, body)) is not None and self._watcher.was_otherwise(side, key, REPLICA_LAG):
            if former := self._former.get((side, key, _asked_of(body))):
                self._watcher.fate.struck.add(STALE)
            return with_answer(answer, former or body)
        total = body.get("total_items")
        left_out = self._age(side, body)
        if isinstance(total, int):
            body["total_items"] = total - left_out
        return with_answer(answer, body)

    def _sort(self) -> None:
        for side, key, item in self._unsorted:
            if item is not None:
                self._former[side, key, _asked_of(item)] = item
            else:
                self._former.update(dict.fromkeys([of for of in self._former if of[:2] == (side, key)]))
        self._unsorted.clear()

    def _age(self, side: str, value: Any) -> int:
        """Puts the former rows in place; how many are not there yet."""
        left_out = 0
        if isinstance(value, list):
            kept = []
            for item in value:
                key = key_of(side, item)
                if key is None or not self._watcher.was_otherwise(side, key, REPLICA_LAG):
                    left_out += self._age(side, item)
                    kept.append(item)
                    continue
                of = (side, key, _asked_of(item))
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

    def _note(
        self, base: str, request: MockRequest, answer: MockResponse, *, reasons: Mapping[Any, str] | None
    ) -> None:
        """``reasons``: those of an unsubscribe that were told, by member; None if all of them were."""
        side = "crm" if base == CRM else "esp"
        # Nobody reads whom the answer about a tag names: what that shows of them is shown again by the next reading.
        if "/segments" in request.path or not any(mark in answer.body for mark in _MARKS[side]):
            return
        try:
            body = content(answer.body)
        except msgspec.DecodeError:
            return
        if "/abuse-reports" in request.path:
            reports = body.get("abuse_reports") or ()
            self._watcher.on_complaints_shown([str(r["email_address"]).lower() for r in reports])
        items: list[tuple[Any, dict[str, Any]]] = []
        collect(side, body, items)
        # A listing that was asked for the ids of those is read for nobody else: the others on it are shown again by the
        # next reading, which goes on from where the last one ended.
        made, self._made = self._made, just_made(body)
        self._unsorted += [(side, key, item) for key, item in items]
        if reasons is not None:
            items = [(key, {**item, "unsubscribe_reason": reasons.get(key)}) for key, item in items]
        rows = [row for key, item in items if (row := self._row(side, key, item)) is not None]
        if made:
            rows = [row for row in rows if row.addresses[0] in made]
        if rows:
            self._watcher.on_shown(rows, is_alone="/members/" in request.path)

    def _row(self, side: str, key: Any, item: Mapping[str, Any]) -> Row | None:
        stage = self._watcher.stage
        if side == "esp":
            return row_of_platform(key, item, stage.known_groups, untold(stage))
        # Nothing of an answer in which a field is missing may be believed.
        return None if lacks_field(stage) else row_of_crm(key, item)

    # what it asks for

    def _asked(self, base: str, request: MockRequest) -> Iterator[Asked]:
        body = content(request.body) if request.body else {}
        if base == CRM:
            yield from of_crm(request, body)
            return
        operations = body.get("operations") if request.path.endswith("/batches") else None
        for operation in operations or ():
            inner = content(str(operation.get("body") or "{}").encode())
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
                self._topics(item.get("interests") or {}),
                bool(item.get("merge_fields")),
                is_creating=is_creating or (bool(mail) and key is None and member is None),
            )

    def _topics(self, interests: Mapping[str, Any]) -> dict[str, bool]:
        """Of groups that the platform has; a damaged answer may have told of others."""
        known = self._watcher.stage.known_groups
        return {known[group]: bool(on) for group, on in interests.items() if group in known}


def _without_command(name: str, answer: dict[str, Any], *, is_told: bool) -> None:
    """``is_told``: in its place there is an error of the portal, which does not say whether anything was done."""
    if "result" not in answer:
        return
    for part in ("result", "result_total", "result_next", "result_time"):
        if isinstance(answer["result"].get(part), dict):
            answer["result"][part].pop(name, None)
    if is_told:
        errors = answer["result"].get("result_error") or {}
        error = {"error": "INTERNAL_SERVER_ERROR", "error_description": "Internal server error"}
        answer["result"]["result_error"] = {**errors, name: error}


def _without_member(address: str, answer: dict[str, Any], *, is_told: bool) -> None:
    """``is_told``: that nothing was done about it."""
    for part in ("new_members", "updated_members"):
        if part in answer:
            answer[part] = [each for each in answer[part] if each["email_address"].lower() != address.lower()]
    if is_told and "errors" in answer:
        error = {"email_address": address, "error": "An internal error occurred."}
        more = {"error_code": "ERROR_GENERIC", "field": "", "field_message": ""}
        answer["errors"] = [*answer["errors"], {**error, **more}]
        answer["error_count"] = len(answer["errors"])


class _Wire:
    """What the transport takes for a mock."""

    def __init__(self, line: Line, base: str) -> None:
        self._line, self._base = line, base

    def handle(self, request: MockRequest) -> MockResponse:
        return self._line.answer(self._base, request)


def _asked_of(item: Mapping[str, Any]) -> frozenset[str]:
    """What of a record was asked for; a reason is told of those alone who have one."""
    return frozenset(item) - {"unsubscribe_reason"}
