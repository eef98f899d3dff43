"""Tags of contacts. Names are compared without case; a tag is a static segment with the same id."""

from collections.abc import Iterable

from optsync_mailchimp.mocking.account import Account
from optsync_mailchimp.mocking.store import Audience, Member, Tag


def find_tag(audience: Audience, name: str) -> Tag | None:
    folded = name.casefold()
    return next((tag for tag in audience.tags.values() if tag.name.casefold() == folded), None)


def tag_named(account: Account, audience: Audience, name: str) -> Tag:
    """Made when there is none; the first spelling stays."""
    tag = find_tag(audience, name)
    if tag is None:
        now = account.now()
        tag = Tag(id=account.number(), name=name, created_at=now, updated_at=now)
        audience.tags[tag.id] = tag
    return tag


def put_on(tag: Tag, member: Member, now: int) -> None:
    """Inside ``Audience.edit``."""
    member.tags.setdefault(tag.id, now)
    tag.holders.add(member.contact_id)
    tag.updated_at = now


def take_off(tag: Tag, member: Member, now: int) -> None:
    """Inside ``Audience.edit``."""
    member.tags.pop(tag.id, None)
    tag.holders.discard(member.contact_id)
    tag.updated_at = now


def put_on_named(account: Account, audience: Audience, member: Member, names: Iterable[str], *, exactly: bool) -> None:
    """Adds tags by name; ``exactly`` takes off all others. Inside ``Audience.edit``."""
    now = account.now()
    wanted = [tag_named(account, audience, name) for name in names]
    for tag in wanted:
        if tag.id not in member.tags:
            put_on(tag, member, now)
    if exactly:
        kept = {tag.id for tag in wanted}
        for tag_id in [key for key in member.tags if key not in kept]:
            take_off(audience.tags[tag_id], member, now)
