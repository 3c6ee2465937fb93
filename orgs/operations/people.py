"""People, who belong to no organization."""

from django.db import transaction

from orgs.directory import person_changed
from orgs.models import Person


def remember_person(*, issuer: str, subject: str, email: str, email_verified: bool, name: str) -> Person:
    """The person the issuer vouches for, with what it says of them now. People belong to no organization."""
    known = {"email": email, "email_verified": email_verified, "name": name}
    with transaction.atomic():
        person, is_new = Person.objects.get_or_create(issuer=issuer, subject=subject, defaults=known)
        if not is_new:
            # Without the key's own lock, which whoever refers to the person at this moment would wait for.
            person = Person.objects.select_for_update(no_key=True).get(id=person.id)
            if any(getattr(person, field) != value for field, value in known.items()):
                for field, value in known.items():
                    setattr(person, field, value)
                person.save(update_fields=list(known))
                person_changed(person)
    return person
