"""The rules that scenarios show, by the name that ``@pytest.mark.rule(NAME)`` gives them."""

RULES: dict[str, str] = {
    "no opt-out is lost": "Once observed, an out is in the ledger before anything else happens, and it reaches every "
    "connected system that knows the address.",
    "nobody is opted in by accident": "'Subscribed' is written over an existing status only for a grant that beats "
    "every out. Unknown is not consent.",
    "fields never carry status": "Attributes and status travel apart; only the creation of a record carries both.",
    "order does not matter": "The standing follows from the set of statements, in whatever order they arrive.",
    "scopes don't leak": "A topic leaves its purpose open, a brand never touches another, no wish blocks "
    "transactional mail.",
    "one outcome for each record": "Every record read is counted once: changed, same, skipped with a reason, or "
    "quarantined.",
    "every write is explained": "Before, after, rule, causing statements and run are in the journal; fields, tags and "
    "archives can be undone.",
    "suspicious volume stops": "A plan above its limits, or of a changed meaning, waits for a person before the first "
    "write.",
    "nothing to do, nothing written": "Without a change outside the next cycle writes nothing, and after faults all "
    "sides agree within two cycles.",
    "restrictive wins": "A side that comes to show 'in' while the person is out is put back.",
    "asked once": "A confirmation is asked for once for each address and scope, or once for each grant, ever.",
    "a refusal is a fact": "What a vendor refuses is recorded, shown and not tried again.",
    "bounces are not wishes": "An undeliverable address is marked, never opted out, and a corrected one is clean.",
    "restrictions follow the person": "Addresses that are changed, swapped, merged, deleted or brought back keep "
    "their restrictions; grants follow only with evidence.",
    "absence is no wish": "A record that is not there any more says nothing; a source that shrinks is not believed.",
    "fields merge three ways": "What one side changed since both agreed is copied; conflicts follow the policy.",
    "list scope limits no restriction": "Who belongs to the list decides on entering and on fields, never on outs.",
    "one bad record stands alone": "A record or field that cannot be used is set aside with the vendor's words, and "
    "comes back by itself when it is repaired.",
    "retraction spares the person": "Administrative statements can be voided; what people said themselves never is.",
    "the ledger proves itself": "Statements are only added, and any edit, deletion or insertion is found.",
    "forgotten stays out": "Erasure leaves no clear text, and a keyed hash keeps the outs.",
    "custom handling blocks nothing": "What an organisation adds to an opt-out never delays the opt-out itself.",
}
