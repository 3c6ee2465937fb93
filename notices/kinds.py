"""What each notice says in one line, which parameters it may carry, and to whom it may go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit.facts import COUNT, NAME, TIME, Choice, Fact, FactRefused, FactValue
from envforge.notify import Notice
from notices.words import readable


@dataclass(frozen=True, slots=True)
class Words(Fact):
    """What people call something, however they wrote it: cleaned to one short line, then held to a name's rule."""

    def read(self, value: Any) -> str:
        return NAME.read(readable(value) if isinstance(value, str) else value)


WORDS = Words()
# What the cap does once it is reached.
THEN = Choice(words=("nothing stops", "nothing wakes until the month ends or the cap is raised"))
ROLE = Choice(words=("owner", "admin", "developer", "viewer", "billing"))


@dataclass(frozen=True, slots=True)
class Declaration:
    """One kind of notice. `{organization}` can stand in a subject, beside the parameters."""

    subject: str
    parameters: Mapping[str, Fact]
    has_link: bool
    members_only: bool

    def read_parameters(self, given: Mapping[str, Any]) -> dict[str, FactValue]:
        """The parameters as they are stored.

        Raises:
            FactRefused: an undeclared or missing one, or one of another form; its name, never its value.
        """
        wrong = given.keys() ^ self.parameters.keys()
        if wrong:
            raise FactRefused(
                f"The notice takes {', '.join(sorted(self.parameters))}; see {', '.join(sorted(wrong))}."
            )
        stored = {}
        for name, fact in self.parameters.items():
            try:
                stored[name] = fact.read(given[name])
            except (ValueError, TypeError, AttributeError) as refused:
                raise FactRefused(f"The parameter {name} {refused}") from None
        return stored


def kind(subject: str, *, has_link: bool, members_only: bool, **parameters: Fact) -> Declaration:
    return Declaration(subject, parameters, has_link, members_only)


KINDS: dict[Notice, Declaration] = {
    Notice.INVITATION: kind(
        "{inviter} invites you to {organization}",
        has_link=True,
        members_only=False,
        inviter=WORDS,
        role=ROLE,
        expires_at=TIME,
    ),
    # Of approvals nobody is told yet: what asks for them, the root policy, lies above and is not there.
    Notice.APPROVAL_REQUESTED: kind(
        "{requester} asks for your approval: {what}",
        has_link=True,
        members_only=True,
        what=WORDS,
        requester=WORDS,
    ),
    Notice.APPROVAL_DECIDED: kind(
        "{decider} {decision} your request: {what}",
        has_link=True,
        members_only=True,
        what=WORDS,
        decider=WORDS,
        decision=Choice(words=("approved", "refused")),
    ),
    Notice.MEMBER_REMOVED: kind(
        "You are no longer a member of {organization}",
        has_link=False,
        members_only=False,
        remover=WORDS,
    ),
    Notice.CAP_NEARED: kind(
        "{whose} used {percent} % of the awake hours for {month}",
        has_link=True,
        members_only=True,
        whose=WORDS,
        percent=COUNT,
        hours=COUNT,
        month=WORDS,
        then=THEN,
    ),
    Notice.CAP_REACHED: kind(
        "{whose} used all {hours} awake hours for {month}",
        has_link=True,
        members_only=True,
        whose=WORDS,
        hours=COUNT,
        month=WORDS,
        then=THEN,
    ),
}
