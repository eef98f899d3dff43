"""What is mailed, and what recipients and their mail servers do with it."""

from collections.abc import Callable
from typing import Any

from optsync_mailchimp.mocking.account import Account
from optsync_mailchimp.mocking.envelope import Json, show_time
from optsync_mailchimp.mocking.status import move, record
from optsync_mailchimp.mocking.store import Audience, Campaign, Member, Template

_FOOTER = '<p><a href="*|UNSUB|*">Unsubscribe</a></p>'


class Mailer:
    """The actions on one audience's mailings. ``campaign`` is an id; empty for the newest one that was sent."""

    def __init__(self, account: Account, audience: Audience) -> None:
        self._account = account
        self._audience = audience
        self.actions: dict[str, Callable[..., Any]] = {
            "send_campaign": self.send_campaign,
            "draft_campaign": self.draft_campaign,
            "make_template": self.make_template,
            "open": self.open,
            "click": self.click,
            "soft_bounce": self.soft_bounce,
            "hard_bounce": self.hard_bounce,
        }

    def send_campaign(self, subject: str = "News") -> str:
        """To everybody who is subscribed; gives the id."""
        campaign = self._account.campaigns[self.draft_campaign(subject)]
        campaign.status, campaign.send_time = "sent", self._account.now()
        subscribed = (m for m in self._audience.members.values() if m.status == "subscribed")
        campaign.recipients = {m.contact_id: (m.id, m.email) for m in subscribed}
        return campaign.id

    def draft_campaign(
        self, title: str, html: str = _FOOTER, plain_text: str = "", kind: str = "regular", status: str = "save"
    ) -> str:
        """In the web interface; gives the id."""
        campaign = Campaign(
            id=self._account.short_id(),
            web_id=self._account.number(),
            list_id=self._audience.id,
            title=title,
            subject=title,
            created_at=self._account.now(),
            type=kind,
            status=status,
            html=html,
            plain_text=plain_text,
        )
        self._account.campaigns[campaign.id] = campaign
        return campaign.id

    def make_template(self, name: str, sections: dict[str, str], kind: str = "user", is_active: bool = True) -> int:
        """In the web interface; gives the id."""
        template = Template(
            id=self._account.number(),
            name=name,
            created_at=self._account.now(),
            sections=dict(sections),
            type=kind,
            is_active=is_active,
        )
        self._account.templates[template.id] = template
        return template.id

    def open(self, email: str, campaign: str = "") -> None:
        """The recipient opens the mail."""
        self._note(email, campaign, {"action": "open", "ip": "203.0.113.7"})

    def click(self, email: str, campaign: str = "", url: str = "https://example.com/") -> None:
        self._note(email, campaign, {"action": "click", "url": url, "ip": "203.0.113.7"})

    def soft_bounce(self, email: str, campaign: str = "") -> None:
        """The mailbox is full, say; the status stays."""
        self._note(email, campaign, {"action": "bounce", "type": "soft"})

    def hard_bounce(self, email: str, campaign: str = "") -> None:
        """The mailbox does not exist: the contact is cleaned."""
        member = self._note(email, campaign, {"action": "bounce", "type": "hard"})
        with self._audience.edit(member, self._account.now()):
            move(self._audience, member, "cleaned", self._account.now())

    def _note(self, email: str, campaign_id: str, item: Json) -> Member:
        member, now = self._audience.find(email.strip()), self._account.now()
        if member is None:
            raise KeyError(f"no contact with the address {email}")
        campaign = self._campaign(campaign_id)
        if member.contact_id not in campaign.recipients:
            raise KeyError(f"{email} was not sent the campaign {campaign.id}")
        noted = item | {"timestamp": show_time(now)}
        campaign.activity.setdefault(member.contact_id, []).append(noted)
        named = {"campaign_id": campaign.id, "campaign_title": campaign.title}
        record(self._audience, member, item["action"], now, named, type=item.get("type", ""))
        return member

    def _campaign(self, campaign_id: str) -> Campaign:
        if campaign_id:
            return self._account.campaigns[campaign_id]
        sent = [c for c in self._account.campaigns.values() if c.list_id == self._audience.id and c.status == "sent"]
        if not sent:
            raise KeyError("no campaign was sent")
        return max(reversed(sent), key=lambda c: c.send_time or 0)
