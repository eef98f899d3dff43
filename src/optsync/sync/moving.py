"""Moving the state into another database, with the key that belongs to it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from optsync.clock import Clock
from optsync.config.database_url import shown
from optsync.config.keys import key_beside, key_file, known_keys
from optsync.config.parts import State
from optsync.config.schema import Config
from optsync.errors import CommandRefused, ConfigError
from optsync.state import moving
from optsync.state.store import Store
from optsync.sync.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """``key``: the file with the secret key, beside the copy if that is a file; None where the configuration has it."""

    moved: moving.Moved
    source: str
    target: str
    key: Path | None


def copy_state(config: Config, target: State, *, clock: Clock, progress: Progress) -> Copied:
    """Copies the state of the configuration into an empty database and proves the copy.

    Raises:
        ConfigError: the target cannot be used. CommandRefused: it holds something, or there is nothing to copy.
        StateLocked: somebody works on the state.
    """
    require_state(config)
    name, file = shown(target), target.file
    if file is not None and _is_same(file, config.state.file):
        raise CommandRefused(f"{name} is the state itself; name another database")
    with (
        closing(Store(config.state.url, clock)) as source,
        _carried(config, file) as key,
        _new_file(file),
        closing(_opened(target, clock)) as opened,
    ):
        if file is not None:
            with source.at_one_moment() as connection:
                revision = moving.require_revision(connection)
            moving.require_empty_file(file, revision, name=name)
        moved = moving.move(source, opened, name=name, keys=known_keys(config), step=progress.step)
    return Copied(moved=moved, source=shown(config.state), target=name, key=key)


def require_state(config: Config) -> None:
    """Raises: CommandRefused, where the state is a file that is not there, or lives in memory."""
    file = config.state.file
    if config.state.is_sqlite and (file is None or not file.is_file()):
        raise CommandRefused(f"there is no state yet: {file or 'a database in memory'} is not there; nothing to copy")


@contextmanager
def _carried(config: Config, file: Path | None) -> Iterator[Path | None]:
    """The key file; beside the copy, if that is a file."""
    if file is None:
        yield key_file(config)
        return
    with key_beside(config, file) as key:
        yield key


@contextmanager
def _new_file(file: Path | None) -> Iterator[None]:
    """A file that was not there is made for its owner only, and goes when the block raises."""
    if file is None or file.exists():
        yield
        return
    try:
        file.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise ConfigError(f"{file}: the copy cannot be written ({error.strerror})") from None
    try:
        yield
    except BaseException:
        for suffix in ("", "-wal", "-shm", "-journal"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        raise


def _opened(target: State, clock: Clock) -> Store:
    try:
        return Store(target.url, clock)
    except ConfigError as error:
        reason = str(error).replace("state.url", shown(target))
    raise ConfigError(reason)


def _is_same(one: Path, other: Path | None) -> bool:
    return other is not None and one.exists() and one.samefile(other)
