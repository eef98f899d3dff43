"""May this address be mailed? The suppression check, over what the ledger knows, without a network."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from optsync.config.schema import Config
from optsync.errors import ConfigError
from optsync.model.scope import EVERYTHING, Basis, Kind, Purpose, contains, purpose_of
from optsync.model.statement import Statement, Strength
from optsync.reconcile.consent import (
    Deliverability,
    Permission,
    Standing,
    deliverability,
    may_mail,
    standing,
)
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.engine import Engine
from optsync.sync.out_of_sight import is_unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What all statements about one address mean for one scope."""

    standing: Standing
    mailbox: Deliverability
    permission: Permission


class Permissions:
    """Answers by the rules of one configuration."""

    def __init__(self, config: Config, mapped_topics: Collection[str], sources: Collection[SourceBinding] = ()) -> None:
        """``mapped_topics``: scopes of the topics that some side of a sync shows. ``sources``: what the syncs read."""
        self._config = config
        self._sources = sources
        self._purposes = {purpose.scope: purpose for purpose in config.purposes}
        self._mapped = frozenset(mapped_topics)

    @property
    def scopes(self) -> tuple[str, ...]:
        """Every configured purpose and topic: what a mail can be about."""
        found: list[str] = []
        for purpose in self._purposes.values():
            found.append(purpose.scope)
            found.extend(f"{purpose.scope}/{topic}" for topic in purpose.topics)
        return tuple(dict.fromkeys((*found, *(sync.scope for sync in self._config.syncs.values()))))

    @property
    def wish_scopes(self) -> tuple[str, ...]:
        """What a wish can be about: everything, a brand, a commercial purpose, a topic."""
        brands = dict.fromkeys(scope.partition("/")[0] for scope in self.scopes)
        open_to_wishes = (s for s in self.scopes if self.purpose(s).kind is not Kind.TRANSACTIONAL)
        return (EVERYTHING, *brands, *open_to_wishes)

    def is_open(self, scope: str) -> bool:
        """Whether whoever said nothing may be mailed about a commercial scope."""
        purpose = self.purpose(scope)
        return purpose.kind is not Kind.TRANSACTIONAL and purpose.basis is Basis.LEGITIMATE_INTEREST

    def require_mail_scope(self, scope: str) -> None:
        """Refuses what no mail can be about.

        Raises:
            ConfigError: no mail can be about that scope; the message lists those that are known.
        """
        if scope not in self.scopes:
            raise ConfigError(f"--scope: no purpose or topic {scope!r} is configured; known: {', '.join(self.scopes)}")

    def require_wish_scope(self, scope: str) -> None:
        """Refuses what no wish can be about.

        Raises:
            ConfigError: no wish can be about that scope, transactional ones included.
        """
        if scope in self.wish_scopes:
            return
        known = f"known: {', '.join(self.wish_scopes)}"
        if scope in self.scopes:
            raise ConfigError(f"--scope: {scope} is transactional, nobody can be opted out of it or into it; {known}")
        raise ConfigError(f"--scope: no scope {scope!r} is configured; {known}")

    def purpose(self, scope: str) -> Purpose:
        """As :meth:`Config.purpose`."""
        return self._purposes[purpose_of(scope) or scope]

    def standing(self, said: Sequence[Statement], scope: str) -> Standing:
        """The standing of a scope or of what lies above all purposes; a mapped topic under basis consent needs a
        grant of its own."""
        is_own = scope in self._mapped and self.purpose(scope).basis is Basis.CONSENT
        tolerance = self._config.consent.clock_tolerance
        return standing(said, scope, tolerance=tolerance, needs_own_grant=is_own)

    def mailbox(self, said: Sequence[Statement], *, now: datetime) -> Deliverability:
        """Whether mail arrives, by the configured rule for temporary failures."""
        rules = self._config.consent.soft_bounces
        return deliverability(said, now=now, soft_limit=rules.limit, soft_within=rules.within)

    def unread(self, unit: Unit, scope: str) -> str | None:
        """A collection that holds wishes about the scope and was never read to its end, or not with the flags by which
        one of the syncs knows them; None if all were."""
        if self.purpose(scope).kind is Kind.TRANSACTIONAL:
            return None
        for binding in self._sources:
            abouts = {sync: binding.scopes[sync] for sync in binding.syncs}
            syncs = [sync for sync, about in abouts.items() if contains(about, scope) or contains(scope, about)]
            source = unit.sources.find(binding.system, binding.collection) if syncs else None
            if syncs and (source is None or source.read_at is None or any(is_unseen(unit, sync) for sync in syncs)):
                return f"{binding.system} {binding.collection}"
        return None

    def verdict(self, said: Sequence[Statement], scope: str, *, now: datetime, unread: str | None = None) -> Verdict:
        """``said``: all statements about one address. ``scope``: one of ``scopes``. ``unread``: as :meth:`unread` says;
        there may be a no in it, which nothing but an administrator's opt-in is sure to lift."""
        mailbox = self.mailbox(said, now=now)
        wish = self.standing(said, scope)
        permission = may_mail(wish.wish, mailbox, self.purpose(scope))
        is_sure = wish.decided_by is not None and wish.decided_by.strength is Strength.ADMINISTRATOR
        if permission.may_send and unread is not None and not is_sure:
            permission = Permission(False, f"not known yet: {unread} was never read to its end")
        return Verdict(standing=wish, mailbox=mailbox, permission=permission)

    def verdicts(self, unit: Unit, addresses: Collection[str], scope: str, *, now: datetime) -> Mapping[str, Verdict]:
        """By normalised address; what was never heard of gets its verdict too."""
        known = unit.points.find(addresses)
        about = unit.ledger.about(known.values())
        unread = self.unread(unit, scope)
        return {
            address: self.verdict(about[known[address]] if address in known else (), scope, now=now, unread=unread)
            for address in addresses
        }


def permissions(engine: Engine) -> Permissions:
    """By the configuration of that engine."""
    policies = engine.bound.policies.values()
    mapped = {scope for p in policies for scope, _ in (*p.crm.topics, *p.esp.topics)}
    return Permissions(engine.config, mapped, tuple(engine.bound.sources.values()))
