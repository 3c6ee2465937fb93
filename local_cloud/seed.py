"""Fills the local cloud with the fixed cast and their organizations; running it again changes nothing.

Through the product's own operations, so that what is there has its events like everything else.
"""

import argparse
import os
from pathlib import Path

import django

STAFF_DAYS = 30


def main() -> None:
    """Remember the cast, make their organizations, give each the role they play, and Acme the project of the examples."""
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("--git-url", help="where the examples are cloned from; without it there is no project")
    said.add_argument("--git-state", type=Path, help="the git host's directory")
    said.add_argument("--share-link", type=Path, help="where the address of a share link is kept")
    git = said.parse_args()
    django.setup()
    seed_people()
    if git.git_url and git.git_state:
        seed_examples(git.git_state, git.git_url, git.share_link)


def seed_people() -> None:
    """The cast that belongs to an organization, and who helps them."""
    # The product's modules can be imported only now.
    from envforge.actor import SYSTEM  # noqa: PLC0415
    from local_cloud.issuer.cast import CAST, ORGANIZATION_NAMES  # noqa: PLC0415
    from orgs import operations, staff, staff_rule  # noqa: PLC0415
    from orgs.lookups import organization_by_slug  # noqa: PLC0415
    from orgs.roles import Role  # noqa: PLC0415

    for player in CAST:
        if player.org is None and player.role != "staff":
            continue
        person = operations.remember_person(
            issuer=os.environ["AUTH0_ISSUER"],
            subject=player.sub,
            email=player.email,
            email_verified=player.email_verified,
            name=player.name,
        )
        if player.org is None:
            if not staff_rule.live_grant(actor=person.as_actor()):
                staff.grant_staff(actor=SYSTEM, person=person, days=STAFF_DAYS)
            continue
        org_id = organization_by_slug(player.org)
        if org_id is None:
            operations.create_organization(
                actor=SYSTEM, slug=player.org, name=ORGANIZATION_NAMES[player.org], owner=person
            )
        else:
            operations.add_member(actor=SYSTEM, org_id=org_id, person=person, role=Role(player.role))


def seed_examples(git_state: Path, git_url: str, share_link: Path | None) -> None:
    """Acme's project of the examples, and a link to its workspace, by Alice."""
    from local_cloud.git.store import Store  # noqa: PLC0415
    from local_cloud.issuer.cast import by_login  # noqa: PLC0415
    from local_cloud.seed_link import seed_link  # noqa: PLC0415
    from local_cloud.seed_project import seed_project  # noqa: PLC0415
    from orgs.lookups import organization_by_slug  # noqa: PLC0415
    from orgs.models import Person  # noqa: PLC0415

    org_id, player = organization_by_slug("acme"), by_login("alice")
    if org_id and player:
        alice = Person.objects.get(issuer=os.environ["AUTH0_ISSUER"], subject=player.sub)
        seed_project(Store(git_state), git_url, org_id=org_id, owner=alice.as_actor())
        if share_link is not None:
            seed_link(share_link, org_id=org_id, owner=alice.as_actor())


if __name__ == "__main__":
    main()
