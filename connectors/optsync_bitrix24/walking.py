"""Walks over a table by id: pages of 50 chained inside a batch, each beginning where the one before ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optsync_bitrix24.client import BatchReply, Command
from optsync_bitrix24.php import as_list
from optsync_bitrix24.refusals import VendorError

PAGE = 50


@dataclass(slots=True, kw_only=True)
class Walk:
    """One walk. ``last`` is the highest id seen; ``rows`` are those of the newest batch, each behind its id, ascending.

    Counting is off (``start`` -1) and the order is by id: offset paging would shift while people edit, and a page
    beyond the end may be the first one again. The first short page is the end; what the chain brings behind it
    was asked with a reference that leads nowhere, and is dropped.
    """

    name: str
    entity: str
    select: Sequence[str]
    conditions: Mapping[str, Any]
    last: int = 0
    has_ended: bool = False
    is_complete: bool = True
    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    unusable: int = 0
    """Rows of the newest batch without an id."""
    error: VendorError | None = None
    """What stopped the newest batch's chain, if anything did."""
    read: int = 0
    """Rows so far."""

    def commands(self, pages: int) -> dict[str, Command]:
        """The next pages, for one batch."""
        method, order, select = f"crm.{self.entity}.list", {"ID": "ASC"}, list(self.select)
        made = {}
        after: int | str = self.last
        for number in range(pages):
            conditions = {**self.conditions, ">ID": after}
            params = {"order": order, "filter": conditions, "select": select, "start": -1}
            made[f"{self.name}{number}"] = Command(method=method, params=params)
            after = f"$result[{self.name}{number}][{PAGE - 1}][ID]"
        return made

    def take(self, reply: BatchReply, pages: int) -> None:
        """Takes in the answers to ``commands(pages)``."""
        self.rows, self.error, self.unusable = [], None, 0
        for number in range(pages):
            key = f"{self.name}{number}"
            page = as_list(reply.results.get(key)) if key in reply.results else None
            if page is None:
                self.error = reply.errors.get(key) or VendorError(code="", text="a page was not answered for")
                return
            went_on = self._take_page(page)
            if len(page) < PAGE or not went_on:
                # A full page without a new row would be asked for without end.
                self.is_complete = self.is_complete and (went_on or len(page) < PAGE)
                self.has_ended = True
                return

    def _take_page(self, page: Sequence[Any]) -> bool:
        before = self.last
        for row in page:
            number = id_of(row)
            if number is None:
                self.unusable += 1
            elif number > self.last:
                self.last = number
                self.rows.append((number, row))
                self.read += 1
            else:
                # Shown twice, or out of order: perhaps something else is missing.
                self.is_complete = False
        return self.last > before


def id_of(row: Any) -> int | None:
    """The id of a row; None for something that is no row."""
    text = row.get("ID", "") if isinstance(row, dict) else ""
    if type(text) is not str:
        text = str(text)
    return int(text) if text.isdigit() and text != "0" else None
