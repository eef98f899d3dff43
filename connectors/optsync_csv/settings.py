"""What a configuration says about a CSV file."""

from pathlib import Path

from pydantic import Field, field_validator

from optsync.connect.settings import SystemSettings

_DELIMITERS = (",", ";", "\t", "|")


class CsvSettings(SystemSettings):
    """One file with a header line."""

    path: Path = Field(description="The file; relative to the folder in which optsync runs.")
    id_column: str = Field(
        default="id", description="Names a row for good. A row without an id is known by its first address."
    )
    address_columns: tuple[str, ...] = Field(default=("email",), min_length=1, description="The primary address first.")
    updated_column: str | None = Field(default=None, description="Written at every change of a row; need not exist.")
    delimiter: str | None = Field(default=None, description="Comma, semicolon, tab or bar; found out when left empty.")
    encoding: str | None = Field(default=None, description="When left empty: by its byte order mark, else UTF-8.")
    yes: str = Field(default="yes", description="Written into a yes/no column in which there is no such word yet.")
    no: str = Field(default="no", description="The same for no.")

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
