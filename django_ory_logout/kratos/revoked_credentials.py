"""Sessions at Kratos, and credentials, that sign nobody in any more because they were logged out here."""

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
    """The cached result. It is empty if the cache has none or does not answer. Sends no request to Kratos."""
    try:
        return whoami.cached(kratos, credential) or WhoamiResult()
    except TemporaryError:
        return WhoamiResult()


@sensitive_variables()
def lookup(kratos: KratosConfig, credential: Credential) -> WhoamiResult:
    """The cached result, or a new one from Kratos. Asks Kratos also if the cache does not answer."""
    result = cached(kratos, credential)
    if result != WhoamiResult():
        return result
    try:
        return whoami.fetch(kratos, credential)
    except TemporaryError:
        return WhoamiResult()


@sensitive_variables()
def revoke(kratos: KratosConfig, credential: Credential, result: WhoamiResult) -> LogoutReceipt | None:
    """From now on, sign nobody in by ``credential``. ``result`` is what we know about it.

    If we do not know its session, stores a receipt for the credential itself, and returns that receipt. A session that
    has ended at Kratos gets no receipt: otherwise anyone could fill the table with invented tokens.
    """
    if result.code == "session_inactive":
        return None
    if result.session:
        receipt = receipts.record_logout(kratos.issuer, result.session.sid, moment(result.session.expires_at))
    else:
        receipt = receipts.record_credential_logout(kratos.issuer, whoami.credential_digest(kratos, credential))
    index.process(receipt, EndReason.RP_INITIATED)
    return None if result.session else receipt


@sensitive_variables()
def delete_cached(kratos: KratosConfig, credential: Credential) -> None:
    """Delete the cached result. If the cache fails, the result stays, and the receipt still refuses the sign-in."""
    try:
        whoami.delete_cached(kratos, credential)
    except TemporaryError as error:
        logger.warning("cannot delete the cached answer of Kratos: %s", error)
