"""The rules by which changes are decided, each with the sentence that people read."""

from enum import StrEnum


class Rule(StrEnum):
    """Named in the plan, the journal, issues, logs and ``explain``."""

    OUT_TRAVELS = "out_travels"
    RESTRICTIVE_WINS = "restrictive_wins"
    GRANT_TRAVELS = "grant_travels"
    GRANT_LIFTS_OUT = "grant_lifts_out"
    TOPIC_OUT_TRAVELS = "topic_out_travels"
    TOPIC_TRAVELS = "topic_travels"
    TOPICS_DISAGREE = "topics_disagree"
    BOUNCE_MARKED = "bounce_marked"
    BOUNCE_CLEARED = "bounce_cleared"
    PROOF_COPIED = "proof_copied"
    REASON_NOTED = "reason_noted"
    ONE_SIDE_CHANGED = "one_side_changed"
    FIRST_FILL = "first_fill"
    CONFLICT_CRM = "conflict_crm"
    CONFLICT_ESP = "conflict_esp"
    CONFLICT_NON_EMPTY = "conflict_non_empty"
    ENTERED_LIST = "entered_list"
    ASKED_ONCE = "asked_once"
    ASKED_FOR_GRANT = "asked_for_grant"
    LEFT_LIST = "left_list"
    RETURNED_TO_LIST = "returned_to_list"
    INACTIVE = "inactive"
    SIGN_OF_LIFE = "sign_of_life"
    ESP_ONLY = "esp_only"
    PUT_BACK = "put_back"
    UNDONE = "undone"
    HANDLED_OPT_OUT = "handled_opt_out"
    HANDLED_OPT_IN = "handled_opt_in"
    ADDRESS_CHANGED = "address_changed"
    ADDRESS_LEFT = "address_left"


DISAGREED = "the two sides disagreed when first seen"
"""The reason of the statement by which a topic is off because one side had it and the other had not."""

TEXTS: dict[Rule, str] = {
    Rule.OUT_TRAVELS: "an opt-out reaches every system that knows the address",
    Rule.RESTRICTIVE_WINS: "this side came to show 'in' without evidence while the person is out: put back",
    Rule.GRANT_TRAVELS: "an opt-in with evidence reaches the other side",
    Rule.GRANT_LIFTS_OUT: "a later opt-in with evidence lifts the opt-out",
    Rule.TOPIC_OUT_TRAVELS: "a topic that was switched off is switched off everywhere",
    Rule.TOPIC_TRAVELS: "a topic that was chosen is switched on where the person is subscribed",
    Rule.TOPICS_DISAGREE: f"{DISAGREED}: the topic is off",
    Rule.BOUNCE_MARKED: "the address bounced and is marked undeliverable",
    Rule.BOUNCE_CLEARED: "the address is deliverable again",
    Rule.PROOF_COPIED: "the proof of a consent is noted where it was missing or older",
    Rule.REASON_NOTED: "the reason of an opt-out is noted",
    Rule.ONE_SIDE_CHANGED: "one side changed since both last agreed: its value is copied",
    Rule.FIRST_FILL: "both sides were joined and one was empty: it is filled",
    Rule.CONFLICT_CRM: "both sides changed and differ: the CRM's value wins",
    Rule.CONFLICT_ESP: "both sides changed and differ: the e-mail platform's value wins",
    Rule.CONFLICT_NON_EMPTY: "both sides changed and differ: the filled value wins",
    Rule.ENTERED_LIST: "belongs to the list and may be mailed: added to the audience",
    Rule.ASKED_ONCE: "belongs to the list without a known consent: asked once for it",
    Rule.ASKED_FOR_GRANT: "the person left there by themself and opted in elsewhere: asked once to confirm it there",
    Rule.LEFT_LIST: "no longer belongs to the list",
    Rule.RETURNED_TO_LIST: "belongs to the list again, with the standing unchanged: what optsync did is taken back",
    Rule.INACTIVE: "was mailed and gave no sign of life for longer than the policy allows",
    Rule.SIGN_OF_LIFE: "gave a sign of life or opted in anew: what was done for inactivity is taken back",
    Rule.PUT_BACK: "an administrator retracted the opt-out: what was shown before it is shown again",
    Rule.ADDRESS_CHANGED: "the person's address changed on the other side: the record is given the new one",
    Rule.ADDRESS_LEFT: "the person has another address and nobody holds this one: taken off the list",
    Rule.ESP_ONLY: "known to the e-mail platform only: created in the CRM",
    Rule.HANDLED_OPT_OUT: "what this organisation sets when somebody opts out",
    Rule.HANDLED_OPT_IN: "what this organisation sets when somebody opts in",
    Rule.UNDONE: "an earlier run is taken back, where nobody has touched it since",
}
