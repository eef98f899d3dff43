"""``optsync init`` and ``optsync schema``: a first file, and its description for editors."""

import json
import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from optsync.errors import CommandRefused


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("config.yaml"),
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a commented configuration to start from."""
    from optsync.config.template import starting_config

    if path.exists() and not force:
        raise CommandRefused(f"{path} exists and was left as it is; --force replaces it")
    text = starting_config()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text)
    except OSError as error:
        reason = error.strerror
    else:
        typer.echo(f"{path} written. Fill in its variables, then try: optsync -c {path} check")
        return
    raise CommandRefused(f"{path} cannot be written: {reason}")


def _write(path: Path, text: str) -> None:
    """All of it or nothing: a disk that is full must not cost a configuration that was there."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    target = Path(os.path.realpath(path))  # a link stays a link
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from optsync.config.jsonschema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, sort_keys=True))
