"""A backup of the state as a file that is complete, proven, and never in another's place."""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from optsync.clock import Clock
from optsync.config.keys import key_beside, known_keys
from optsync.config.schema import Config
from optsync.errors import CommandRefused, ConfigError
from optsync.state import backup
from optsync.state.store import Store
from optsync.sync.moving import require_state
from optsync.sync.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """``size`` in bytes; ``key``: the copied key file, None where the configuration gives the keys."""

    backup: backup.Backup
    file: Path
    size: int
    key: Path | None


def back_up(config: Config, wanted: Path | None, *, folder: Path, clock: Clock, progress: Progress) -> BackedUp:
    """Writes a backup into ``wanted``: a file, or a folder that gets one named by the time. Without it that lies beside
    an SQLite database, else in ``folder``.

    Raises:
        ConfigError: it cannot be written. CommandRefused: there is something of that name, nothing to back up, or
            the copy is not whole.
    """
    require_state(config)
    file = _place(wanted, config, folder, clock.now())
    if os.path.lexists(file):
        raise CommandRefused(f"{file}: is there already; nothing was overwritten")
    with _draft(file) as draft, key_beside(config, file) as key:
        taken = _taken(config, draft, clock=clock, progress=progress)
        _publish(draft, file)
    return BackedUp(backup=taken, file=file, size=file.stat().st_size, key=key)


def _place(wanted: Path | None, config: Config, folder: Path, now: datetime) -> Path:
    database = config.state.file
    name = f"{database.stem if database else 'optsync'}-{now:%Y-%m-%dT%H%M%SZ}.db"
    if wanted is None:
        return (database.parent if database else folder) / name
    return wanted / name if wanted.is_dir() else wanted


def _taken(config: Config, draft: Path, *, clock: Clock, progress: Progress) -> backup.Backup:
    database, keys = config.state.file, known_keys(config)
    if database is not None:
        return backup.copy_file(database, draft, clock=clock, keys=keys, step=progress.step)
    with closing(Store(config.state.url, clock)) as source:
        return backup.copy_rows(source, draft, clock=clock, keys=keys, step=progress.step)


@contextmanager
def _draft(file: Path) -> Iterator[Path]:
    """A file beside it under another name, for its owner only; gone at the end with whatever SQLite put beside it."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}.part")
    try:
        draft.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise ConfigError(f"{file}: the backup cannot be written ({error.strerror})") from None
    try:
        yield draft
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def _publish(draft: Path, file: Path) -> None:
    """On the disk first, then under its name, which nobody else's file loses."""
    _flush(draft)
    try:
        try:
            os.link(draft, file)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links.
            if os.path.lexists(file):
                raise
            draft.rename(file)
        _flush(file.parent)
    except FileExistsError:
        raise CommandRefused(f"{file}: is there already; nothing was overwritten") from None
    except OSError as error:
        raise ConfigError(f"{file}: the backup cannot be written ({error.strerror})") from None


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
