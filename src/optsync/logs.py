"""Logs on standard error, without secrets and addresses."""

import logging
import secrets
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TextIO

import structlog
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from structlog.typing import Processor

from optsync.config.schema import Config
from optsync.connect.redact import Redactor
from optsync.errors import ConfigError

Format = Literal["auto", "json", "console"]
_PLAIN_KEYS = frozenset({"level", "timestamp", "logger"})
_OF_THIS_PROCESS = secrets.token_bytes(16)
_LOUD = ("apscheduler", "alembic", "urllib3", "uvicorn")
"""Libraries that tell at ``info`` what only their authors want to know."""


class _Redaction:
    """The last step before an entry is written."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        del logger, method
        return {key: value if key in _PLAIN_KEYS else self._clean(value) for key, value in entry.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redactor.all(value)
        if isinstance(value, Mapping):
            return {self._clean(key): self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item) for item in value]
        return value if value is None or isinstance(value, bool | int | float) else self._redactor.all(str(value))


class _Line(structlog.WriteLogger):
    """A line that finds no room, or whose reader is gone, is lost: no run and no answer may end for it."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


class _Handler(logging.StreamHandler[TextIO]):
    """The same for lines of libraries."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Says nothing: the original would print the record, and nobody has looked for addresses in it."""


def configure(
    *, level: str = "info", form: Format = "auto", redactor: Redactor | None = None, stream: TextIO | None = None
) -> None:
    """Sets up structlog and the standard library's logging. ``form`` auto: readable on a terminal, else JSON."""
    stream = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    is_console = form == "console" or (form == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _Redaction(redactor or Redactor()),
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty()) if is_console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Line(stream),
        cache_logger_on_first_use=False,
    )
    _catch_libraries(shared, renderer, threshold, stream)


def _catch_libraries(shared: list[Processor], renderer: Processor, threshold: int, stream: TextIO) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = _Handler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [h for h in root.handlers if getattr(h, "is_of_optsync", False)]:
        root.removeHandler(old)
    handler.is_of_optsync = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(threshold)
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def redactor_of(config: Config) -> Redactor:
    """Knows every secret of the configuration; hashes addresses with the first secret key. While there is none yet, a
    stand-in means somebody within one process only.

    Raises:
        ConfigError: the key file cannot be read.
    """
    return Redactor(set(_secrets(config)), key=_hash_key(config))


def _hash_key(config: Config) -> bytes:
    if config.secret_keys:
        return config.secret_keys[0].get_secret_value().encode()
    database = config.state.file
    # Reading only: a command that just looks must not leave a key file behind.
    kept = Path(f"{database}.key") if database else None
    if kept is None or not kept.is_file():
        return _OF_THIS_PROCESS
    try:
        return kept.read_bytes().strip()
    except OSError as error:
        reason = str(error.strerror).lower()
    raise ConfigError(f"{kept}: the secret key cannot be read ({reason}); run optsync as the user that made it")


def _secrets(config: Config) -> Iterator[str]:
    """All that is secret; a word that the configuration itself calls a system by is none, wherever else it stands."""
    names = {*config.systems, *(settings.connector for settings in config.systems.values())}
    yield from (secret for secret in _all_secrets(config) if secret not in names)


def _all_secrets(config: Config) -> Iterator[str]:
    for key in (*config.secret_keys, *getattr(config.web, "tokens", ())):
        yield key.get_secret_value() if isinstance(key, SecretStr) else str(key)
    for settings in config.systems.values():
        for name in type(settings).model_fields:
            value = getattr(settings, name)
            if isinstance(value, SecretStr):
                yield from _parts(value.get_secret_value())
    password = make_url(config.state.url).password
    if password:
        yield str(password)


def _parts(secret: str) -> Iterator[str]:
    """The secret, and where it is an address on the web, the long parts of its path: one of them is the secret."""
    yield secret
    if "://" in secret:
        yield secret.rstrip("/")
        yield from (part for part in secret.partition("://")[2].split("/")[1:] if len(part) >= 8)
