"""EBS volumes for data, as directories that move: each VM sees those of its own directory, and finds a volume there while it is attached.

DIRECTORY/INSTANCE/VOLUME   attached
DIRECTORY/off/VOLUME        not attached
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

OFF = "off"


class Volumes:
    """All volumes of a local cloud; moving one is a rename, which a crash leaves done or undone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def of(self, instance_id: str) -> Path:
        """Where an instance's VM sees its volumes."""
        place = self.directory / instance_id
        place.mkdir(mode=0o711, parents=True, exist_ok=True)
        return place

    def arrange(self, instance_id: str, attached: Iterable[str]) -> None:
        """Let the VM see exactly these. A new volume is empty.

        Raises OSError.
        """
        place, wanted = self.of(instance_id), set(attached)
        present = {entry.name for entry in place.iterdir()}
        for volume in present - wanted:
            (place / volume).rename(self.of(OFF) / volume)
        for volume in wanted - present:
            earlier = next(self.directory.glob(f"*/{volume}"), None)
            if earlier is not None:
                earlier.rename(place / volume)
            else:
                (place / volume).mkdir(mode=0o711)

    def forget(self, instance_id: str) -> None:
        """The instance is gone; what was attached to it is not."""
        if (self.directory / instance_id).is_dir():
            self.arrange(instance_id, ())
            (self.directory / instance_id).rmdir()

    def keep_only(self, existing: Iterable[str]) -> None:
        """Delete what volumes held that were deleted."""
        kept = set(existing)
        # Wherever it lies: one may be deleted before anybody saw that it was detached.
        for entry in self.directory.glob("*/vol-*"):
            if entry.name not in kept:
                shutil.rmtree(entry, ignore_errors=True)
