"""A unit of work: everything the state knows, by noun, inside one transaction."""

from collections.abc import Callable
from typing import Generic, TypeVar, overload

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

Made = TypeVar("Made")


class _Noun(Generic[Made]):
    """Makes a noun when it is first named, and is out of the way from then on. (The standard library's cached property
    takes a lock each time, which a unit, being one thread's, need not.)"""

    def __init__(self, make: "Callable[[Unit], Made]") -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, unit: None, kind: type) -> "_Noun[Made]": ...

    @overload
    def __get__(self, unit: "Unit", kind: type) -> Made: ...

    def __get__(self, unit: "Unit | None", kind: type) -> "Made | _Noun[Made]":
        if unit is None:
            return self
        made = vars(unit)[self._name] = self._make(unit)
        return made


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

    @_Noun
    def points(self) -> Points:
        return Points(self._connection, self.pseudonyms)

    @_Noun
    def erasures(self) -> Erasures:
        return Erasures(self._connection, self._clock)

    @_Noun
    def records(self) -> Records:
        return Records(self._connection)

    @_Noun
    def sources(self) -> Sources:
        return Sources(self._connection)

    @_Noun
    def unasked(self) -> Unasked:
        return Unasked(self._connection)

    @_Noun
    def ledger(self) -> Ledger:
        return Ledger(self._connection, self._chain, self._clock)

    @_Noun
    def events(self) -> Events:
        return Events(self._connection)

    @_Noun
    def links(self) -> Links:
        return Links(self._connection)

    @_Noun
    def changes(self) -> Changes:
        return Changes(self._connection, self._clock)

    @_Noun
    def plans(self) -> Plans:
        return Plans(self._connection, self._clock)

    @_Noun
    def issues(self) -> Issues:
        return Issues(self._connection, self._clock)

    @_Noun
    def handled(self) -> HandledTurns:
        return HandledTurns(self._connection)

    @_Noun
    def runs(self) -> Runs:
        return Runs(self._connection, self._clock)

    @_Noun
    def leases(self) -> Leases:
        return Leases(self._connection, self._clock)

    @_Noun
    def meta(self) -> Meta:
        return Meta(self._connection)
