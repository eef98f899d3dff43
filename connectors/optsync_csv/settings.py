"""What a configuration says about a CSV file."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from optsync.connect.settings import SystemSettings

_YES = ("yes", "y", "true", "1", "x")
_NO = ("no", "n", "false", "0")
_DELIMITERS = (",", ";", "\t", "|")


class CsvSettings(SystemSettings):
    """One file with a header line."""

    path: Path = Field(description="The file; relative to the folder in which optsync runs.")
    id_column: str = Field(
        default="id", description="Names a row for good. A row without an id is known by its first address."
    )
    address_columns: tuple[str, ...] = Field(default=("email",), min_length=1, description="The primary address first.")
    updated_column: str | None = Field(
        default=None, description="Written at every change of a row by us; never read, since people do not keep it."
    )
    delimiter: str | None = Field(default=None, description="Comma, semicolon, tab or bar; found out when left empty.")
    encoding: str | None = Field(default=None, description="When left empty: by its byte order mark, else UTF-8.")
    yes: str = Field(
        default="yes", min_length=1, description="A further word for yes; written where there is none yet."
    )
    no: str = Field(default="no", min_length=1, description="The same for no.")

    @field_validator("delimiter")
    @classmethod
    def _is_a_delimiter(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and delimiter not in _DELIMITERS:
            raise ValueError("expected a comma, a semicolon, a tab or a bar")
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            try:
                "".encode(encoding)
            except LookupError:
                raise ValueError("expected a name such as utf-8 or cp1252") from None
        return encoding

    @field_validator("yes", "no")
    @classmethod
    def _is_a_word(cls, word: str) -> str:
        # A cell is compared without the spaces around it: such a word would be written and never be read again.
        if not word.strip():
            raise ValueError("expected a word")
        return word.strip()

    @model_validator(mode="after")
    def _words_do_not_contradict(self) -> "CsvSettings":
        if self.yes.lower() in {*_NO, self.no.lower()} or self.no.lower() in _YES:
            raise ValueError("`yes` and `no` contradict each other or the words that are known")
        return self

    @property
    def own_columns(self) -> frozenset[str]:
        """Columns that must be there: without one of them everybody would seem to have changed. Only the id column may
        be missing, where the settings do not name it."""
        named = {self.id_column} if "id_column" in self.model_fields_set else set()
        return frozenset({*self.address_columns, *named})

    @property
    def words(self) -> Mapping[str, bool]:
        """What a cell of a yes/no column may say, in lower case."""
        return {**dict.fromkeys((*_YES, self.yes.lower()), True), **dict.fromkeys((*_NO, self.no.lower()), False)}
