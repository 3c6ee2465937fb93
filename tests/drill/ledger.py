"""What the database holds of one organization, in a web process' eyes: `python -m tests.drill.ledger SLUG DIRECTORY`.

Writes `SLUG.ledger.json` (the row's name, every event) and `SLUG.jsonl` (the export).
"""

import json
import sys
from pathlib import Path
from uuid import UUID

import django


def main(slug: str, directory: str) -> None:
    """Write both files."""
    django.setup()
    from audit import export
    from audit.models import Event
    from envforge import tenancy
    from orgs.lookups import organization_by_slug
    from orgs.models import Organization

    with tenancy.enter(UUID(str(organization_by_slug(slug)))):
        name = Organization.objects.get().name
        fields = ("seq", "kind", "target_label", "facts")
        events = list(Event.objects.order_by("at", "id").values(*fields))
        with (Path(directory) / f"{slug}.jsonl").open("w") as file:
            file.writelines(f"{line}\n" for line in export.lines(slug))
    (Path(directory) / f"{slug}.ledger.json").write_text(json.dumps({"name": name, "events": events}))


if __name__ == "__main__":
    main(*sys.argv[1:])
