"""Fills the local cloud with the fixed cast and their organizations; running it again changes nothing.

Through the product's own operations, so that what is there has its events like everything else.
"""

import os

import django


def main() -> None:
    """Remember the cast, make their organizations, and give each the role they play."""
    django.setup()
    # The product's modules can be imported only now.
    from envforge.actor import SYSTEM  # noqa: PLC0415
    from local_cloud.issuer.cast import CAST, ORGANIZATION_NAMES  # noqa: PLC0415
    from orgs import operations  # noqa: PLC0415
    from orgs.lookups import organization_by_slug  # noqa: PLC0415
    from orgs.roles import Role  # noqa: PLC0415

    for player in CAST:
        if player.org is None:
            continue
        person = operations.remember_person(
            issuer=os.environ["AUTH0_ISSUER"],
            subject=player.sub,
            email=player.email,
            email_verified=player.email_verified,
            name=player.name,
        )
        org_id = organization_by_slug(player.org)
        if org_id is None:
            operations.create_organization(
                actor=SYSTEM, slug=player.org, name=ORGANIZATION_NAMES[player.org], owner=person
            )
        else:
            operations.add_member(actor=SYSTEM, org_id=org_id, person=person, role=Role(player.role))


if __name__ == "__main__":
    main()
