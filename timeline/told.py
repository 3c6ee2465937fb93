"""An event as the timeline shows it."""

from dataclasses import dataclass
from urllib.parse import urlencode

from audit.facts import rfc3339
from audit.models import Event
from audit.sentences import Piece, sentence
from orgs.selectors.receipts import KINDS as RECEIPTS


@dataclass(frozen=True, slots=True)
class Told:
    """An event with its sentence, and with the quiet facts behind it."""

    event: Event

    @property
    def pieces(self) -> list[Piece]:
        return sentence(self.event)

    @property
    def tone(self) -> str:
        """What the mark beside it says: a refusal or failure needs a look."""
        act = self.event.kind.rsplit(".", 1)[-1]
        return (
            "waking"
            if act in {"denied", "refused", "join_refused", "wake_failed", "drifted", "reached"}
            else ""
        )

    @property
    def exact(self) -> str:
        return rfc3339(self.event.at)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What the kind carries, in words."""
        return [(name.replace("_", " "), _words(value)) for name, value in self.event.facts.items()]

    @property
    def keeps_receipt(self) -> bool:
        """Whether the event is the receipt of a removal or suspension, which has a page."""
        return self.event.kind in RECEIPTS

    @property
    def by_kind(self) -> str:
        return "?" + urlencode({"kind": self.event.kind})

    @property
    def by_actor(self) -> str:
        return "?" + urlencode({"actor": self.event.actor_id})

    @property
    def by_target(self) -> str:
        return "?" + urlencode({"target": self.event.target_id})

    @property
    def by_workspace(self) -> str:
        return "?" + urlencode({"workspace": str(self.event.workspace_id)})

    @property
    def by_request(self) -> str:
        return "?" + urlencode({"request": self.event.request_id})


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    return str(value)
