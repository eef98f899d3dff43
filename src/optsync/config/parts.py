"""The sections of the configuration file."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from optsync.config.duration import Duration
from optsync.config.transforms import Step
from optsync.connect.http import is_loopback
from optsync.connect.settings import Settings
from optsync.model.scope import Basis, Kind

Count = Annotated[int, Field(ge=0)]


class State(Settings):
    """Where optsync keeps what it knows."""

    url: str = Field(
        default="sqlite:///optsync.db",
        repr=False,
        description="sqlite:///file (relative to the configuration file) or postgresql+psycopg://user:password@host/name.",
    )

    @field_validator("url")
    @classmethod
    def _is_a_database(cls, value: str) -> str:
        try:
            url = make_url(value)
        except (ArgumentError, ValueError):
            url = None
        if url is None or url.drivername not in {"sqlite", "postgresql", "postgresql+psycopg"}:
            raise ValueError("sqlite:///file.db or postgresql+psycopg://user:password@host/name")
        if url.drivername == "sqlite" and (url.host or "uri" in url.query):
            # Of a URI nothing here knows which file it means, or that it means none.
            raise ValueError("a file after three slashes: sqlite:///file.db")
        if _holds_more_of_a_password(value, url):
            raise ValueError("a password in which / @ ? # [ ] are written as %2F %40 %3F %23 %5B %5D")
        return value.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def is_sqlite(self) -> bool:
        return make_url(self.url).drivername == "sqlite"

    @property
    def file(self) -> Path | None:
        """The SQLite database's file; None in memory and on a server."""
        url = make_url(self.url)
        return Path(url.database) if self.is_sqlite and url.database and ":memory:" not in url.database else None


def _holds_more_of_a_password(text: str, url: URL) -> bool:
    """Whether what follows the first @, which is taken for the host, the database or an option and shown as such, holds
    another one."""
    if url.username is None:
        return False
    place, _, options = text.partition("@")[2].partition("?")
    return "@" in place or "@" in options.partition("=")[0]


class PurposeSettings(Settings):
    """What mail is sent for."""

    kind: Kind = Field(default=Kind.COMMERCIAL, description="A transactional purpose can never be opted out of.")
    basis: Basis = Field(default=Basis.CONSENT, description="Mail only after a grant, or until they object.")
    topics: tuple[str, ...] = Field(default=(), description="Names of the topics inside the purpose.")

    @field_validator("topics")
    @classmethod
    def _once_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("each topic once")
        return tuple(_name(topic) for topic in value)


class Brand(Settings):
    """A sender that people know by name; no wish about it touches another brand."""

    purposes: Annotated[Mapping[str, PurposeSettings], Field(min_length=1)]

    @field_validator("purposes")
    @classmethod
    def _named(cls, value: Mapping[str, PurposeSettings]) -> Mapping[str, PurposeSettings]:
        for name in value:
            _name(name)
        return value


def _name(text: str) -> str:
    if not text or text != text.strip() or "/" in text or text == "*":
        raise ValueError("names without /, * and spaces around them")
    return text


class Travel(Settings):
    """Which way opt-outs travel. What is switched off is still known and still counts."""

    crm_to_esp: bool = True
    esp_to_crm: bool = True


class Policy(Settings):
    """What to do where nothing else decides."""

    existing: Literal["unknown", "legacy_grant"] = Field(
        default="unknown", description="What a subscription without evidence means at the first connection."
    )
    enter: Literal["subscribe", "request", "skip"] = Field(
        default="subscribe", description="Whoever enters the list scope; under basis consent only with a grant."
    )
    leave: Literal["keep", "archive", "tag"] = Field(default="keep", description="Whoever leaves the list scope.")
    inactive: Literal["keep", "tag", "exclude"] = Field(
        default="keep", description="Members without a sign of life for consent.inactive_after, while they were mailed."
    )
    esp_only: Literal["ignore", "create_in_crm"] = Field(
        default="ignore", description="Members the CRM does not know; to create them `where` must be equalities."
    )
    after_opt_out: Literal["stop", "continue"] = Field(
        default="stop", description="Whether fields of people who are out are still updated."
    )
    carry_grant: Literal["with_evidence", "never"] = Field(
        default="with_evidence", description="Whether a grant follows a changed address."
    )
    topics_first_sight: Literal["restrictive", "union"] = Field(
        default="restrictive", description="Topics on which both sides disagree when first seen."
    )
    primary: Literal["oldest", "newest"] = Field(
        default="oldest", description="Which of several records with one address supplies the fields."
    )


