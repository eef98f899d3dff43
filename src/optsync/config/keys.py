"""The keys that sign the ledger and hash forgotten people."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from optsync.config.schema import Config
from optsync.errors import CommandRefused, ConfigError
from optsync.state.pseudonyms import fingerprint

_SUFFIX = ".key"


def secret_keys(config: Config) -> tuple[bytes, ...]:
    """The keys, the first of which signs. Without ``secret_keys`` one is made beside the SQLite database and kept.

    Without that file the ledger's signatures are unproven and forgotten people unknown: the same backup must hold it.

    Raises:
        ConfigError: the key file cannot be read or written, or there is no place for one.
    """
    if config.secret_keys:
        return tuple(key.get_secret_value().encode() for key in config.secret_keys)
    database = config.state.file
    if database is None:
        raise ConfigError("secret_keys: none is given, and only beside an SQLite file can optsync make and keep one")
    file = _beside(database)
    try:
        return (_kept(file),)
    except OSError as error:
        problem = str(error.strerror)
    raise ConfigError(f"{file}: the secret key cannot be read or written ({problem}); give secret_keys instead")


def ledger_keys(config: Config) -> tuple[bytes, ...]:
    """The keys that sign the ledger: as :func:`secret_keys`; none where optsync has no place to keep one.

    Raises:
        ConfigError: the key file cannot be read or written.
    """
    if not config.secret_keys and config.state.file is None:
        return ()
    return secret_keys(config)


def known_keys(config: Config) -> tuple[bytes, ...]:
    """As :func:`ledger_keys`, for commands that only look: no key is made where none is.

    Raises:
        ConfigError: the key file cannot be read.
    """
    database = config.state.file
    if not config.secret_keys and database is not None and not _beside(database).exists():
        return ()
    return ledger_keys(config)


def key_file(config: Config) -> Path | None:
    """The file whose key is used; None: the configuration gives the keys, or none was made yet."""
    database = config.state.file
    if config.secret_keys or database is None or not _beside(database).exists():
        return None
    return _beside(database)


@contextmanager
def key_beside(config: Config, database: Path) -> Iterator[Path | None]:
    """The key file in use lies beside another database, too; what was put there is taken away when the block raises.
    None: there is no key file to go with it.

    Raises:
        ConfigError: it cannot be read or written. CommandRefused: another key lies there.
    """
    file, twin = key_file(config), _beside(database)
    if file is None:
        yield None
        return
    try:
        key, there = file.read_bytes(), twin.read_bytes() if twin.exists() else None
        if there is None:
            _write(twin, key)
    except OSError as error:
        raise ConfigError(f"{twin}: the secret key cannot be carried along ({error.strerror})") from None
    if there is not None and there.strip() != key.strip():
        raise CommandRefused(f"{twin}: another secret key is there already; nothing was overwritten")
    try:
        yield twin
    except BaseException:
        if there is None:
            twin.unlink(missing_ok=True)
        raise


def _beside(database: Path) -> Path:
    return database.with_name(database.name + _SUFFIX)


def require_keys(config: Config, hashed: Mapping[str, int]) -> None:
    """Refuses to work without a key by which forgotten people are known: a new one in its place would let them be
    mailed again. ``hashed``: how many there are, by the fingerprint of the key.

    Raises:
        ConfigError: which key is to be put back.
    """
    if not hashed:
        return
    database = config.state.file
    file = _beside(database) if database else None
    if not config.secret_keys and file is not None and not file.exists():
        raise ConfigError(
            f"{file}: the secret key is gone, and {sum(hashed.values())} forgotten people are known by it alone; put "
            f"the file back from the backup (its fingerprint is {', '.join(sorted(hashed))}). No new key was made"
        )
    lost = {key: count for key, count in hashed.items() if key not in map(fingerprint, secret_keys(config))}
    if lost:
        named = ", ".join(f"{key} ({count} people)" for key, count in sorted(lost.items()))
        place = "secret_keys" if config.secret_keys else file
        raise ConfigError(
            f"{place}: forgotten people are known by a key that is not here, by fingerprint: {named}; put it back (in "
            "secret_keys after the first one). A key may go when `optsync check` shows that nobody hangs on it"
        )


def _kept(file: Path) -> bytes:
    if not file.exists():
        _make(file)
    key = file.read_bytes().strip()
    if len(key) < 32:
        raise ConfigError(f"{file}: holds no secret key; put it back from a backup, or give secret_keys")
    return key


def _make(file: Path) -> None:
    """Complete at once, so that a second process never reads half a key; the first one to finish wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    _write(draft, secrets.token_hex(32).encode())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _write(file: Path, key: bytes) -> None:
    """A new file, for its owner only; none is left where it cannot be written."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        try:
            handle.write(key)
            handle.flush()
            os.fsync(handle.fileno())
        except OSError:
            file.unlink(missing_ok=True)
            raise
