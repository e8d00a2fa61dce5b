"""A test user signs in at Kratos, to see whether Kratos' session cookie is persistent."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.cookiejar import Cookie
from typing import Any

from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from ... import conf
from ...exceptions import KratosError, OryLogoutError
from ...ory.kratos import KratosAdmin
from ..browser import Browser
from ..findings import CheckResult, failed, passed, unknown
from .hydra_user import PREFIX, UnexpectedResponse
from .interrupts import run_and_clean_up

LOGIN = "/self-service/login"


@sensitive_variables()
def run_kratos_trial(
    kratos: conf.KratosConfig, when_stopped: Callable[[CheckResult], None], *, is_login_page: bool
) -> Iterator[tuple[str, CheckResult]]:
    """Create an identity, sign it in by the browser flow, read its cookie, and delete the identity.

    Yields row ids with results.

    ``is_login_page``: Kratos is the login page of a Hydra, which remembers a login as long as Kratos' cookie lasts.
    ``when_stopped`` is called with the result of the cleanup if the trial is stopped.
    """
    if kratos.admin is None:
        yield (
            "try.kratos",
            unknown(_("No ADMIN_URL is configured for this Kratos, so the doctor cannot create a test user.")),
        )
        return
    email = f"{PREFIX}{secrets.token_hex(8)}@doctor.invalid"
    sign_in = partial(_sign_in_result, kratos, kratos.admin, email, is_login_page=is_login_page)
    yield from run_and_clean_up({"try.kratos": sign_in}, partial(_clean_up, kratos.admin, email), when_stopped)


@sensitive_variables()
def _sign_in_result(kratos: conf.KratosConfig, admin: KratosAdmin, email: str, *, is_login_page: bool) -> CheckResult:
    password = secrets.token_urlsafe(24)
    try:
        admin.create_identity({"email": email}, password)
        cookie = _cookie(kratos, email, password)
    except UnexpectedResponse as error:
        return unknown(str(error), error.todo)
    except KratosError as error:
        return unknown(
            _("The test user could not be created: %(error)s.") % {"error": error},
            _("The identity schema must require no trait except an e-mail address. See kratos.admin too."),
        )
    except OryLogoutError as error:
        return unknown(str(error), _("See kratos.admin and kratos.public."))
    if cookie is None:
        return failed(
            _("Kratos signs the user in, and sets no cookie with the name %(name)s.") % {"name": kratos.cookie_name},
            _("Set COOKIE_NAME to session.cookie.name of Kratos. Until then, this site recognizes nobody."),
        )
    if cookie.expires is not None:
        return passed(_("session.cookie.persistent is true: browsers keep the session cookie when they are closed."))
    if is_login_page:
        return failed(
            _("session.cookie.persistent is false: Hydra does not remember logins by this Kratos."),
            _("Set it to true. Hydra cannot end a login that it does not remember, and sends no notices for it."),
        )
    return passed(_("Browsers drop the session cookie when they are closed. No Hydra of the settings depends on it."))


@sensitive_variables()
def _cookie(kratos: conf.KratosConfig, email: str, password: str) -> Cookie | None:
    """The session cookie of a sign-in by the browser flow, as a single-page application does it."""
    browser = Browser()
    page = browser.get(f"{kratos.issuer}{LOGIN}/browser", {"Accept": "application/json"})
    if not page.response.ok:
        raise UnexpectedResponse(page, _("A sign-in should start there. See kratos.public."))
    flow = page.response.json()
    form = {"method": "password", "identifier": email, "password": password, "csrf_token": _csrf_token(flow)}
    page = browser.post_json(f"{kratos.issuer}{LOGIN}?flow={flow.get('id', '')}", form)
    if not page.response.ok:
        raise UnexpectedResponse(page, _("The test user should be signed in now. Check that Kratos allows passwords."))
    return next((cookie for cookie in browser.cookies if cookie.name == kratos.cookie_name), None)


@sensitive_variables()
def _csrf_token(flow: dict[str, Any]) -> str:
    with suppress(LookupError, TypeError, AttributeError):
        for node in flow["ui"]["nodes"]:
            if node["attributes"].get("name") == "csrf_token":
                return str(node["attributes"]["value"])
    return ""


def _clean_up(admin: KratosAdmin, email: str) -> CheckResult:
    """Delete the identity, found by its e-mail address: the response with its id can have been lost."""
    try:
        found = admin.identity_of(email)
    except OryLogoutError as error:
        return unknown(
            _("The doctor cannot see whether %(email)s is left at Kratos: %(error)s.")
            % {"email": email, "error": error}
        )
    try:
        if found:
            admin.delete_identity(found.id)
    except OryLogoutError as error:
        return failed(
            _("%(email)s is left at Kratos: %(error)s.") % {"email": email, "error": error},
            _("Delete that identity by hand. It belongs to no real user."),
        )
    return passed(_("Nothing of the test user is left at Kratos."))
