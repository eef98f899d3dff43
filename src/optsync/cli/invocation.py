"""What one call of the command line works with: its options, its configuration, its engine."""

import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optsync.cli.signals import ending_in_order
from optsync.connect.redact import Redactor
from optsync.errors import CommandRefused, ConfigError
from optsync.model.contact_point import InvalidAddress, normalise

if TYPE_CHECKING:
    from optsync.config.schema import Config
    from optsync.state.store import Store
    from optsync.sync.engine import Engine

_UNWRITABLE = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")
"""What SQLite says of a file that it can't make larger; the state itself is only read here."""
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@dataclass(slots=True, kw_only=True)
class Invocation:
    """``redactor`` knows the secrets as soon as the configuration is read."""

    config_path: Path = Path("config.yaml")
    is_verbose: bool = False
    is_daemon: bool = False
    redactor: Redactor = field(default_factory=Redactor)
    database: str | None = None
    """The place of the state, without a password; known when the configuration is read."""

    def load(self) -> "Config":
        """The configuration; logs are set up by it.

        Raises:
            ConfigError: with every fault; or the state would be forgotten at the end of the command.
        """
        from optsync.config.database_url import shown
        from optsync.config.load import load
        from optsync.logs import redactor_of

        config = load(self.config_path)
        if config.state.is_sqlite and config.state.file is None:
            raise ConfigError(
                "state.url: a database in memory forgets every opt-out when the command ends; name a file, as in "
                "sqlite:///optsync.db"
            )
        self.database = str(config.state.file or shown(config.state))
        self.redactor = redactor_of(config)
        self.set_up_logs(config.log.level, config.log.format)
        return config

    def hide(self, *secrets: str) -> None:
        """Keeps these out of what is said about errors, too; to be called again when the configuration is read."""
        self.redactor = self.redactor.knowing(*secrets)

    def set_up_logs(self, level: str = "warning", form: str = "auto") -> None:
        from optsync.logs import configure

        if self.is_verbose:
            level = "debug"
        elif sys.stderr.isatty() and not self.is_daemon and level == "info":
            # Whoever looks at a terminal reads the command's own answer.
            level = "warning"
        configure(level=level, form=form, redactor=self.redactor)  # type: ignore[arg-type]

    @contextmanager
    def engine(self) -> Iterator["Engine"]:
        """For commands that may write to systems and to the state; nothing is sent before they ask for it."""
        from optsync.sync.compose import compose

        engine = compose(self.load(), beats=True)
        try:
            yield engine
        finally:
            engine.close()

    @contextmanager
    def looking(self) -> Iterator["Engine"]:
        """For commands that only look: no request that writes leaves, and no database is made where none is."""
        from optsync.sync.compose import compose

        config = self.load()
        engine = compose(config, store=_existing(config), is_read_only=True)
        try:
            yield engine
        finally:
            engine.close()

    @contextmanager
    def rehearsing(self) -> Iterator["Engine"]:
        """As :meth:`looking`, on a copy of the state: a rehearsal takes its time, and nobody must wait for it."""
        from optsync.sync.compose import compose

        config = self.load()
        with ending_in_order(), _temporary_folder() as folder:
            store = _existing(config) or _copied(config, folder / "state.db")
            self.database = f"{self.database}, or its copy in {folder},"
            engine = compose(config, store=store, is_read_only=True)
            try:
                yield engine
            finally:
                engine.close()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder for a copy of the state, gone afterwards.

    Raises:
        CommandRefused: the machine gives none.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix="optsync-plan-")
    except OSError as error:
        reason = str(error.strerror).lower()
    else:
        with made as folder:
            yield Path(folder)
        return
    raise _no_place(reason)


def _no_place(reason: str) -> CommandRefused:
    return CommandRefused(f"a copy of the state finds no place ({reason}); set TMPDIR to a folder that has room")


def is_blank(config: "Config") -> bool:
    """Whether the state is a file that is not there yet, or one without a single byte."""
    file = config.state.file
    return file is not None and (not file.exists() or (file.is_file() and file.stat().st_size == 0))


def _existing(config: "Config") -> "Store | None":
    """None for the configured database; one in memory where that file is not there yet."""
    from optsync.clock import SystemClock
    from optsync.state.store import Store

    return Store("sqlite://", SystemClock()) if is_blank(config) else None


def _copied(config: "Config", target: Path) -> "Store":
    """The state as it is at this moment, in a file; without a table where there is none yet."""
    from sqlalchemy.engine import URL

    from optsync.cli.progress import Bars
    from optsync.clock import SystemClock
    from optsync.state import snapshot
    from optsync.state.copying import pour
    from optsync.state.revisions import revision_of
    from optsync.state.store import Store

    # Not put together: what stands for a letter or begins options in a URL is a name like any other in a path.
    copy = Store(URL.create("sqlite", database=str(target)).render_as_string(), SystemClock())
    if config.state.file is not None:
        try:
            snapshot.copy(config.state.file, target)
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith(_UNWRITABLE):
                raise
            reason = str(error)
        else:
            return copy
        raise _no_place(reason)
    with closing(Store(config.state.url, SystemClock())) as source, source.at_one_moment() as out:
        if revision := revision_of(out):
            with copy.being_filled() as into, Bars() as bars:
                pour(out, into, revision=revision, step=bars.step)
    return copy


def of(context: typer.Context) -> Invocation:
    """The call that this context belongs to."""
    found = context.find_object(Invocation)
    if found is None:
        raise RuntimeError("a command was started without its invocation")
    return found


def require_bare(context: typer.Context) -> None:
    """A group that lists by itself was given nothing of its own before one of its commands, which would not hear of it:
    ``issues --system crm retry --all`` would answer the issues of all systems.

    Raises:
        ConfigError: an option stands there.
    """
    sources = {p.opts[0]: context.get_parameter_source(p.name) for p in context.command.params if p.name}
    given = [option for option, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if context.invoked_subcommand and given:
        options, command = ", ".join(given), context.invoked_subcommand
        raise ConfigError(f"{options}: belongs behind {command}, which does not hear of it here; nothing was done")


def require_address(raw: str) -> str:
    """The normalised address.

    Raises:
        ConfigError: the argument is none.
    """
    try:
        return normalise(raw)
    except InvalidAddress as error:
        reason = str(error)
    raise ConfigError(f"EMAIL: this is no e-mail address: {reason}")


def require_syncs(engine: "Engine", names: Sequence[str]) -> list[str]:
    """The names, each once.

    Raises:
        ConfigError: one of them is not configured.
    """
    known = list(engine.bound.policies)
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no sync {name!r}; configured: {', '.join(known)}")
    return list(dict.fromkeys(names))


def require_system(config: "Config", name: str) -> str:
    """The name itself.

    Raises:
        ConfigError: it is not configured.
    """
    if name not in config.systems:
        raise ConfigError(f"there is no system {name!r}; configured: {', '.join(config.systems)}")
    return name
