"""A world put aside at some moment and taken up again, as often as wanted: worlds that begin alike share their
beginning, which takes as long as the rest."""

import io
import pickle
import random
import sqlite3
import threading
from abc import ABCMeta
from collections.abc import Sequence
from enum import EnumType
from http.cookiejar import DefaultCookiePolicy
from re import Pattern
from types import FunctionType
from typing import Any

from requests.structures import CaseInsensitiveDict

from optsync.config.schema import Config
from optsync.connect.redact import Redactor
from optsync.sync.binding import Bound
from optsync_bitrix24.mapping import Descriptor
from optsync_bitrix24.mocking.catalogue import Field
from optsync_bitrix24.mocking.methods import Methods
from optsync_bitrix24.mocking.store import Fields
from optsync_bitrix24.mocking.switches import Switches as SwitchesOfCrm
from optsync_mailchimp.mocking.account import Switches as SwitchesOfPlatform
from tests.simulation.law import Law
from tests.simulation.messages import Row
from tests.simulation.play import Player
from tests.simulation.script import Act, Cycle, Script
from tests.simulation.stage import SimStore

_LOCK = type(threading.RLock())


_UNCHANGED = frozenset(
    {Act, Bound, Config, Cycle, Descriptor, Field, Law, Pattern, Row, Script, sqlite3.Connection}
    | {CaseInsensitiveDict, DefaultCookiePolicy, Redactor, SwitchesOfCrm, SwitchesOfPlatform}
    # By themselves these are looked up by name, which takes several times as long.
    | {ABCMeta, EnumType, FunctionType, type}
)
"""What all worlds share, or no act in a world changes."""


class Saved:
    """Between two steps. What is taken up again knows nothing of what became of the others."""

    def __init__(self, player: Player) -> None:
        store = player.stage.store
        self._database = store.driver.serialize()
        self._shared: list[Any] = [store.keys]
        written = io.BytesIO()
        _Pickler(written, self._shared).dump(player)
        self._player = written.getvalue()

    def again(self) -> Player:
        """The same world in the same moment. The one that was played before is over: they share a connection."""
        player: Player = _Unpickler(io.BytesIO(self._player), self._shared).load()
        player.stage.store.driver.deserialize(self._database)
        return player


class _Pickler(pickle.Pickler):
    """Puts what is shared into a list, and its place there into the file."""

    def __init__(self, file: io.BytesIO, shared: list[Any]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._shared = shared
        self._places = {id(value): place for place, value in enumerate(shared)}

    def persistent_id(self, value: Any) -> int | None:
        # Asked about every text and number, too.
        return self._share(value) if type(value) in _UNCHANGED else self._places.get(id(value))

    def _share(self, value: Any) -> int:
        place = self._places.setdefault(id(value), len(self._shared))
        if place == len(self._shared):
            self._shared.append(value)
        return place

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, random.Random):
            state = value.getstate()
            self._share(state)  # some 600 numbers
            return random.Random, (), state
        if isinstance(value, SimStore):
            return SimStore.opened, (value._clock, value.keys, value.fate)
        if isinstance(value, Methods):
            return Methods, (value._portal,)
        if isinstance(value, Fields):
            # Filled before it has attributes, it would miss them.
            return Fields, (dict(value),), vars(value)
        if isinstance(value, _LOCK):
            return threading.RLock, ()
        return (threading.local, ()) if isinstance(value, threading.local) else NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, shared: Sequence[Any]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, place: int) -> Any:
        return self._shared[place]
