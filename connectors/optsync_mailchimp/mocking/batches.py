"""``/batches``: operations that run later, and the archive of their answers.

A batch is pending, preprocessing, started, finalizing, finished; the clock moves it, one batch at a time.
"""

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from optsync_mailchimp.mocking.account import Account, Params
from optsync_mailchimp.mocking.envelope import Call, Json, links, show_time
from optsync_mailchimp.mocking.problems import NAMED, Problem, invalid_fields, not_found
from optsync_mailchimp.mocking.routing import Route

PREPROCESSING_AFTER = 5
STARTED_AFTER = 10
FINALIZING_AFTER = 20
FINISHED_AFTER = 30
URL_LASTS = 600
RESULTS_LAST = 7 * 86_400
MOST_PENDING = 500
RESULTS_PATH = "/batch-results/"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ALL_PAGES = 1000

Run = Callable[[Call], tuple[int, Json | None]]
"""Answers one operation: status and body."""


@dataclass(slots=True, kw_only=True)
class Batch:
    id: str
    operations: list[Json]
    submitted_at: int
    begins_at: int
    """When its turn comes; the stages are counted from here."""
    files: list[list[Json]] = field(default_factory=list)
    total: int = 0
    failed: int = 0
    has_run: bool = False

    def status(self, now: int) -> str:
        passed = now - self.begins_at
        stages = (
            (FINISHED_AFTER, "finished"),
            (FINALIZING_AFTER, "finalizing"),
            (STARTED_AFTER, "started"),
            (PREPROCESSING_AFTER, "preprocessing"),
        )
        return next((name for after, name in stages if passed >= after), "pending")


class Batches:
    """All batches of the account, and the links to their results."""

    def __init__(self, account: Account, run: Run) -> None:
        self._account = account
        self._run = run
        self._batches: dict[str, Batch] = {}
        self._links: dict[str, tuple[str, int]] = {}
        """Token -> batch id, valid until."""
        self.routes = (
            Route("POST", "/batches", self._submit),
            Route("GET", "/batches", self._list),
            Route("GET", "/batches/{batch}", self._read),
            Route("DELETE", "/batches/{batch}", self._cancel),
        )

    def advance(self) -> None:
        """Runs what is due; to be called before anything looks at the account."""
        if not self._batches:
            return
        now = self._account.now()
        for batch in list(self._batches.values()):
            if now - batch.submitted_at > RESULTS_LAST:
                del self._batches[batch.id]
            elif not batch.has_run and now >= batch.begins_at + STARTED_AFTER:
                self._execute(batch, now)

    def results(self, path: str) -> bytes | None:
        """The archive behind a results link, None when the link is unknown or has expired."""
        batch_id, until = self._links.get(path.removeprefix(RESULTS_PATH), ("", 0))
        batch = self._batches.get(batch_id)
        if batch is None or self._account.now() > until:
            return None
        return _archive(batch)

    def _submit(self, account: Account, call: Call, _: Params) -> Json:
        operations = call.body.get("operations")
        if not isinstance(operations, list) or not operations:
            raise invalid_fields(("operations", "This value should not be blank."))
        for number, operation in enumerate(operations):
            _check(number, operation)
        waiting = [batch for batch in self._batches.values() if batch.status(call.now) != "finished"]
        if len(waiting) >= MOST_PENDING:
            status, title, _detail = NAMED["TooManyRequests"]
            text = f"You have more than {MOST_PENDING} pending batches."
            raise Problem(status, title, f"{text} Please wait for some to complete before adding any more batches.")
        free_at = max((batch.begins_at + FINISHED_AFTER for batch in waiting), default=call.now)
        batch = Batch(id=account.short_id(), operations=operations, submitted_at=call.now, begins_at=free_at)
        self._batches[batch.id] = batch
        return self._show(batch, call)

    def _batch(self, params: Params) -> Batch:
        try:
            return self._batches[params["batch"]]
        except KeyError:
            raise not_found() from None

    def _list(self, _account: Account, call: Call, _: Params) -> Json:
        shown = [self._show(batch, call) for batch in reversed(self._batches.values())]
        return call.collection("batches", shown)

    def _read(self, _: Account, call: Call, params: Params) -> Json:
        return self._show(self._batch(params), call)

    def _cancel(self, _: Account, _call: Call, params: Params) -> None:
        del self._batches[self._batch(params).id]

    def _show(self, batch: Batch, call: Call) -> Json:
        status = batch.status(call.now)
        is_finished = status == "finished"
        url = ""
        if is_finished:
            token = self._account.long_id()
            self._links[token] = (batch.id, call.now + URL_LASTS)
            url = f"{call.base_url}{RESULTS_PATH}{token}"
        done = status in {"finalizing", "finished"}
        return {
            "id": batch.id,
            "status": status,
            "total_operations": batch.total if batch.has_run else 0,
            "finished_operations": batch.total if done else 0,
            "errored_operations": batch.failed if done else 0,
            "submitted_at": show_time(batch.submitted_at),
            "completed_at": show_time(batch.begins_at + FINISHED_AFTER) if is_finished else "",
            "response_body_url": url,
            "_links": links(call, f"/batches/{batch.id}"),
        }

    def _execute(self, batch: Batch, now: int) -> None:
        """In an order of its own: the service promises none."""
        batch.has_run = True
        order = list(batch.operations)
        self._account.rng.shuffle(order)
        for operation in order:
            pages = [self._answer(operation, _call(operation, now))]
            if _is_whole_collection(operation, pages[0]):
                pages += self._further_pages(operation, now, pages[0])
            for page in pages:
                batch.total += 1
                batch.failed += page["status_code"] >= 400
                batch.files.append([page])

    def _answer(self, operation: Json, call: Call) -> Json:
        status, body = self._run(call)
        return {
            "status_code": status,
            "operation_id": operation.get("operation_id", ""),
            "response": "" if body is None else json.dumps(body),
        }

    def _further_pages(self, operation: Json, now: int, first: Json) -> list[Json]:
        total = json.loads(first["response"])["total_items"]
        pages = []
        for offset in range(_ALL_PAGES, total, _ALL_PAGES):
            params = {**operation.get("params", {}), "count": _ALL_PAGES, "offset": offset}
            pages.append(self._answer(operation, _call({**operation, "params": params}, now)))
        return pages


