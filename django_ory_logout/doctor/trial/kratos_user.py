"""Somebody synthetic signs in at Kratos itself, for what its session cookie says."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from ... import conf
from ...exceptions import KratosError, OryLogoutError
from ...ory.kratos import KratosAdmin
from ..browser import Browser, Cookie
from ..findings import CheckResult, failed, passed, unknown
from .hydra_user import PREFIX, UnexpectedResponse
from .interrupts import undisturbed

LOGIN = "/self-service/login"


@sensitive_variables()
def try_kratos(
    kratos: conf.KratosConfig, when_stopped: Callable[[CheckResult], None], *, is_login_page: bool
) -> Iterator[tuple[str, CheckResult]]:
    """Make an identity, sign it in by the browser flow, look at the cookie, and delete it; rows by their ids.

    ``is_login_page``: of a Hydra, which remembers a login as long as Kratos' cookie lasts. ``when_stopped``: told what
    came of the tidying up then.
    """
    if kratos.admin is None:
        yield "try.kratos", unknown(_("No ADMIN_URL is configured for this Kratos: nobody can be made there."))
        return
    email = f"{PREFIX}{secrets.token_hex(8)}@doctor.invalid"
    try:
        said = _tried(kratos, kratos.admin, email, is_login_page=is_login_page)
    except BaseException:
        with undisturbed():
            when_stopped(_cleaned_up(kratos.admin, email))
        raise
    with undisturbed():
        tidied = _cleaned_up(kratos.admin, email)
    yield "try.kratos", said
    yield "try.cleanup", tidied


@sensitive_variables()
def _tried(kratos: conf.KratosConfig, admin: KratosAdmin, email: str, *, is_login_page: bool) -> CheckResult:
    password = secrets.token_urlsafe(24)
    try:
        admin.create_identity({"email": email}, password)
        cookie = _cookie(kratos, email, password)
    except UnexpectedResponse as came:
        return unknown(str(came), came.todo)
    except KratosError as error:
        return unknown(
            _("Nobody could be made: %(error)s.") % {"error": error},
            _("It takes an identity schema that is content with an e-mail address. See kratos.admin too."),
        )
    except OryLogoutError as error:
        return unknown(str(error), _("See kratos.admin and kratos.public."))
    if cookie is None:
        return failed(
            _("Kratos signs in, and sets no cookie that is called %(name)s.") % {"name": kratos.cookie_name},
            _("Set COOKIE_NAME to session.cookie.name of Kratos: nobody is recognized here."),
        )
    if cookie.is_persistent:
        return passed(_("session.cookie.persistent: its session cookie outlives the browser."))
    if is_login_page:
        return failed(
            _("session.cookie.persistent is false: Hydra remembers no login that is made here."),
            _("Set it to true: of a login that is not remembered, nobody can log out at Hydra, and nobody is told."),
        )
    return passed(_("Its session cookie ends with the browser. No Hydra here depends on it."))


@sensitive_variables()
def _cookie(kratos: conf.KratosConfig, email: str, password: str) -> Cookie | None:
    """The session cookie of a sign-in by the browser flow, as a single-page application does it."""
    browser = Browser()
    page = browser.get(f"{kratos.issuer}{LOGIN}/browser", {"Accept": "application/json"})
    if not page.response.ok:
        raise UnexpectedResponse(page, _("A sign-in should begin there. See kratos.public."))
    flow = page.response.json()
    answer = {"method": "password", "identifier": email, "password": password, "csrf_token": _csrf_token(flow)}
    page = browser.send(f"{kratos.issuer}{LOGIN}?flow={flow.get('id', '')}", answer)
    if not page.response.ok:
        raise UnexpectedResponse(page, _("Somebody should be signed in now. Does Kratos let people in by password?"))
    cookies = [Cookie.parse(header) for header in page.response.set_cookies]
    return next((one for one in cookies if one.name == kratos.cookie_name), None)


@sensitive_variables()
def _csrf_token(flow: dict[str, Any]) -> str:
    with suppress(LookupError, TypeError, AttributeError):
        for node in flow["ui"]["nodes"]:
            if node["attributes"].get("name") == "csrf_token":
                return str(node["attributes"]["value"])
    return ""


def _cleaned_up(admin: KratosAdmin, email: str) -> CheckResult:
    """By the address: of an identity that was made, the answer can have been lost."""
    try:
        found = admin.identity_of(email)
    except OryLogoutError as error:
        return unknown(_("Whether %(email)s is left at Kratos: %(error)s.") % {"email": email, "error": error})
    try:
        if found:
            admin.delete_identity(found.id)
    except OryLogoutError as error:
        return failed(
            _("%(email)s is left at Kratos: %(error)s.") % {"email": email, "error": error},
            _("Delete that identity by hand: it is nobody's."),
        )
    return passed(_("Nothing is left of it at Kratos."))
