"""The database that cannot do something now, as words for a person: for every door."""

import structlog
from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from envforge.errors import Unavailable

# Two transactions that wanted each other's rows: PostgreSQL ended this one, and nothing of it was done.
_IN_THE_WAY = frozenset({"40001", "40P01", "55P03"})

log = structlog.get_logger(__name__)


def as_unavailable(error: BaseException | None) -> Unavailable | None:
    """What to answer where the database ended a transaction, is not there or has no connection left; None for anything else.

    Recorded by PostgreSQL's code alone: its sentence may hold what was written.
    """
    if not isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return None
    code = getattr(error.__cause__, "sqlstate", None) or ""
    log.error("database.unavailable", reason=type(error.__cause__ or error).__name__, sqlstate=code)
    if code in _IN_THE_WAY:
        return Unavailable(
            "Somebody changed the same at this moment, and nothing of yours was done. Please try again."
        )
    return Unavailable(
        "The database does not answer at the moment. Look whether it was done, and try again in some seconds."
    )
