"""What a repository may be called: an owner and a name, in letters that mean the same in every path and URL."""

import re
from dataclasses import dataclass

from local_cloud.errors import LocalCloudError

OWNER = r"[a-z0-9](?:[a-z0-9-]{0,37}[a-z0-9])?"
NAME = r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9_-])?"
DEFAULT_OWNER = "local"
_WHOLE = re.compile(rf"({OWNER})/({NAME})")
# Git gives these endings and the double dot a meaning of its own (git-check-ref-format(1)).
_MEANINGFUL = re.compile(r"\.\.|\.git$|\.lock$")


@dataclass(frozen=True, order=True)
class RepositoryName:
    """`acme/scheduler-web`."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"

    @classmethod
    def known(cls, text: str) -> "RepositoryName | None":
        """The name a text spells exactly, or None."""
        found = _WHOLE.fullmatch(text)
        if found is None or _MEANINGFUL.search(found[2]):
            return None
        return cls(found[1], found[2])

    @classmethod
    def typed(cls, text: str) -> "RepositoryName":
        """The name a person typed; without an owner it is `local`'s.

        Raises:
            LocalCloudError: it cannot be a name; says which letters can.
        """
        name = cls.known(text if "/" in text else f"{DEFAULT_OWNER}/{text}")
        if name is None:
            raise LocalCloudError(
                f"{text!r} cannot be a repository's name. Names look like scheduler-web or acme/scheduler-web: small "
                "letters, digits, - . and _, beginning with a letter or digit, and not ending in .git or .lock."
            )
        return name


def suggested(directory_name: str) -> str:
    """A name made of a directory's, or nothing if it has no letter to use."""
    plain = re.sub(r"[^a-z0-9]+", "-", directory_name.lower().removesuffix(".git")).strip("-")
    return plain[:100].strip("-")
