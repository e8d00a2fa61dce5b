"""The JSON documents of identities and sessions."""

from datetime import UTC, datetime
from typing import Any

from .kratos import Kratos
from .records import Address, Identity, Session

Json = dict[str, Any]


def identity(kratos: Kratos, record: Identity, *, listed: bool = False) -> Json:
    """The document of an identity. In a list of sessions, the URL of its schema is empty."""
    addresses = [_address(address) for address in record.verifiable_addresses]
    return {
        "id": record.id,
        "schema_id": "default",
        "schema_url": "" if listed else kratos.url("/schemas/ZGVmYXVsdA"),
        "state": record.state,
        "state_changed_at": time(record.created_at),
        "traits": dict(record.traits),
        **({"verifiable_addresses": addresses} if addresses else {}),
        "metadata_public": None,
        "created_at": time(record.created_at),
        "updated_at": time(record.created_at),
        "organization_id": None,
    }


def _address(address: Address) -> Json:
    return {
        "value": address.value,
        "verified": address.verified,
        "via": address.via,
        "status": "completed" if address.verified else "pending",
    }


def session(kratos: Kratos, record: Session, *, listed: bool = False) -> Json:
    devices = [
        {"id": device.id, "ip_address": device.ip_address, "user_agent": device.user_agent, "location": ""}
        for device in record.devices
    ]
    return {
        **bare_session(kratos, record),
        "active": kratos.is_active(record),
        "identity": identity(kratos, record.identity, listed=listed),
        "devices": devices,
    }


def bare_session(kratos: Kratos, record: Session) -> Json:
    """The session as the admin API sends it without ``expand``. Its ``active`` does not depend on the identity."""
    methods = [
        {"method": method.method, "aal": method.aal, "completed_at": time(method.completed_at)}
        for method in record.methods
    ]
    return {
        "id": record.id,
        "active": kratos.is_valid(record),
        "expires_at": time(record.expires_at),
        "authenticated_at": time(record.authenticated_at),
        "authenticator_assurance_level": record.aal,
        "authentication_methods": methods,
        "issued_at": time(record.issued_at),
        "identity": None,
        "devices": [],
    }


def time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
