"""Statements as sentences, for whoever asks why somebody gets no mail."""

from collections.abc import Mapping
from typing import Any

from optsync.cli.moments import written

_VERBS = {
    "out": "opted out",
    "complaint": "reported a mail as spam",
    "grant": "opted in",
    "request": "was asked to confirm",
    "request_expired": "had a request to confirm end without an answer",
    "hard_bounce": "could not be reached for good (hard bounce)",
    "soft_bounce": "could not be reached for the moment (soft bounce)",
    "delivered": "was reached",
    "retract": "had a statement retracted",
}
_BY = {
    "link": "by a link in a mail",
    "list_unsubscribe": "by the unsubscribe button of the mail program",
    "preference_center": "in the preference centre",
    "admin": "by an administrator",
    "api": "by a program",
    "crm": "by a value in the CRM",
    "esp": "by the e-mail platform",
    "form": "by a form",
    "spam_complaint": "by a spam complaint",
    "bounce": "by a bounce",
    "import": "by an import",
    "legacy": "as a subscriber from before optsync",
}
_SAID_OTHERWISE = ("actor", "evidence", "collection", "change", "fact", "not_sent")


def sentence(said: Mapping[str, Any]) -> str:
    """One statement (in the form of ``explain --json``): what, when, by whom, where, why, and what proves it."""
    what = _VERBS.get(said["kind"], said["kind"])
    text = f"{what} {_when(said)} {_who(said)}{_where(said)}, seen {written(said['seen_at'], beside=said['at'])}"
    if said["reason"]:
        text += f", reason: {said['reason']}"
    proof = said["evidence"]
    if proof.get("evidence"):
        text += f", evidence: {proof['evidence']}"
    rest = ", ".join(f"{name}: {value}" for name, value in sorted(proof.items()) if name not in _SAID_OTHERWISE)
    return f"{text} [{rest}]" if rest else text


def _when(said: Mapping[str, Any]) -> str:
    return f"on {written(said['at'])}"


def _who(said: Mapping[str, Any]) -> str:
    actor, source = said["evidence"].get("actor"), str(said["source"])
    if actor:
        return f"by {actor} ({source})"
    way = _BY.get(source, source)
    if not said["is_personal"]:
        return way
    return "by the person" if source in ("esp", "crm") else f"by the person, {way}"


def _where(said: Mapping[str, Any]) -> str:
    if not said["system"]:
        return ""
    return f" at {said['system']}" + (f" (record {said['record']})" if said["record"] else "")