class FieldRule(Settings):
    """One mapped field."""

    crm: str = Field(description="The CRM's field.")
    esp: str = Field(description="The ESP's field.")
    direction: Literal["both", "to_esp", "to_crm"] = "both"
    conflict: Literal["crm", "esp", "non_empty", "review"] = Field(
        default="crm", description="Who wins where both sides changed."
    )
    blank: Literal["keep", "clear"] = Field(default="keep", description="Whether a blank may overwrite a value.")
    steps: tuple[Step, ...] = Field(
        default=(), alias="transform", description="From the CRM's form to the ESP's: one transform or a chain."
    )

    @field_validator("steps", mode="before", json_schema_input_type=str | Step | tuple[str | Step, ...])
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str | Mapping) else value

    @property
    def transform(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """The chain from the CRM's form to the ESP's, as (name, parameters)."""
        return tuple((step.name, step.parameters) for step in self.steps)

    @property
    def to_esp(self) -> bool:
        return self.direction != "to_crm"

    @property
    def to_crm(self) -> bool:
        return self.direction != "to_esp"


def _single(value: Any) -> Any:
    # Asked before the alternatives are tried: each of these would say by itself that it does not fit.
    if isinstance(value, Mapping | list):
        raise ValueError("one value: text, a number, true, false or nothing")  # noqa: TRY004 - pydantic takes no other
    return value


Setting = Annotated[str | bool | int | float | None, BeforeValidator(_single)]
"""What a CRM field is set to; a text may hold placeholders such as {date}."""


class HandlerEntry(Settings):
    """A handler of one's own: an installed function, called after an opt-out or opt-in."""

    name: str = Field(description="As it is installed under the entry points optsync.handlers.")
    fields: tuple[str, ...] = Field(default=(), description="CRM fields it may set besides those named for scopes.")

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


class SoftBounces(Settings):
    """How many temporary failures, within what time, make an address undeliverable."""

    limit: Annotated[int, Field(ge=1)] = 5
    within: Duration = timedelta(days=30)


class ConsentRules(Settings):
    """Times that matter to wishes."""

    clock_tolerance: Duration = Field(
        default=timedelta(minutes=5), description="Two times of different clocks that are closer say nothing."
    )
    absence_grace: Duration = Field(
        default=timedelta(hours=1), description="Between the two complete scans that prove a deletion."
    )
    soft_bounces: SoftBounces = SoftBounces()
    inactive_after: Duration = Field(
        default=timedelta(days=180), description="Without any sign of life for so long an address is inactive."
    )


class Limit(Settings):
    """Trips above ``max``, and then above ``percent`` of the known records or above ``cap``."""

    max: Count
    percent: Annotated[float, Field(ge=0, le=100)]
    cap: Count

    @model_validator(mode="after")
    def _cap_is_the_outer_one(self) -> "Limit":
        if self.cap < self.max:
            raise ValueError("a cap that is not below max")
        return self


class Guard(Settings):
    """The volume at which a plan waits for a person."""

    opt_outs: Limit = Limit(max=50, percent=5, cap=1000)
    opt_ins: Limit = Limit(max=50, percent=5, cap=1000)
    creates: Limit = Limit(max=1000, percent=20, cap=20000)
    archives: Limit = Limit(max=50, percent=5, cap=1000)
    updates: Limit = Limit(max=500, percent=50, cap=100000)

    @field_validator("*", mode="before")
    @classmethod
    def _rest_is_standard(cls, value: object, info: Any) -> object:
        if not isinstance(value, Mapping):
            return value
        standard: Limit = cls.model_fields[info.field_name].default
        return {**standard.model_dump(), **value}


class Web(Settings):
    """What the daemon serves."""

    listen: str = Field(default="127.0.0.1:8080", description="Address and port.")
    public_url: str | None = Field(default=None, description="Of pages to come; without effect so far.")
    tokens: tuple[Annotated[SecretStr, Field(min_length=1)], ...] = Field(
        default=(), description="Of an API to come; without effect so far."
    )

    @field_validator("listen")
    @classmethod
    def _is_host_and_port(cls, value: str) -> str:
        parts = _split(f"//{value}")
        if parts is None or not parts.hostname or parts.port is None or parts.path:
            raise ValueError("an address and a port, such as 127.0.0.1:8080")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_encrypted(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = _split(value)
        if parts is None or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("an address such as https://optsync.example.com")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ValueError("an https:// address (http:// only for loopback)")
        return value.rstrip("/")


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        return None
    return parts


class Log(Settings):
    """What is said on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: for people on a terminal, JSON elsewhere."
    )
