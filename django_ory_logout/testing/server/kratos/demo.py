"""The Kratos of the demo. Persons of the provider can sign in there too."""

from dataclasses import replace
from uuid import NAMESPACE_URL, uuid5

from ...hydra.provider import Provider
from ...hydra.records import Person
from ...kratos import Kratos, sign_in_by

NAMES = ("amber", "birch")


def demo(public_url: str, site_url: str, provider: Provider) -> Kratos:
    """A Kratos with two identities. Their passwords are their names, and their ids are always the same.

    It can redirect browsers to the site and to Hydra.
    """
    kratos = Kratos(public_url, provider.clock, allowed_return_urls=[site_url, provider.issuer])
    for name in NAMES:
        claims = Person.demo(name).claims
        email = str(claims["email"])
        identity_id = str(uuid5(NAMESPACE_URL, email))
        kratos.identity(email, password=name, identity_id=identity_id, verified=True, name=claims["name"])
    return kratos


def use(provider: Provider, kratos: Kratos) -> None:
    """Make ``kratos`` the login page of ``provider``, and its identities persons of the provider."""
    sign_in_by(provider, kratos)
    for identity in kratos.identities.values():
        person = provider.find_person(str(identity.traits["email"]))
        if person:
            provider.add_person(replace(person, subject=identity.id))
