"""A unit of work: everything the state knows, by noun, inside one transaction."""

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


class Unit:
    """Valid inside the block of the transaction that made it."""

    def __init__(
        self, connection: Connection, clock: Clock, pseudonyms: Pseudonyms, chain: Chain | None = None
    ) -> None:
        """``pseudonyms`` stand for forgotten people; ``chain`` seals what is said, None where nothing lasts."""
        self.pseudonyms = pseudonyms
        self.points = Points(connection, pseudonyms)
        self.erasures = Erasures(connection, clock)
        self.records = Records(connection)
        self.sources = Sources(connection)
        self.ledger = Ledger(connection, chain)
        self.events = Events(connection)
        self.links = Links(connection)
        self.changes = Changes(connection, clock)
        self.plans = Plans(connection, clock)
        self.issues = Issues(connection, clock)
        self.handled = HandledTurns(connection)
        self.runs = Runs(connection, clock)
        self.leases = Leases(connection, clock)
        self.meta = Meta(connection)
