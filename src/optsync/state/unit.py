"""A unit of work: everything the state knows, by noun, inside one transaction."""

from functools import cached_property

from sqlalchemy.engine import Connection

from optsync.clock import Clock
from optsync.state.chain import Chain
from optsync.state.changes import Changes
from optsync.state.erasures import Erasures
from optsync.state.events import Events
from optsync.state.handled import HandledTurns
from optsync.state.issues import Issues
from optsync.state.leases import Leases
from optsync.state.ledger import Ledger
from optsync.state.links import Links
from optsync.state.meta import Meta
from optsync.state.plans import Plans
from optsync.state.points import Points
from optsync.state.pseudonyms import Pseudonyms
from optsync.state.records import Records
from optsync.state.runs import Runs
from optsync.state.sources import Sources
from optsync.state.unasked import Unasked


class Unit:
    """Valid inside the block of the transaction that made it. A noun is made when it is first named: most
    transactions need few of them."""

    def __init__(
        self, connection: Connection, clock: Clock, pseudonyms: Pseudonyms, chain: Chain | None = None
    ) -> None:
        """``pseudonyms`` stand for forgotten people; ``chain`` seals what is said, None where nothing lasts."""
        self.pseudonyms = pseudonyms
        self._connection = connection
        self._clock = clock
        self._chain = chain

    @cached_property
    def points(self) -> Points:
        return Points(self._connection, self.pseudonyms)

    @cached_property
    def erasures(self) -> Erasures:
        return Erasures(self._connection, self._clock)

    @cached_property
    def records(self) -> Records:
        return Records(self._connection)

    @cached_property
    def sources(self) -> Sources:
        return Sources(self._connection)

    @cached_property
    def unasked(self) -> Unasked:
        return Unasked(self._connection)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self._connection, self._chain)

    @cached_property
    def events(self) -> Events:
        return Events(self._connection)

    @cached_property
    def links(self) -> Links:
        return Links(self._connection)

    @cached_property
    def changes(self) -> Changes:
        return Changes(self._connection, self._clock)

    @cached_property
    def plans(self) -> Plans:
        return Plans(self._connection, self._clock)

    @cached_property
    def issues(self) -> Issues:
        return Issues(self._connection, self._clock)

    @cached_property
    def handled(self) -> HandledTurns:
        return HandledTurns(self._connection)

    @cached_property
    def runs(self) -> Runs:
        return Runs(self._connection, self._clock)

    @cached_property
    def leases(self) -> Leases:
        return Leases(self._connection, self._clock)

    @cached_property
    def meta(self) -> Meta:
        return Meta(self._connection)
