"""Reading an entity: the walk over the records and, side by side in the same batches, one for each list scope that
the records do not tell by themselves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from optsync.errors import RateLimited, SystemUnavailable
from optsync.model.page import Page, ReadSpec, RowFault, Unmade
from optsync.model.record import Record
from optsync_bitrix24.client import BatchReply, Command
from optsync_bitrix24.cursor import Place
from optsync_bitrix24.listing import BATCH, TRIES, Listing, everybody
from optsync_bitrix24.refusals import Meaning, meaning
from optsync_bitrix24.sharing import Progress, ScopeWalk, first_pages, share
from optsync_bitrix24.walking import Walk

_Row: TypeAlias = tuple[Mapping[str, Any], frozenset[str]]
"""With the list scopes that it was found in."""


class Reader:
    """Reads whole entities and their deltas."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._client = listing.client
        self._known: dict[str, int] = {}
        """How many records an entity had when all of it was read last."""

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        """See :meth:`optsync.connect.contract.CanReadRows.read_rows`."""
        self._listing.known_entity(spec.collection)
        place = Place.parse(cursor, spec.collection)
        progress = self._start(spec, place)
        while True:
            self._advance(progress, spec)
            page = self._page(progress, spec)
            if page.is_last and page.is_full and not place.after:
                self._known[spec.collection] = progress.data.read  # who has the last page asks for no more
            if page.count or page.faults or page.is_last:
                yield page
            if page.is_last:
                return

    def scan_ids(self, entity: str) -> Iterator[Sequence[str]]:
        """All ids, in batches. Raises SystemUnavailable if the answers do not add up."""
        spec = ReadSpec(collection=entity)
        for page in self.read(spec, None):
            page = page.whole()  # noqa: PLW2901 - a row that cannot be used is no id
            if not page.is_complete or page.faults:
                raise SystemUnavailable(self._listing.system, f"the list of {entity} ids did not add up")
            yield [record.id for record in page.records]

    def _start(self, spec: ReadSpec, place: Place) -> Progress:
        written = self._listing.written.pop(spec.collection, 0)
        pages = first_pages(place, self._known.get(spec.collection), written)
        data = _walk("p", place, self._listing.selected(spec), {})
        progress = Progress(place=place, after=place.after, data=data, first_pages=pages)
        if not self._listing.is_row_to_tell(spec):
            progress.scopes = self._scopes(spec, place)
        return progress

    def _scopes(self, spec: ReadSpec, place: Place) -> list[ScopeWalk]:
        return [
            ScopeWalk(names=one.names, walk=_walk(f"s{number}w", place, ["ID"], one.where), test=one.test)
            for number, one in enumerate(self._listing.scopes(spec))
        ]

    def _advance(self, progress: Progress, spec: ReadSpec) -> None:
        """One batch."""
        commands: dict[str, Command] = {}
        if (fields := self._listing.catalog.command(spec.collection)) is not None:
            commands["fields"] = fields
        pages = share(progress, self._client.batch_size(BATCH) - len(commands))
        for walk in progress.walks:
            commands |= walk.commands(pages[walk.name])
        reply = self._listing.ask(spec.collection, commands)
        self._listing.check_spec(spec)
        if progress.is_first:
            progress.place = _stamped(progress.place, reply)
            progress.is_first = False
        if progress.scopes is None:
            progress.scopes = self._scopes(spec, progress.place)
        self._take(progress, spec, reply, pages)

    def _take(self, progress: Progress, spec: ReadSpec, reply: BatchReply, pages: Mapping[str, int]) -> None:
        before = progress.rows_read
        asked = [walk for walk in progress.walks if pages.get(walk.name)]
        for walk in asked:
            walk.take(reply, pages[walk.name])
        if progress.data in asked:
            self._listing.check_rows(spec, progress.data.select, (row for _, row in progress.data.rows))
            progress.buffer.extend(progress.data.rows)
            fault = RowFault(record="?", field="ID", message="the portal showed a row without an id")
            progress.faults.extend([fault] * progress.data.unusable)
        for scope in progress.scopes or ():
            if scope.walk in asked:
                scope.waiting.update(number for number, _ in scope.walk.rows)
        error = next((walk.error for walk in asked if walk.error is not None), None)
        progress.failures = progress.failures + 1 if error and progress.rows_read == before else 0
        if error is None:
            return
        if progress.failures >= TRIES:
            kind = RateLimited if meaning(error) is Meaning.BUSY else SystemUnavailable
            what = f"the portal kept failing to list {spec.collection} records ({error.code or 'no code'})"
            raise kind(self._listing.system, what)
        self._listing.wait_or_raise(spec.collection, error)

    def _page(self, progress: Progress, spec: ReadSpec) -> Page:
        """Gives out the rows whose membership in every list scope is known by now."""
        unmade = self._unmade(self._ready(progress, spec), spec)
        for scope in progress.scopes or ():
            scope.waiting = {number for number in scope.waiting if number > progress.after}
        is_last = progress.data.has_ended and not progress.buffer
        progress.place = progress.place.at(progress.after, is_complete=progress.is_complete)
        row_faults, progress.faults = tuple(progress.faults), []
        return Page(
            records=(),
            unmade=unmade,
            faults=row_faults,
            cursor=progress.place.next_delta() if is_last else progress.place.text(),
            is_last=is_last,
            is_full=progress.place.since is None,
            is_complete=progress.is_complete,
        )

    def _ready(self, progress: Progress, spec: ReadSpec) -> Iterator[_Row]:
        frontier = min((scope.walk.last for scope in progress.active), default=None)
        scopes = progress.scopes or []
        shared = everybody(spec)
        made_of: dict[tuple[bool | None, ...], frozenset[str]] = {}
        while progress.buffer:
            number, row = progress.buffer[0]
            if frontier is not None and number > frontier:
                return
            found = tuple([scope.holds(number, row) for scope in scopes])
            if None in found:
                for scope, is_in in zip(scopes, found, strict=True):
                    if is_in is None:
                        scope.walk_from(progress.after)
                return
            progress.buffer.popleft()
            lists = made_of.get(found)
            if lists is None:
                names = (scope.names for scope, is_in in zip(scopes, found, strict=True) if is_in)
                lists = made_of[found] = frozenset(shared).union(*names)
            progress.after = number
            if self._listing.is_wanted(row, spec):
                yield row, lists

    def _unmade(self, ready: Iterable[_Row], spec: ReadSpec) -> Unmade:
        rows = self._listing.rows(spec)
        shown = {str(row["ID"]): (row, lists) for row, lists in ready}

        def make(ids: Iterable[str]) -> tuple[list[Record], list[RowFault]]:
            made = [self._listing.record(*shown[rid], rows) for rid in ids]
            return [r for r in made if isinstance(r, Record)], [f for f in made if isinstance(f, RowFault)]

        return Unmade(digests={rid: rows.digest(row, lists) for rid, (row, lists) in shown.items()}, make=make)


def _walk(name: str, place: Place, select: list[str], where: Mapping[str, object]) -> Walk:
    """From that place on, in its window."""
    since = place.modified_from()
    conditions = {**where, ">=DATE_MODIFY": since} if since else where
    return Walk(name=name, entity=place.entity, select=select, conditions=conditions, last=place.after)


def _stamped(place: Place, reply: BatchReply) -> Place:
    """The watermark is the vendor's time at the very first batch; a resumed read keeps the one it began with."""
    if place.watermark is not None or place.after or reply.started_at is None:
        return place
    return place.begun(reply.started_at)
