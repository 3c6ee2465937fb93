"""What a verification of an audit export found."""

from dataclasses import asdict, dataclass, field

MAX_PROBLEMS = 20
"""How many problems a report lists; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in words, with the sequence number and the line where it shows."""

    seq: int | None
    line: int | None
    code: str
    text: str


@dataclass(slots=True)
class Report:
    """What a verification found.

    `first_bad_seq` is the first place in the sequence where the file is not, or cannot be told to be, what was
    sealed; None when no problem has a place. Where only a checkpoint or the event after omitted ones betrays a
    change, it is the first sequence number that the change can have touched. An event that does not follow from
    those before it is named itself, though one of them may have been changed and its hash made to fit: through
    `signed_through` that is excluded.

    `signed_through` is the highest sequence number that a verified checkpoint covers with nothing wrong
    before it: through there the file is exactly what was signed. Events after it follow from one another but
    no signature vouches for them. `name` is what the file calls the organization; only `chain` is protected.
    """

    ok: bool = False
    chain: str | None = None
    name: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    events: int = 0
    omitted: int = 0
    checkpoints_verified: int = 0
    signed_through: int | None = None
    key_ids: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    problems_not_listed: int = 0
    first_bad_seq: int | None = None

    @property
    def signs_anything(self) -> bool:
        """Whether a verified checkpoint covers an event of the file, or all of a file without events."""
        if self.signed_through is None:
            return False
        return self.first_seq is None or self.signed_through >= self.first_seq

    def add(self, seq: int | None, line: int | None, code: str, text: str) -> None:
        """Record a problem; beyond MAX_PROBLEMS it is only counted."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(seq, line, code, text))
        else:
            self.problems_not_listed += 1
        if seq is not None and (self.first_bad_seq is None or seq < self.first_bad_seq):
            self.first_bad_seq = seq

    def to_json(self) -> dict[str, object]:
        """The report as a JSON object, with the names of its fields."""
        return asdict(self)
