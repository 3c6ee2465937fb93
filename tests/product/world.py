"""The cast, in organizations of this test's own: Alice owns Acme, Adam administers it, Bob develops there, Vera only
views, Bill sees billing; Mallory owns Mallet."""

from functools import cached_property
from itertools import count
from uuid import uuid4

from envforge.actor import SYSTEM
from orgs import operations
from orgs.models import Organization, Person
from orgs.roles import Role

_numbers = count(1)
_run = uuid4().hex[:6]


class World:
    """Makes people and organizations on demand; names are the cast's, slugs and subjects are unique."""

    def __init__(self) -> None:
        self.tag = f"{_run}-{next(_numbers)}"

    def person(self, name: str) -> Person:
        login = name.lower()
        return operations.remember_person(
            issuer="https://issuer.test/",
            subject=f"{login}|{self.tag}",
            email=f"{login}@{self.tag}.test",
            email_verified=True,
            name=name,
        )

    def organization(self, name: str, owner: Person) -> Organization:
        return operations.create_organization(
            actor=SYSTEM, slug=f"{name.lower()}-{self.tag}", name=name, owner=owner
        )

    def member(self, name: str, role: Role) -> Person:
        person = self.person(name)
        operations.add_member(actor=SYSTEM, org_id=self.acme.id, person=person, role=role)
        return person

    @cached_property
    def alice(self) -> Person:
        return self.person("Alice")

    @cached_property
    def acme(self) -> Organization:
        return self.organization("Acme", self.alice)

    @cached_property
    def adam(self) -> Person:
        return self.member("Adam", Role.ADMIN)

    @cached_property
    def bob(self) -> Person:
        return self.member("Bob", Role.DEVELOPER)

    @cached_property
    def vera(self) -> Person:
        return self.member("Vera", Role.VIEWER)

    @cached_property
    def bill(self) -> Person:
        return self.member("Bill", Role.BILLING)

    @cached_property
    def mallory(self) -> Person:
        return self.person("Mallory")

    @cached_property
    def mallet(self) -> Organization:
        return self.organization("Mallet", self.mallory)
