"""The two forms of an exported timeline: JSON Lines, which verify, and CSV, which is for reading."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils import timezone

from audit import export
from audit.export import Span
from audit.facts import rfc3339
from audit.filters import Filter
from audit.models import Event
from audit.sentences import sentence
from timeline.rows import Form, csv_line

COLUMNS = (
    *("sequence", "time", "event", "sentence", "actor", "actor id", "target", "target id"),
    *("workspace id", "request id", "facts"),
)


def file_name(form: Form, slug: str) -> str:
    """What the file is called: whose it is, of which day, and whether it can be verified."""
    promise = "verifiable" if form is Form.JSONL else "for-reading"
    return f"{slug}-timeline-{timezone.now():%Y-%m-%d}-{promise}.{form}"


@dataclass(slots=True)
class Lines:
    """The lines of an export, and how many wanted events have been among them so far."""

    form: Form
    slug: str
    wanted: Filter
    span: Span
    events: int = 0
    passed: int = 0

    def __iter__(self) -> Iterator[str]:
        """Each line with its end; `passed` follows along `span.size`."""
        return self._jsonl() if self.form is Form.JSONL else self._csv()

    def _jsonl(self) -> Iterator[str]:
        last = ""
        for last in export.lines(self.slug, self.wanted, span=self.span):
            self.passed += 1
            yield last + "\n"
        self.events = json.loads(last)["events"]

    def _csv(self) -> Iterator[str]:
        yield csv_line(COLUMNS)
        for event in export.events(self.wanted, self.span):
            self.events += 1
            self.passed = (event.seq or 0) - self.span.first_seq + 1
            yield csv_line(_cells(event))


def _cells(event: Event) -> tuple[str, ...]:
    facts = "; ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in event.facts.items()
    )
    return (
        *(str(event.seq), rfc3339(event.at), event.kind, "".join(piece.text for piece in sentence(event))),
        *(event.actor_label, event.actor_id, event.target_label, event.target_id),
        *(str(event.workspace_id or ""), event.request_id, facts),
    )
