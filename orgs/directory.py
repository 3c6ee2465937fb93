"""How members are listed and found: what is copied of a person into each organization, so that an index serves it there.

A copy is true again in the transaction that changes the person; joining takes the person's row first, so that neither
can pass the other by.
"""

import re
import unicodedata

from django.db.models import QuerySet

from envforge import tenancy
from orgs.lookups import organizations_of_person
from orgs.models import Membership, MemberWord, Person

MOST_WORDS = 20
# What an index entry holds in any script.
LONGEST = 254
_BREAKS = re.compile(r"[^\w]+|_")


def fold(text: str) -> str:
    """The text without case and accents, as it is sorted and searched: `Émile` and `EMILE` are one."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def verified_address(person: Person) -> str:
    """The person's address in one spelling, if it is verified; else empty (N2)."""
    return person.email.strip().lower() if person.email_verified else ""


def words_of(person: Person) -> list[str]:
    """What the person is found by: the words of their name, their verified address and its parts."""
    address = fold(verified_address(person))
    words = dict.fromkeys([address, *fold(person.name).split(), *_BREAKS.split(fold(person.name))])
    words |= dict.fromkeys([*_BREAKS.split(address.partition("@")[0]), address.partition("@")[2]])
    return [word[:LONGEST] for word in words if word][:MOST_WORDS]


def listed_as(person: Person) -> str:
    """The person's name as lists sort it."""
    return fold(person.name)[:LONGEST]


def enlist(person: Person) -> tuple[Membership, bool]:
    """The person's membership of the entered organization, and whether it is new."""
    person = Person.objects.select_for_update(no_key=True).get(id=person.id)
    membership, joined = Membership.objects.get_or_create(
        person=person, defaults={"listed_as": listed_as(person)}
    )
    if joined:
        _write_words(membership, person)
    return membership, joined


def person_changed(person: Person) -> None:
    """Copy the person anew into every organization they are in; the caller has taken their row."""
    for org_id in organizations_of_person(person.id):
        with tenancy.enter(org_id):
            for membership in Membership.objects.select_for_update().filter(person=person):
                membership.listed_as = listed_as(person)
                membership.save(update_fields=["listed_as"])
                membership.words.all().delete()
                _write_words(membership, person)


def at_address(rows: "QuerySet[Membership]", address: str) -> "QuerySet[Membership]":
    """Those of the memberships whose person has this verified address; the word finds them, the person's own column decides."""
    address = address.strip()
    word = fold(address)[:LONGEST]
    return rows.filter(words__word=word, person__email_verified=True, person__email__iexact=address)


def _write_words(membership: Membership, person: Person) -> None:
    MemberWord.objects.bulk_create(
        MemberWord(membership=membership, word=word, listed_as=membership.listed_as)
        for word in words_of(person)
    )
