"""What part of an organization's events somebody asks for."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from audit.facts import rfc3339

_TESTS = {
    "kind": "kind = %s",
    "actor_id": "actor_id = %s",
    "target_id": "target_id = %s",
    "workspace_id": "workspace_id = %s",
    "request_id": "request_id = %s",
    "since": "at >= %s",
    "until": "at < %s",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """The events wanted: all of the given tests hold; `since` is included, `until` is not."""

    kind: str | None = None
    actor_id: str | None = None
    target_id: str | None = None
    workspace_id: UUID | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def sql(self) -> tuple[str, list[Any]]:
        """A condition over `audit_event`, and its parameters."""
        given = self.given()
        return " AND ".join(_TESTS[name] for name in given) or "true", list(given.values())

    def as_json(self) -> dict[str, str]:
        return {
            name: rfc3339(value) if isinstance(value, datetime) else str(value)
            for name, value in self.given().items()
        }
