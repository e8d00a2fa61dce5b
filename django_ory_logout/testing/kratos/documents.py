"""What Kratos says of identities and sessions, as JSON documents."""

from datetime import UTC, datetime
from typing import Any

from .kratos import Kratos
from .records import Address, Identity, Session

Json = dict[str, Any]


def identity(kratos: Kratos, one: Identity, *, listed: bool = False) -> Json:
    """In a list of sessions, the URL of the schema is empty."""
    addresses = [_address(address) for address in one.verifiable_addresses]
    return {
        "id": one.id,
        "schema_id": "default",
        "schema_url": "" if listed else kratos.url("/schemas/ZGVmYXVsdA"),
        "state": one.state,
        "state_changed_at": time(one.created_at),
        "traits": dict(one.traits),
        **({"verifiable_addresses": addresses} if addresses else {}),
        "metadata_public": None,
        "created_at": time(one.created_at),
        "updated_at": time(one.created_at),
        "organization_id": None,
    }


def _address(address: Address) -> Json:
    return {
        "value": address.value,
        "verified": address.verified,
        "via": address.via,
        "status": "completed" if address.verified else "pending",
    }


def session(kratos: Kratos, one: Session, *, listed: bool = False) -> Json:
    devices = [
        {"id": device.id, "ip_address": device.ip_address, "user_agent": device.user_agent, "location": ""}
        for device in one.devices
    ]
    return {
        **bare_session(kratos, one),
        "active": kratos.is_active(one),
        "identity": identity(kratos, one.identity, listed=listed),
        "devices": devices,
    }


def bare_session(kratos: Kratos, one: Session) -> Json:
    """The session as the admin API says it where nobody asks for more. It does not look at the identity."""
    methods = [
        {"method": method.method, "aal": method.aal, "completed_at": time(method.completed_at)}
        for method in one.methods
    ]
    return {
        "id": one.id,
        "active": kratos.lasts(one),
        "expires_at": time(one.expires_at),
        "authenticated_at": time(one.authenticated_at),
        "authenticator_assurance_level": one.aal,
        "authentication_methods": methods,
        "issued_at": time(one.issued_at),
        "identity": None,
        "devices": [],
    }


def time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
