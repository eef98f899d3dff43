"""What the contract says, which cases show it, and what to do when one fails."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Clause:
    """``says``: the contract; ``advice``: where to look when a case fails; ``cases``: without ``test_``."""

    name: str
    says: str
    advice: str
    cases: tuple[str, ...]


CLAUSES = (
    Clause(
        "shape",
        "A connector has settings for its system and its sides, the verbs of the contract, and does nothing when made.",
        "Compare the class with optsync.connect.contract.Connector; move all input and output out of __init__.",
        (
            "it_is_a_connector_with_settings_of_its_sides",
            "its_verbs_take_what_the_contract_says",
            "making_one_does_no_input_or_output",
            "closing_twice_is_no_mistake",
            "every_request_is_counted_with_its_retries",
        ),
    ),
    Clause(
        "honest capabilities",
        "What is declared works; what is not declared is refused in words and changes nothing.",
        "Correct Capabilities, or the verb. An undeclared write is REFUSED with NOT_ALLOWED and a message.",
        (
            "its_capabilities_agree_with_each_other_and_with_its_powers",
            "the_test_file_shows_everything_that_is_declared",
            "a_power_that_is_not_offered_is_refused_by_write",
            "a_status_that_is_not_declared_is_refused",
            "topics_of_a_system_without_topics_are_refused",
            "whoever_left_is_brought_back_only_where_that_is_declared",
            "an_id_stays_or_is_the_address_as_declared",
            "no_value_clears_a_field",
            "names_that_cannot_be_written_are_refused_as_values",
        ),
    ),
    Clause(
        "check and describe",
        "check says who we are and names everything configured that is missing or of a wrong kind; describe shows what "
        "can be mapped.",
        "One Problem of severity ERROR for each thing missing, with its name; none for what is there.",
        (
            "check_is_content_with_what_is_there",
            "check_names_what_is_missing",
            "check_refuses_a_flag_that_is_no_yes_or_no",
            "describe_shows_what_the_configuration_may_use",
        ),
    ),
    Clause(
        "credentials and secrets",
        "Refused credentials are CredentialsRefused; no secret reaches an error, a log or a repr.",
        "Raise CredentialsRefused from the judge; give HttpSession every secret, encoded forms included.",
        ("refused_credentials_are_told_from_other_failures", "no_secret_reaches_an_error_or_a_log"),
    ),
    Clause(
        "complete reads",
        "A full read shows everybody who was there from its start to its end, at least once, in bounded pages, and "
        "says whether it was complete.",
        "Page by a key that does not move (an id), not by number; when totals do not add up say is_complete=False; "
        "raise SystemUnavailable where the collection itself is not there.",
        (
            "an_empty_account_is_read_completely",
            "a_collection_that_is_not_there_is_no_empty_one",
            "a_full_read_shows_everybody_over_several_pages",
            "a_read_amid_life_loses_nobody_who_was_there_all_the_time",
            "a_read_amid_edits_alone_is_complete",
            "what_happens_during_a_read_is_shown_by_it_or_by_the_next",
            "half_an_answer_is_never_a_complete_read",
            "who_was_deleted_is_in_no_complete_read_and_no_scan",
            "who_left_is_out_or_gone_as_the_connector_declares",
        ),
    ),
    Clause(
        "cursors",
        "Every cursor can be resumed, by another process too; an unusable one starts a full read.",
        "Put everything that a read needs to go on into the cursor; treat what cannot be parsed as None.",
        (
            "a_read_goes_on_from_every_cursor_with_another_connector",
            "the_same_cursor_twice_shows_the_same",
            "an_unusable_cursor_starts_a_full_read",
            "a_read_that_broke_off_goes_on_where_it_was",
        ),
    ),
    Clause(
        "deltas",
        "A delta shows every change since its cursor, whatever our clock says; what it can miss is declared.",
        "Begin where the vendor's clock was at the read before, minus an overlap of more than its resolution. Where "
        "this machine's clock is the only one, the offset is 0.0 once something was read.",
        (
            "a_delta_shows_every_kind_of_change",
            "without_a_delta_a_change_makes_the_next_read_a_full_one",
            "a_delta_without_news_shows_nothing_new",
            "deltas_follow_on_each_other_and_outlive_a_connector",
            "what_comes_back_to_what_it_was_is_shown_too",
            "a_long_delta_goes_on_from_every_cursor",
            "what_happens_during_a_delta_is_shown_by_it_or_by_the_next",
            "a_wrong_clock_of_ours_hides_no_change",
            "the_offset_of_its_clock_is_measured_or_unknown",
            "without_requests_the_clock_is_known_once_something_was_read",
            "two_changes_in_one_instant_around_a_read_are_both_shown",
        ),
    ),
    Clause(
        "records",
        "A record shows exactly what was asked for, in neutral words; a word that is in no mapping is unknown, and a "
        "row that cannot be used stops no other.",
        "Build Record.fields from spec.fields; map status words by a table and say is_word_known=False for others; "
        "make an unusable row a RowFault of its page; fill Record.lists and leave nobody out for it.",
        (
            "a_record_shows_exactly_what_was_asked_for",
            "every_status_is_shown_as_what_it_is",
            "whoever_left_is_not_shown_as_taken_off_by_others",
            "a_row_without_a_usable_address_stops_nothing",
            "a_list_scope_says_who_belongs_and_restricts_no_read",
            "every_pair_of_flags_is_written_and_read_as_it_is",
            "a_word_that_nobody_mapped_is_unknown_and_says_so",
            "hostile_names_and_addresses_arrive_as_they_are",
            "people_who_share_an_address_and_people_without_one_are_records_of_their_own",
        ),
    ),
    Clause(
        "single records",
        "read_ids shows records as they are now, from the system's own store; who is not there is left out.",
        "Do not search: look up by id. Leave out what is gone; raise when the collection itself is gone.",
        (
            "single_records_are_shown_as_by_a_full_read",
            "single_records_that_are_not_there_are_left_out",
            "what_is_written_is_read_at_once",
        ),
    ),
    Clause(
        "one outcome per write",
        "write gives one outcome per write, in order; one bad write stops only itself; what restricts goes first.",
        "Settle each write on its own; send restrictive ones before all others; return them by the order of the keys.",
        (
            "no_writes_cost_nothing",
            "kinds_may_be_mixed_and_outcomes_keep_the_order",
            "several_writes_of_one_record_in_a_call_all_count",
            "more_writes_than_a_call_takes_are_all_settled",
            "what_restricts_is_sent_before_everything_else",
            "one_bad_write_in_any_place_stops_only_itself",
            "an_unknown_field_among_known_ones_is_named",
            "addresses_that_the_vendor_does_not_take_are_refused_alone",
        ),
    ),
    Clause(
        "wishes",
        "An opt-out is written whatever happens meanwhile; the same wish again changes nothing; a request waits for "
        "the person.",
        "Set a state rather than toggle one; address a record by its id, which outlives its address.",
        (
            "an_opt_out_is_written_and_seen",
            "an_opt_in_of_somebody_unsubscribed_by_an_administrator_is_written_and_seen",
            "many_opt_outs_in_one_call_all_end_out",
            "many_opt_ins_in_one_call_all_end_in",
            "the_same_wish_again_changes_nothing",
            "an_opt_out_holds_against_another_program_that_opts_in_meanwhile",
            "an_opt_out_of_somebody_whose_address_changed_reaches_the_person",
            "a_request_waits_until_the_person_confirms",
            "what_leaves_and_is_written_again_keeps_its_name",
        ),
    ),
    Clause(
        "fields carry no status",
        "A FIELDS or TOPICS write never changes a status, and never brings anybody back.",
        "Use another call for fields than for the status; leave the status out of its body, or fail when gone.",
        (
            "fields_and_topics_never_change_a_status",
            "a_status_that_rides_on_fields_or_topics_is_not_carried",
            "a_field_of_somebody_who_left_meanwhile_brings_nobody_back",
            "a_write_to_a_deleted_record_revives_nobody",
        ),
    ),
    Clause(
        "fields and topics",
        "Values go there and come back, one by one; hostile ones arrive or are refused as values.",
        "Encode by the protocol's own means, never by joining strings; name the field of what is refused.",
        (
            "a_field_is_written_seen_and_nothing_else_changes",
            "a_wish_and_a_field_of_one_record_in_one_call_are_each_done_and_told",
            "topics_are_ticked_and_unticked_one_by_one",
            "the_same_fields_and_topics_again_change_nothing",
            "a_hostile_text_arrives_or_is_refused_as_a_value",
            "people_with_hostile_addresses_are_made_and_changed_like_others",
        ),
    ),
    Clause(
        "creates",
        "A CREATE makes what was asked for and never changes a record that exists.",
        "Use the vendor's create-only call; its conflict is REFUSED with EXISTS. Never fall back to an update.",
        (
            "a_new_record_has_what_it_was_made_with",
            "a_new_record_has_the_topics_it_was_made_with",
            "a_new_record_that_is_to_be_out_is_never_in",
            "a_create_never_changes_a_record_that_exists",
            "two_creates_of_one_address_make_one_record",
        ),
    ),
    Clause(
        "refusals are facts",
        "What the vendor refuses because of the person is REFUSED with its fact, and changes nothing.",
        "Read the vendor's error, not only the status; map it by a table; declare the fact in Capabilities.refuses.",
        ("a_refused_opt_in_is_told_by_its_fact_and_changes_nothing",),
    ),
    Clause(
        "lost answers",
        "APPLIED and SAME mean that it is so, FAILED that it is not; a lost answer is UNKNOWN. Restrictive writes and "
        "fields are repeated, permissive writes and creates are not.",
        "Send permissive writes and creates as Effect.ONCE, the others as Effect.REPEATABLE; map OutcomeUnknown.",
        (
            "an_opt_out_is_repeated_after_a_lost_answer",
            "a_field_is_repeated_after_a_lost_answer",
            "a_permissive_write_is_not_sent_over_an_opt_out_that_came_meanwhile",
            "a_tick_is_not_sent_over_an_untick_that_came_meanwhile",
            "a_lost_create_makes_one_record_and_is_never_called_failed",
            "what_was_done_is_never_called_failed_when_the_system_goes_down_after_it",
            "outcomes_are_true_when_the_system_fails_for_good",
            "one_loss_at_any_request_spoils_nothing_for_good",
            "many_creates_with_a_lost_answer_are_each_told_truly",
            "many_opt_outs_with_a_lost_answer_all_end_out",
            "every_writing_call_tells_the_truth_in_lasting_trouble",
            "every_writing_call_tells_the_truth_in_passing_trouble",
            "every_writing_call_tells_the_truth_where_an_answer_says_nothing",
        ),
    ),
    Clause(
        "patience",
        "Passing trouble is waited out as the vendor asks; lasting trouble is a typed failure; limits are respected.",
        "Use HttpSession with the vendor's Pace; raise TryAgain from the judge for what passes, and SystemUnavailable "
        "for an answer without what was asked for.",
        (
            "passing_trouble_is_waited_out",
            "lasting_trouble_ends_a_read_with_a_typed_error",
            "every_reading_call_answers_lasting_trouble_with_a_typed_failure",
            "every_reading_call_waits_passing_trouble_out",
            "its_own_pace_stays_below_the_limit",
        ),
    ),
    Clause(
        "dry runs and leases",
        "A read-only connector reads everything and writes nothing; Context.before_write is asked before every write, "
        "and what it raises stops that and comes out.",
        "Mark each request with its Effect; a reading that needs a POST is Effect.READ. Without HttpSession look at "
        "Context.is_read_only and call Context.before_write yourself, before each attempt.",
        (
            "a_read_only_connector_reads_everything_and_writes_nothing",
            "whoever_may_not_write_any_more_sends_nothing",
        ),
    ),
    Clause(
        "echo",
        "Our own write is seen again as its outcome showed it.",
        "Build the outcome's record by the same function as a reading, from the vendor's answer, not from the write.",
        ("our_own_write_is_seen_again_as_its_outcome_showed_it",),
    ),
    Clause(
        "powers",
        "An optional power does what it says, twice as well as once, and touches no wish.",
        "Look at the docstring of the protocol in optsync.connect.contract.",
        (
            "a_rename_keeps_the_person_and_the_status",
            "a_rename_to_the_address_of_somebody_else_harms_neither",
            "archiving_takes_off_the_list_and_deletes_nothing",
            "a_tag_changes_no_status",
            "a_power_used_again_changes_nothing",
            "the_forgotten_are_gone_for_every_verb",
            "a_scan_shows_every_id_once_and_asks_for_no_change",
            "rows_left_unmade_are_those_of_a_full_read",
            "a_row_keeps_its_digest_until_its_record_is_another",
            "only_the_person_confirms_an_opt_in",
            "activity_ends_with_a_last_page_and_goes_on_from_its_cursors",
            "templates_name_the_tags_that_they_need_and_ask_for_no_change",
        ),
    ),
    Clause(
        "hidden opt-outs",
        "Who said no before a record came to hide it is told of, with the time and the author, and nobody else.",
        "Look into the vendor's history of the record. What cannot be read leaves the record out of the answer.",
        (
            "an_opt_out_that_nothing_shows_is_told_with_its_time_and_author",
            "only_an_opt_out_since_the_time_asked_about_is_told",
            "many_are_told_in_the_end_whichever_process_asks",
        ),
    ),
    Clause(
        "hands",
        "The hands of people (of a mock or a real account) do what they say; otherwise the kit would show nothing.",
        "Compare the mock with the actions named in optsync.connect.mock.VendorMock.",
        ("the_hands_of_people_do_what_they_say",),
    ),
)
_CLAUSE_OF = {f"test_{case}": clause for clause in CLAUSES for case in clause.cases}


def told(check: Callable[..., None]) -> Callable[..., None]:
    """The check, with a failure that says which clause broke and what to do."""
    clause = _CLAUSE_OF[check.__name__]

    @functools.wraps(check)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            check(*args, **kwargs)
        except Exception as failure:
            failure.add_note(f"The contract, {clause.name}: {clause.says}\nWhat to do: {clause.advice}")
            raise

    return run


def page() -> str:
    """All clauses with their cases, as a page."""
    lines = ["# What the conformance kit shows", "", "`python -m optsync.connect.conformance` prints this page.", ""]
    for clause in CLAUSES:
        lines += [f"## {clause.name.capitalize()}", "", clause.says, "", f"*When it fails:* {clause.advice}", ""]
        lines += [f"* {case.replace('_', ' ')}" for case in clause.cases]
        lines.append("")
    return "\n".join(lines)
