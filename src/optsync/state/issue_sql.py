"""The statements about issues that every cycle asks."""

import sqlalchemy as sa
from sqlalchemy import bindparam

from optsync.state.erasures import NAME
from optsync.state.prepared import Prepared, any_of
from optsync.state.schema import contact_point, issue

# Word for word the condition of the indexes of standing issues: with the value as a parameter SQLite can't tell that
# they will do.
_IS_STANDING = sa.text("issue.state <> 'resolved'")
FULL = (
    sa.select(
        issue,
        sa.case((issue.c.point_id.is_(None), None), else_=sa.func.coalesce(contact_point.c.email, NAME)).label("email"),
    )
    .outerjoin(contact_point, contact_point.c.id == issue.c.point_id)
    .order_by(issue.c.id)
)
LATEST = Prepared(FULL.where(issue.c.subject.in_(any_of("subjects"))))
LATEST_STANDING = Prepared(FULL.where(issue.c.subject.in_(any_of("subjects")), _IS_STANDING))
PUT_OFF = Prepared(FULL.where(issue.c.sync == bindparam("sync"), issue.c.kind == "put_off", _IS_STANDING))
TO_REVIEW = Prepared(
    FULL.where(
        issue.c.sync == bindparam("sync"),
        _IS_STANDING,
        sa.or_(issue.c.state == "open", issue.c.kind == "put_off"),
        sa.func.coalesce(issue.c.last_at, issue.c.opened_at) < bindparam("before", type_=issue.c.opened_at.type),
        issue.c.id > bindparam("after"),
    ).limit(bindparam("limit"))
)
STANDING_AT = Prepared(FULL.where(issue.c.point_id.in_(any_of("points")), _IS_STANDING))
ABOUT = Prepared(
    FULL.where(
        issue.c.point_id.in_(any_of("points")),
        issue.c.kind == bindparam("kind"),
        issue.c.sync == bindparam("sync"),
        issue.c.system == bindparam("system"),
    )
)
BLOCKS = Prepared(
    sa.select(issue.c.blocks, issue.c.kind, issue.c["values"]).where(
        issue.c.sync == bindparam("sync"), issue.c.blocks.is_not(None), _IS_STANDING
    )
)
SUBJECTS_OF_RUN = Prepared(
    sa.select(issue.c.system, issue.c.collection, issue.c.record).where(
        issue.c.kind == bindparam("kind"), issue.c.run == bindparam("run")
    )
)
ANY_OPEN = Prepared(
    sa.select(issue.c.id)
    .where(
        issue.c.kind == bindparam("kind"), issue.c.system == bindparam("system"), _IS_STANDING, issue.c.state == "open"
    )
    .limit(1)
)
RECORDS_WITH = Prepared(
    sa.select(issue.c.record).where(
        issue.c.kind == bindparam("kind"),
        issue.c.system == bindparam("system"),
        sa.or_(issue.c.collection == bindparam("collection"), issue.c.collection.is_(None)),
        _IS_STANDING,
        issue.c.record.is_not(None),
    )
)
COUNT_OF_RUN = Prepared(
    sa.select(sa.func.count())
    .select_from(issue)
    .where(issue.c.run == bindparam("run"), issue.c.sync == bindparam("sync"), issue.c.state == "open")
)
_COLUMNS = (
    "kind",
    "subject",
    "opened_at",
    "last_at",
    "closed_at",
    "reason",
    "run",
    "sync",
    "system",
    "collection",
    "record",
    "point_id",
    "field",
    "rule",
    "message",
    "values",
    "blocks",
    "state",
    "count",
)
INSERT = Prepared(sa.insert(issue).values({name: bindparam(name) for name in _COLUMNS}))
COUNT_UP = Prepared(
    sa.update(issue)
    .where(issue.c.id == bindparam("key"))
    .values(
        {
            "count": issue.c["count"] + 1,
            "message": bindparam("words"),
            "values": bindparam("text"),
            "last_at": bindparam("now"),
            "run": bindparam("in_run"),
        }
    )
)
_RESOLVED = {"state": "resolved", "closed_at": bindparam("now"), "reason": bindparam("why")}
CLOSE = Prepared(sa.update(issue).where(issue.c.id == bindparam("key")).values(_RESOLVED))
CLOSE_BLOCKING = Prepared(
    sa.update(issue)
    .where(
        issue.c.kind == bindparam("of_kind"),
        issue.c.sync == bindparam("of_sync"),
        issue.c.blocks == bindparam("what"),
        issue.c.state != "resolved",
    )
    .values(_RESOLVED)
)
COUNT_RECORDS = Prepared(
    sa.select(sa.func.count(sa.distinct(issue.c.record))).where(
        issue.c.kind == bindparam("kind"),
        issue.c.sync == bindparam("sync"),
        issue.c.system == bindparam("system"),
        issue.c.field == bindparam("field"),
        issue.c.last_at >= bindparam("since"),
        issue.c.record.not_in(any_of("but")),
    )
)
