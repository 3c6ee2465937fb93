"""People, who belong to no organization."""

from django.db import transaction

from orgs.models import Person


def remember_person(*, issuer: str, subject: str, email: str, email_verified: bool, name: str) -> Person:
    """The person the issuer vouches for, with what it says of them now. People belong to no organization."""
    with transaction.atomic():
        known = {"email": email, "email_verified": email_verified, "name": name}
        person, _ = Person.objects.update_or_create(issuer=issuer, subject=subject, defaults=known)
    return person
