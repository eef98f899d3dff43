"""The words of the page about performance; its figures come from results."""

INTRODUCTION = """# Performance

Written by `python -m benchmarks report` from what `python -m benchmarks all --json` printed; do not edit it by hand.
What it measures against are imitations of the vendors that keep their documented limits, page sizes and batch sizes.
The vendors' limits and run time go by on a clock that takes no time and is shared with the engine: what a vendor would
make it wait is counted and not waited for. The people are made up: one in five is on one side only, some share an
address, some have several, some left.

"""

ABOUT = {
    "calls": """\
Counted in one process that lives through all phases, as a daemon does. *Least* is what the documented page and batch
sizes allow any program at all: everything about a record in one write, nothing looked at twice. *By the rules* is what
a program cannot do without that keeps what is promised: what restricts goes alone and fields apart from wishes, what
permits something is preceded by a look, writes are read back where the vendor just says "done", complaints are
listed, fields are described once, news are asked for after each minute of writing
([benchmarks/least.py](../benchmarks/least.py) counts them by what they are for).
*limits s*: what the vendors' limits would have made it wait.""",
    "engine": """\
Of the engine's process alone; the vendors live in another one, behind HTTP. *no change* and *full compare* are one
cycle. *decide and journal* reads changed fields, decides and journals them, and is rolled back. *vendors s*: what
limits and the vendors' own run time would make any program wait, and *times CPU* how many times the engine's time that
is. An e-mail platform's run time is documented nowhere and assumed as 0.2 s an answer and 0.8 ms a member; a CRM's is
taken as 0.01 s a page and 0.03 s a write, which a small portal needs.

What the time goes into was found by looking at the stack every 5 ms of it. *SQL* is the database with its commits,
*ledger* the making and sealing of statements, *state* what is packed and unpacked around it, *rules* what decides. A
first sync writes some fourteen rows for a person (both records, who holds which address, the statements and their
chain, what follows from them, the change with its reason) and reads most of them back in a later transaction, since a
crash may come between any two: what it takes beyond a full compare is the price of that, and not of the vendors'
answers. Just putting these rows into an empty state, with nothing made or looked up, takes three quarters or more of
the 30 µs a record that were aimed at, and reading the vendors' answers half or more: with a state that explains itself,
the aim is out of reach for one process, whatever the rules cost.

A change costs 0.6 to 1.1 ms from the decision to the receipt, half of it in the database or more: its plan, the intent
that is committed before the call, the outcome, and what both sides agree on since are transactions of their own. A
hundredth of a million people on each side is some 23,000 changes, which is why that takes more than the three seconds
aimed at. The vendors' limits and run time make any program wait for them some twenty times as long (*times CPU*; four
times where changes are only decided): the engine adds about a twentieth to that.""",
    "memory": "The peak of a process that does this phase and nothing else; *at rest* is before it begins.",
    "disk": """\
The state database with its write-ahead log written back: observations of both sides, the ledger with its chain, and
the journal of every change of the first sync. A person may be on both sides or on one.""",
    "growth": """\
The same course with ever more people. *changes* were journaled, *applied* arrived: what a portal's run time puts off
waits as it was decided. Two parts of a first sync grow by more than the people: commits, since addresses and digests
fall on the pages of their indexes at random, and the second decision about what waits for longer than a turn of a
minute.""",
    "others": """\
Reading: every tool by its own bulk method, asked for the same fields in pages of the same size, one after another
against the same vendors without limits. None of the others keeps two systems in agreement or knows a list scope; ours
also reads who is archived, who belongs to the list scope and who complained, and makes typed records of the answers.
`read_rows` is what the engine calls: it makes records only of rows that have changed since.
Writing: opt-outs by our connectors, which read back what they wrote, and by one call each; *vendors s* is what limits
and run time would make it wait. A ratio is that tool's by ours for one record: above 1 it takes more.""",
    "postgresql": """\
The course with PostgreSQL as the state, by its ratio to SQLite. Processor time is that of optsync's process only, not
the server's.""",
    "budget": """\
A portal that needs 0.4 s of run time for an update and grants 480 s in ten minutes. Everybody was changed in a field
that it must be told; then people leave. Seconds are virtual and count from the moment when they left; a cycle begins
five minutes after the last one has ended.""",
}
