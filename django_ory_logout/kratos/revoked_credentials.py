"""What is refused here from now on, because it logged out here: a session at Kratos, or the credential that it has."""

import logging

from django.views.decorators.debug import sensitive_variables

from ..conf import KratosConfig
from ..exceptions import TemporaryError
from ..models import EndReason, LogoutReceipt, moment
from ..ory.kratos import Credential
from ..sessions import index, receipts
from . import whoami
from .whoami import WhoamiResult

logger = logging.getLogger("django_ory_logout")


@sensitive_variables()
def cached(kratos: KratosConfig, credential: Credential) -> WhoamiResult:
    """What Kratos said lately, if anybody knows. Asks nobody."""
    try:
        return whoami.cached(kratos, credential) or WhoamiResult()
    except TemporaryError:
        return WhoamiResult()


@sensitive_variables()
def lookup(kratos: KratosConfig, credential: Credential) -> WhoamiResult:
    """What Kratos said lately, or says; it is asked also where the cache does not answer."""
    found = cached(kratos, credential)
    if found != WhoamiResult():
        return found
    try:
        return whoami.ask(kratos, credential)
    except TemporaryError:
        return WhoamiResult()


@sensitive_variables()
def refuse(kratos: KratosConfig, credential: Credential, found: WhoamiResult) -> LogoutReceipt | None:
    """From here on, nobody is signed in by ``credential``; ``found`` is what is known of it.

    Where that is not whose session it is, the receipt, which is given back, names the credential itself. What is dead
    at Kratos needs none: anybody can make up a token.
    """
    if found.code == "session_inactive":
        return None
    if found.session:
        receipt = receipts.record_logout(kratos.issuer, found.session.sid, moment(found.session.expires_at))
    else:
        receipt = receipts.record_credential_logout(kratos.issuer, whoami.credential_digest(kratos, credential))
    index.process(receipt, EndReason.RP_INITIATED)
    return None if found.session else receipt


@sensitive_variables()
def forget(kratos: KratosConfig, credential: Credential) -> None:
    """A fault of the cache leaves a verdict that a receipt outweighs."""
    try:
        whoami.forget(kratos, credential)
    except TemporaryError as error:
        logger.warning("verdict of Kratos not forgotten: %s", error)
