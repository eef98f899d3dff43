"""The words of the page about performance; its figures come from results."""

INTRODUCTION = """# Performance

Written by `python -m benchmarks report` from what the measurements printed with `--json`; do not edit it by hand.
What it measures against are imitations of the vendors that keep their documented limits, page sizes and batch sizes.
The vendors' limits and run time go by on a clock that takes no time and is shared with the engine: what a vendor would
make it wait is counted and not waited for. The people are made up: one in five is on one side only, some share an
address, some have several, some left.

"""

ABOUT = {
    "calls": """\
Counted in one process that lives through all phases, as a daemon does. *Least* is what the documented page and batch
sizes allow any program at all: everything about a record in one write, nothing looked at twice, and nothing read that
it wrote itself. It is computed with the methods that answer at once: at Bitrix24 `batch` with 50 commands, of which a
list shows 50 records and an update writes one; at Mailchimp `GET /lists/{id}/members` with 1,000 members and
`POST /lists/{id}` with 500. Counted in calls alone, two others need fewer still, and are left out. One call of
Mailchimp's `/batches` may carry any number of operations; they are carried out later, in no certain order, each by
itself, and its answers must be asked for and expire: an opt-out would wait in a queue, and nobody could say what came
before it. A command of Bitrix24's `crm.item.batchImport` makes up to 20 new contacts and changes none; the portal's
automation does not see what it makes, and the webhook needs the right to import. An account export takes minutes to
days.

*By the rules* is what a program cannot do without that keeps what is promised: what restricts goes alone and fields
apart from wishes, what permits something is preceded by a look, writes are read back where the vendor just says "done",
complaints are listed, fields are described once, news are asked for after each minute of writing and before a further
cycle writes ([benchmarks/least.py](../benchmarks/least.py)). The second table says what the calls above the least are
for: *kinds apart* are writing calls that carry one kind of change each, *of own writes* pages of news that show what
was just written, *not needed* those that the rules do not ask for either, such as a last cycle that finds nothing to
write. *limits s*: what the vendors' limits would have made it wait.""",
    "engine": """\
Of the engine's process alone; the vendors live in another one, behind HTTP. *read* counts a record each time that a
cycle reads it, *records* once; *µs each* is by these, or by changes where they are more. *no change* and *full compare*
are one cycle. *no change* stores that it ran and up to where it has read, and nothing about anybody. *decide and
journal* reads changed fields, decides and journals them, and is rolled back. *vendors s*: what limits and the vendors'
own run time would make any program wait, and *times CPU* how many times the engine's time that is. An e-mail platform's
run time is documented nowhere and assumed as 0.2 s an answer and 0.8 ms a member; a CRM's is taken as 0.01 s a page and
0.03 s a write, which a small portal needs.

What the time goes into was found by looking at the stack every 5 ms of it. *SQL* is the database with its commits,
*ledger* the making and sealing of statements, *state* what is packed and unpacked around it, *rules* what decides. To
see it by function: `py-spy record --subprocesses -o profile.svg -- python -m benchmarks engine`. What is promised is
30 µs a record and 22.5 µs a row, so that a million contacts on each side take a minute and three quarters of one, and
500 µs a change, so that 10,000 take five seconds.

A first sync stores both records, who holds which address, the statements and their chain, what follows from them, and
each change with its reason; it reads most of that back in a later transaction, since a crash may come between any two.
Just putting the same rows into an empty state, with nothing made or looked up, takes what the last table says; faster
rules would save nothing of that. A change's plan, the intent that is committed before the call, the outcome, and what
both sides agree on since are transactions of their own.""",
    "memory": "The peak of a process that does this phase and nothing else; *at rest* is before it begins.",
    "disk": """\
The state database with its write-ahead log written back: observations of both sides, the ledger with its chain, and
the journal of every change of the first sync. A contact pair is one record on each side; whoever is on one side only
counts as half of one, though an address, its statements and what follows from them take as much as for two.""",
    "growth": """\
The same course with ever more people. *changes* were journaled, *applied* arrived: what a portal's run time puts off
waits as it was decided. *CRM's run time*: *limited* as it is documented, or *any*, which lets a million people through
in one cycle; *vendors s* says what that would take there. Other tables say *any run time* beside the population. Two
parts of a first sync may grow by more than the people: commits, since addresses and digests fall on the pages of their
indexes at random, and the second decision about what waits for longer than a turn of a minute. *Flat* and *linear* are
told above by what a cycle, a record or a process takes among most people, against the least that it takes among
fewer.""",
    "others": """\
Reading: every tool by its own bulk method, asked for the same fields in pages of the same size, one after another
against the same vendors without limits; in each round another tool begins. Times are medians, *from–to* the least and
the most processor time. None of the others keeps two systems in agreement or knows a list scope; ours also reads who is
archived, who belongs to the list scope and who complained. `read_rows` is what the engine calls: it makes records only
of rows that have changed since. `read` makes a typed record of every row.
Writing: opt-outs by our connectors, which read back what they wrote, and by one call each; *vendors s* is what limits
and run time would make it wait. A ratio is by the first row of the vendor, for one record: above 1 it takes more.""",
    "postgresql": """\
The course with PostgreSQL as the state, by its ratio to SQLite. Processor time is that of optsync's process only, not
the server's. The vendors answer without delay here, so that wall time is mostly the processors' and the disk's: both
databases wait for the disk at each commit where *fsync* and *synchronous_commit* are on and *synchronous* is full. The
room is that of the whole database, the server's own catalogues included.""",
    "budget": """\
A portal that needs 0.4 s of run time for an update and grants 480 s in ten minutes. Everybody was changed in a field
that it must be told; then people leave. Seconds are virtual and count from the moment when they left; a cycle begins
five minutes after the last one has ended. The last table is of a portal so slow that a full batch takes nearly the
minute that a request may: after one that took more than half of it the next one is smaller.""",
}
