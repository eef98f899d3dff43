"""The statements of the journal that every cycle asks."""

import sqlalchemy as sa
from sqlalchemy import bindparam

from optsync.model.change import ChangeKind, ChangeState
from optsync.state.columns import Key
from optsync.state.erasures import NAME
from optsync.state.prepared import Prepared, any_of
from optsync.state.schema import backlog, change, contact_point, system_record

OPEN = (ChangeState.PLANNED, ChangeState.READY, ChangeState.SENDING)
# Word for word the condition of the index of open changes: with values as parameters SQLite can't tell that the
# index will do, and reads the whole journal instead.
IS_OPEN = sa.text("change.state IN ('planned','ready','sending','held')")

_ORDER = (change.c.priority, change.c.system, change.c.collection, change.c.kind, change.c.id)
READY = Prepared(
    sa.select(change.c.id, *_ORDER[:-1])
    .where(
        IS_OPEN,
        change.c.sync == bindparam("sync"),
        change.c.priority >= bindparam("first"),
        change.c.priority <= bindparam("last"),
        change.c.state == ChangeState.READY,
        # Not the bare column: given a list for it, SQLite would sort what the index has in order.
        change.c.system.concat("").in_(any_of("systems")),
    )
    .order_by(*_ORDER)
    .limit(bindparam("limit"))
)
_FULL = (
    sa.select(change, system_record.c.rid, sa.func.coalesce(contact_point.c.email, NAME).label("email"))
    .outerjoin(system_record, system_record.c.id == change.c.record_id)
    .join(contact_point, contact_point.c.id == change.c.point_id)
    .order_by(change.c.priority, change.c.id)
)
STILL_READY = Prepared(_FULL.where(change.c.id.in_(any_of("ids")), change.c.state == ChangeState.READY))
READY_OF = Prepared(
    _FULL.where(
        change.c.record_id.in_(any_of("records")),
        change.c.sync == bindparam("of"),
        change.c.state == ChangeState.READY,
    )
)
OPEN_OF = Prepared(_FULL.where(IS_OPEN, change.c.sync == bindparam("sync"), change.c.state.in_(OPEN)))
_STANDS = (
    change.c.run == bindparam("run"),
    change.c.sync == bindparam("of"),
    change.c.state != ChangeState.SUPERSEDED,
)
_SUMMED = (change.c.priority, change.c.system, change.c.kind, change.c.rule, change.c.state)
SUMS = Prepared(
    sa.select(*_SUMMED, sa.func.count())
    .where(*_STANDS)
    .group_by(*_SUMMED)
    .order_by(change.c.priority, sa.func.min(change.c.id))
)
_LISTED = _FULL.where(*_STANDS, change.c.priority == bindparam("rank"), change.c.id > bindparam("after"))
LISTED = Prepared(_LISTED.order_by(None).order_by(change.c.id))
LISTED_PART = Prepared(_LISTED.order_by(None).order_by(change.c.id).limit(bindparam("limit")))
_OPEN_OF = (IS_OPEN, change.c.sync == bindparam("of"), change.c.state.in_(OPEN))
LEFT = Prepared(
    sa.select(change.c.id, change.c.state, change.c.point_id)
    .where(
        *_OPEN_OF,
        change.c.id > bindparam("after"),
        sa.or_(
            change.c.state != ChangeState.READY,
            change.c.priority < bindparam("waiting_from"),
            change.c.rule.in_(any_of("rules")),
        ),
    )
    .order_by(change.c.id)
    .limit(bindparam("limit"))
)
_READY_OF = (IS_OPEN, change.c.sync == bindparam("of"), change.c.state == ChangeState.READY)
_PLACE = (change.c.system, change.c.collection)
COUNT_READY = Prepared(sa.select(*_PLACE, sa.func.count()).where(*_READY_OF).group_by(*_PLACE))
ANY_READY = Prepared(sa.select(change.c.id).where(*_READY_OF).limit(1))
READY_AT = Prepared(
    sa.select(change.c.point_id).where(
        change.c.point_id.in_(any_of("points")),
        change.c.sync == bindparam("of"),
        change.c.state == ChangeState.READY,
    )
)
NEWEST = Prepared(sa.select(sa.func.max(change.c.id)))
COUNT_OPEN = Prepared(sa.select(sa.func.count()).select_from(change).where(*_OPEN_OF))
OF_RUN = Prepared(_FULL.where(change.c.run == bindparam("run")))
OF_POINTS = Prepared(_FULL.where(change.c.point_id.in_(any_of("points"))))
ABOUT_WISHES = Prepared(
    _FULL.where(
        change.c.record_id.in_(any_of("records")),
        change.c.sync == bindparam("sync"),
        change.c.kind.in_((ChangeKind.OPT_OUT, ChangeKind.OPT_IN, ChangeKind.TOPIC)),
        change.c.state.in_((ChangeState.APPLIED, ChangeState.SAME)),
    )
)
_IS_SENT = change.c.state.in_((ChangeState.SENDING, ChangeState.APPLIED, ChangeState.SAME, ChangeState.FAILED))
PERMISSIVE_OF = Prepared(
    _FULL.where(
        change.c.record_id.in_(any_of("records")),
        change.c.kind.in_((ChangeKind.GRANT, ChangeKind.OPT_IN, ChangeKind.CREATE)),
        _IS_SENT,
    )
)
# Not the bare column: given the choice, SQLite reads all changes that have made no record.
_MAKES_ONE = sa.func.coalesce(change.c.record_id, 0) == 0
UNHEARD_CREATES = Prepared(
    _FULL.where(
        change.c.point_id.in_(any_of("points")),
        _MAKES_ONE,
        change.c.kind.in_((ChangeKind.CREATE, ChangeKind.REQUEST)),
        _IS_SENT,
    )
)
_IS_FIELD = change.c.kind == ChangeKind.FIELD
FIELDS_OF = Prepared(_FULL.where(change.c.id.in_(any_of("ids")), _IS_FIELD))
LOST_FIELDS = Prepared(
    _FULL.where(change.c.record_id.in_(any_of("records")), change.c.state == ChangeState.FAILED, _IS_FIELD)
)
_FIRST = 1
"""The last place in the queue of what opts somebody out, of everything or of a topic."""
_IS_OUT = sa.or_(
    change.c.kind == ChangeKind.OPT_OUT, sa.and_(change.c.kind == ChangeKind.TOPIC, change.c.priority <= _FIRST)
)
_OLDEST_OUT = sa.select(sa.func.min(change.c.planned_at)).where(change.c.sync == bindparam("of"), _IS_OUT)
OLDEST_OPEN_OUT = Prepared(_OLDEST_OUT.where(IS_OPEN))
_later = change.alias("later")
_HAS_ARRIVED_SINCE = sa.exists().where(
    _later.c.record_id == change.c.record_id,
    _later.c.id > change.c.id,
    _later.c.sync == change.c.sync,
    sa.or_(
        _later.c.kind == change.c.kind,
        sa.and_(change.c.kind == ChangeKind.OPT_OUT, _later.c.kind == ChangeKind.OPT_IN),
    ),
    _later.c.state.in_((ChangeState.APPLIED, ChangeState.SAME)),
)
_WAITS = sa.and_(backlog.c.sync == change.c.sync, backlog.c.point_id == change.c.point_id)
_IS_LOST = sa.or_(
    change.c.state == ChangeState.FAILED,
    sa.and_(change.c.state == ChangeState.REFUSED, sa.func.coalesce(change.c.fact, "").not_in(any_of("harmless"))),
)
# It is derived again in the next cycle; until then its point waits on the backlog.
OLDEST_LOST_OUT = Prepared(_OLDEST_OUT.join_from(backlog, change, _WAITS).where(_IS_LOST, ~_HAS_ARRIVED_SINCE))
_COLUMNS = (
    "run",
    "plan",
    "sync",
    "system",
    "collection",
    "record_id",
    "point_id",
    "kind",
    "priority",
    "rule",
    "shape",
    "data",
    "causes",
    "state",
    "fingerprint",
    "planned_at",
)
_RUN, _SHAPE = (bindparam(name, type_=Key) for name in ("run", "shape"))
"""By their numbers, which are asked for once for many changes."""
INSERT = Prepared(
    sa.insert(change).values({name: bindparam(name) for name in _COLUMNS} | {"run": _RUN, "shape": _SHAPE})
)
ADDRESSES = Prepared(
    sa.select(contact_point.c.id, contact_point.c.email).where(contact_point.c.id.in_(any_of("points")))
)
_UNSENT_OF_KIND = (
    change.c.sync == bindparam("of"),
    change.c.kind == bindparam("what"),
    change.c.state.in_((ChangeState.PLANNED, ChangeState.READY)),
)
SUPERSEDE = Prepared(
    sa.update(change)
    .where(change.c.record_id.in_(any_of("records")), *_UNSENT_OF_KIND)
    .values(state=ChangeState.SUPERSEDED, settled_at=bindparam("now"))
)
SUPERSEDE_NEW = Prepared(
    sa.update(change)
    .where(change.c.point_id.in_(any_of("points")), _MAKES_ONE, change.c.system == bindparam("at"), *_UNSENT_OF_KIND)
    .values(state=ChangeState.SUPERSEDED, settled_at=bindparam("now"))
)
_DECIDED_ANEW = (
    change.c.sync == bindparam("of"),
    sa.or_(
        change.c.state == ChangeState.PLANNED,
        sa.and_(change.c.state == ChangeState.READY, change.c.id <= bindparam("newest")),
    ),
)
OVERTAKE = tuple(
    Prepared(
        sa.update(change)
        .where(column.in_(any_of("keys")), *_DECIDED_ANEW)
        .values(state=ChangeState.SUPERSEDED, settled_at=bindparam("now"))
    )
    for column in (change.c.point_id, change.c.record_id)
)
ADOPT = Prepared(
    sa.update(change).where(change.c.sync == bindparam("of"), change.c.state == ChangeState.READY).values(run=_RUN)
)
RELEASE = Prepared(
    sa.update(change)
    .where(change.c.run == bindparam("in_run"), change.c.sync == bindparam("of"), change.c.state == ChangeState.PLANNED)
    .values(state=ChangeState.READY)
)
START = Prepared(
    sa.update(change)
    .where(change.c.id.in_(any_of("ids")), change.c.state == ChangeState.READY)
    .values(state=ChangeState.SENDING, sent_at=bindparam("now"), run=_RUN)
    .returning(change.c.id)
)
SET_STATE = Prepared(
    sa.update(change)
    .where(change.c.id.in_(any_of("ids")))
    .values(
        state=bindparam("now_in"),
        settled_at=sa.func.coalesce(bindparam("moment", type_=change.c.settled_at.type), change.c.settled_at),
        fact=sa.func.coalesce(bindparam("why", type_=change.c.fact.type), change.c.fact),
        message=sa.func.coalesce(bindparam("words", type_=change.c.message.type), change.c.message),
    )
)
_SETTLE = (
    sa.update(change)
    .where(change.c.id == bindparam("key"))
    .values(
        state=bindparam("now_in"), settled_at=bindparam("moment"), fact=bindparam("why"), message=bindparam("words")
    )
)
SETTLE = Prepared(_SETTLE)
SETTLE_MADE = Prepared(_SETTLE.values(record_id=bindparam("record")))
"""With the record that it made. Where there is none, its index stays as it is."""
NEVER_SENT = Prepared(sa.update(change).where(change.c.id.in_(any_of("ids"))).values(sent_at=sa.null()))
PUT_BACK = Prepared(
    sa.update(change)
    .where(change.c.id == bindparam("key"))
    .values(state=ChangeState.READY, sent_at=sa.null(), message=bindparam("words"))
)
REWRITE = Prepared(
    sa.update(change)
    # Whose person was forgotten meanwhile has another fingerprint, and must not get its values back.
    .where(change.c.id == bindparam("key"), change.c.fingerprint == bindparam("known"))
    .values(shape=_SHAPE, data=bindparam("data"))
)
REFUSED_SINCE = Prepared(
    sa.select(change.c.point_id, sa.func.max(change.c.settled_at))
    .where(
        change.c.point_id.in_(any_of("points")),
        change.c.fact == bindparam("fact"),
        change.c.system == bindparam("system"),
        change.c.collection == bindparam("collection"),
    )
    .group_by(change.c.point_id)
)