def _check(number: int, operation: Any) -> None:
    where = f"operations.item:{number}"
    if not isinstance(operation, dict) or operation.get("method") not in _METHODS:
        raise invalid_fields((f"{where}.method", "Data did not match any of the schemas described in anyOf."))
    if not isinstance(operation.get("path"), str):
        raise invalid_fields((f"{where}.path", "This value should not be blank."))
    if not isinstance(operation.get("body", ""), str):
        raise invalid_fields((f"{where}.body", "Schema describes string, object found"))


def _is_whole_collection(operation: Json, first: Json) -> bool:
    if operation["method"] != "GET" or "count" in operation.get("params", {}) or first["status_code"] != 200:
        return False
    body = json.loads(first["response"])
    return "total_items" in body and "count=" not in operation["path"]


def _call(operation: Json, now: int) -> Call:
    """The operation as a call; a GET that names no count asks for the largest page."""
    path, _, in_path = operation["path"].partition("?")
    query = dict(parse_qsl(in_path, keep_blank_values=True))
    if operation["method"] == "GET":
        query |= {key: str(value) for key, value in operation.get("params", {}).items()}
        query.setdefault("count", str(_ALL_PAGES))
    return Call(
        method=operation["method"],
        path=f"/{path.strip('/')}",
        query=query,
        now=now,
        raw_body=operation.get("body", "").encode(),
    )


def _archive(batch: Batch) -> bytes:
    """A gzip-compressed tar: the entry of the directory itself, files of answers, and an empty file."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        folder = tarfile.TarInfo("./")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        contents = [json.dumps(file).encode() for file in batch.files]
        contents.insert(len(contents) // 2, b"")
        for number, content in enumerate(contents):
            info = tarfile.TarInfo(f"./{batch.id}-{number:04}.json")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()
