"""Which start of the VM this is: the same for all runs of the program until the VM starts anew."""

import contextlib
from pathlib import Path
from uuid import UUID, uuid4

KERNEL = Path("/proc/sys/kernel/random/boot_id")


class Boot:
    """`id`, and a number that grows by one each time it is asked for; both outlive the program, not the VM's run directory."""

    def __init__(self, run_dir: Path) -> None:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._sequence_file = run_dir / "sequence"
        kernel = KERNEL.read_text().strip() if KERNEL.exists() else ""
        file = run_dir / "boot"
        kept = file.read_text().split() if file.exists() else []
        if len(kept) != 2 or kept[0] != kernel:
            kept = [kernel, str(uuid4())]
            self._sequence_file.unlink(missing_ok=True)
            file.write_text(" ".join(kept))
        self.id = UUID(kept[1])
        self._sequence = 0
        with contextlib.suppress(FileNotFoundError, ValueError):
            self._sequence = int(self._sequence_file.read_text())

    def next(self) -> int:
        """The next number."""
        self._sequence += 1
        self._sequence_file.write_text(str(self._sequence))
        return self._sequence
