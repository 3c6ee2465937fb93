"""The filter's fields, with what can be chosen in each and what is wrong with what was given."""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from audit.kinds import EventKind
from audit.selectors import Named
from timeline.asked import Asked

GROUPS = {
    "organization": "Organization",
    "member": "Members",
    "role": "Roles",
    "session": "Sessions",
    "token": "Tokens",
    "service_account": "Service accounts",
    "access": "Access",
    "support": "Support",
    "staff": "Support staff",
    "audit": "Timeline",
    "host": "VMs",
    "dev_link": "Dev links",
    "cap": "Usage caps",
    "tailnet": "Private access",
    "report": "Security reports",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that can be chosen."""

    value: str
    words: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form."""

    name: str
    label: str
    value: str
    wrong: str
    kind: str = "text"
    anything: str = ""
    groups: list[tuple[str, list[Choice]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fields:
    """The form: what is always in sight, and what most people never filter by."""

    plain: list[Field]
    rare: list[Field]

    @property
    def rare_in_use(self) -> bool:
        return any(one.value for one in self.rare)


def fields(asked: Asked, actors: list[Named], targets: list[Named]) -> Fields:
    """The form as it was filled in."""

    def of(
        name: str, label: str, anything: str = "", choices: list[Choice] | None = None, *, kind: str = "text"
    ) -> Field:
        value, wrong = asked.given.get(name, ""), asked.wrong.get(name, "")
        if kind == "datetime-local" and not wrong:
            value = _local(getattr(asked.wanted, name))
        shown = choices or []
        if choices is not None and value and not any(one.value == value for one in choices):
            # Known from a link or from long ago; it stays chosen all the same.
            shown = [*choices, Choice(value, value)]
        grouped = [(group, list(ones)) for group, ones in groupby(shown, key=lambda one: one.group)]
        return Field(name, label, value, wrong, kind, anything, grouped)

    return Fields(
        plain=[
            of("kind", "What happened", "Anything", KINDS),
            of("actor", "Who did it", "Anybody", _people(actors)),
            of("target", "To what", "Anything", _people(targets)),
            of("since", "Since (UTC)", kind="datetime-local"),
            of("until", "Until (UTC)", kind="datetime-local"),
        ],
        rare=[of("workspace", "Workspace id"), of("request", "Request id")],
    )


def _local(moment: datetime | None) -> str:
    """The moment as browsers' own field for it reads it."""
    if moment is None:
        return ""
    return moment.strftime("%Y-%m-%dT%H:%M" if not moment.second else "%Y-%m-%dT%H:%M:%S")


def _people(named: list[Named]) -> list[Choice]:
    """By label; where two are called the same, their kind tells them apart."""
    labels = [one.label for one in named]
    return [
        Choice(one.id, f"{one.label} ({one.kind})" if labels.count(one.label) > 1 else one.label)
        for one in named
    ]


def _kinds() -> list[Choice]:
    choices = []
    for kind in EventKind:
        subject, _, act = kind.wire_name.partition(".")
        group = GROUPS.get(subject, subject.replace("_", " ").capitalize())
        choices.append(Choice(kind.wire_name, act.replace("_", " ").capitalize(), group))
    return choices


KINDS = _kinds()
