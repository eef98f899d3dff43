"""A file behind retries: a share that hesitates, a spreadsheet that holds it for a moment."""

import hashlib
from collections.abc import Callable
from typing import NoReturn

import structlog
import tenacity

from optsync.connect.contract import Context
from optsync.connect.digests import Digests
from optsync.errors import SystemUnavailable
from optsync_csv.disk import Disk
from optsync_csv.mapping import Sheet
from optsync_csv.settings import CsvSettings
from optsync_csv.table import NotATable, parse

_ATTEMPTS = 5
_log = structlog.get_logger(__name__)


class SavedOrNot(Exception):
    """The file could not be saved, or was and that went wrong, and somebody changed it since."""


class Store:
    """The file of one connector."""

    def __init__(self, settings: CsvSettings, context: Context, disk: Disk) -> None:
        self._settings = settings
        self._context = context
        self._disk = disk
        self.was_read = False
        self._steady = b""

    def load(self) -> tuple[bytes, Sheet]:
        """The file as it is now. Raises ``SystemUnavailable``."""
        content = self.read()
        return content, self.sheet(content)

    def sheet(self, content: bytes) -> Sheet:
        """Raises ``SystemUnavailable`` where it is no table."""
        settings = self._settings
        try:
            table = parse(content, delimiter=settings.delimiter, encoding=settings.encoding)
        except NotATable as error:
            raise SystemUnavailable(self._context.system, f"{settings.path}: {error}") from None
        return Sheet(table, settings, settings.path.name)

    def read(self) -> bytes:
        """Raises ``SystemUnavailable``."""
        content = self._patiently(self._disk.read)
        for _ in range(_ATTEMPTS):
            if self._is_whole(content):
                self.was_read = True
                return content
            self._context.clock.sleep(1 + self._context.rng.random())
            before, content = content, self._patiently(self._disk.read)
            if content == before:
                self._steady = hashlib.sha256(content).digest()
        raise SystemUnavailable(self._context.system, f"{self._settings.path} is being saved; nothing was read")

    def _is_whole(self, content: bytes) -> bool:
        """Whoever saves a file in pieces stops in the midst of a line: half a cell would count, and the rest would be
        lost if we replaced the file. A file that ends so for good stays the same."""
        if content.rstrip(b"\0").endswith((b"\n", b"\r")):
            return True
        return hashlib.sha256(content).digest() == self._steady

    def save(self, content: bytes, *, before: bytes) -> None:
        """Puts the content in the place of ``before``.

        Raises:
            ChangedMeanwhile: somebody saved the file since it was read; nothing was written.
            SystemUnavailable: nothing was written.
            SavedOrNot: it is not known.
            Whatever ``Context.before_write`` raises; nothing was written since.
        """
        reason = ""
        for _ in range(_ATTEMPTS):
            self._context.before_write()
            try:
                self._disk.replace(content, before=before)
            except FileNotFoundError as error:
                self._give_up(error)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                _log.debug("retry", system=self._context.system, failure=type(error).__name__)
                self._context.clock.sleep(1 + self._context.rng.random())
                if self._was_saved(content, before):
                    return
            else:
                return
        raise SystemUnavailable(self._context.system, f"{self._settings.path} could not be written: {reason}")

    def _was_saved(self, content: bytes, before: bytes) -> bool:
        try:
            now = self.read()
        except SystemUnavailable as error:
            raise SavedOrNot(str(error)) from None
        if now not in (content, before):
            raise SavedOrNot("it could not be written, or was, and somebody changed it since")
        return now == content

    def _patiently(self, do: Callable[[], bytes]) -> bytes:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(OSError) & tenacity.retry_if_not_exception_type(FileNotFoundError),
            wait=lambda _: 1 + self._context.rng.random(),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            sleep=self._context.clock.sleep,
            reraise=True,
        )
        try:
            return retrying(do)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> NoReturn:
        path = self._settings.path
        if isinstance(error, FileNotFoundError):
            message = f"{path} is not there; nothing is inferred from that. Restore it, or correct `path`"
        else:
            message = f"{path}: {error.strerror or type(error).__name__}"
        raise SystemUnavailable(self._context.system, message) from None


def fingerprint(content: bytes, settings: CsvSettings) -> str:
    """Of the file and of all else that decides what its rows mean."""
    return Digests(settings.model_dump(mode="json")).of(hashlib.sha256(content).hexdigest()).hex()
