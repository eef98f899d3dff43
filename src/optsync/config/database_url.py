"""A database named on the command line: checked as ``state.url`` is, and shown without its password."""

import re
from urllib.parse import unquote

from pydantic import ValidationError
from sqlalchemy.engine import URL, make_url

from optsync.config.parts import State
from optsync.errors import ConfigError

_EXPECTED = "sqlite:///FILE or postgresql://USER@HOST/NAME"
_PATIENCE = "10"
"""Seconds to wait for a server that does not answer; the system's own patience lasts minutes."""


def parse_database(text: str, *, option: str) -> State:
    """The database of that URL; a relative SQLite file is taken from where the command was started.

    Raises:
        ConfigError: it is none that can hold a state; without a word of the password.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or not re.fullmatch(r"[a-z0-9+]{1,40}", scheme):
        raise ConfigError(f"{option}: this is no database URL; expected {_EXPECTED}")
    if set(_password(rest)) & set("/@?#[]"):
        raise ConfigError(f"{option}: in the password / @ ? # [ ] are to be written as %2F %40 %3F %23 %5B %5D")
    try:
        state = State(url=text)
    except ValidationError:
        state = None
    if state is None:
        raise ConfigError(f"{option}: found {scheme}://…, expected {_EXPECTED}")
    url = make_url(state.url)
    if state.is_sqlite:
        return _of_file(state, url, option=option)
    if not url.database:
        raise ConfigError(f"{option}: the URL names no database; expected {_EXPECTED}")
    if "connect_timeout" not in url.query:
        state = State(url=text_of(url.update_query_dict({"connect_timeout": _PATIENCE})))
    return state


def _of_file(state: State, url: URL, *, option: str) -> State:
    file = state.file
    if file is None or "uri" in url.query:
        raise ConfigError(f"{option}: expected a file, as in sqlite:///FILE")
    if not file.parent.is_dir() or file.is_dir():
        raise ConfigError(f"{option}: {file}: {'is a folder' if file.is_dir() else 'its folder is not there'}")
    return State(url=text_of(url.set(database=str(file.absolute()))))


def shown(state: State) -> str:
    """Without password and options: for people to read, and to put into ``state.url``."""
    return make_url(state.url).set(query={}).render_as_string(hide_password=True)


def secrets_of(text: str) -> list[str]:
    """What in a URL may be a password, as it was typed and as it is meant."""
    password = _password(text.partition("://")[2])
    return [password, unquote(password)]


def text_of(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _password(rest: str) -> str:
    """All that stands between the user and the last @, whatever was meant by it."""
    return rest.rpartition("@")[0].partition(":")[2]
