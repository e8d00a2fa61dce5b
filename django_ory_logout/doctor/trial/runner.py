"""Somebody who does not exist signs in and out: real tokens, by this site's public URLs, on all three channels.

The provider has to be Hydra with its admin API, by which logins and logouts are accepted. Nobody else's sessions are
touched, and what was made is unmade, whatever happened in between.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping

from django.db import Error as DatabaseFault
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from ... import conf
from ...exceptions import OryLogoutError
from ...models import EndReason, digest
from ...sessions import receipts
from ..browser import REDIRECTS, Browser, Page, query_of
from ..checks.registration import MEND
from ..findings import CheckResult, Finding, NotKnown, failed, passed, redact, unknown
from ..targets import ProviderTarget
from .cleanup import clean_up, left_behind, of_earlier_trials
from .hydra_user import TestBrowser, TestUser, TrialFailed, UnexpectedResponse, leads_to, overheard
from .interrupts import undisturbed
from .kratos_user import try_kratos

#: What a try looks at, by the ids of its rows.
ROWS: Mapping[str, str | Promise] = {
    "try.sign_in": gettext_lazy("Somebody synthetic signs in"),
    "try.backchannel": gettext_lazy("Back channel: Hydra ends the login"),
    "try.rp_initiated": gettext_lazy("RP-initiated: here first, then at Hydra"),
    "try.frontchannel": gettext_lazy("Front channel: the frame of Hydra's page"),
    "try.returned": gettext_lazy("Back from Hydra"),
    "try.kratos": gettext_lazy("Somebody synthetic signs in at Kratos"),
    "try.cleanup": gettext_lazy("What was made, unmade"),
}
#: A notice that was answered with 503 comes again so long.
NOTICE_SECONDS, POLL_SECONDS = 12.0, 0.2


def attempts(
    *, alias: str | None = None, when_stopped: Callable[[Finding], None] = lambda _row: None
) -> Generator[Finding, None, None]:
    """Try all providers and every Kratos, or those of ``alias``; the rows, as they come. Raises as ``examine``.

    Close it, lest something remains: it tidies up before it ends. ``when_stopped`` is told what came of that, where the
    last row cannot be.
    """
    config = conf.get()
    kratos = {one.alias: one for one in config.kratos if alias in {None, one.alias}}
    providers = {one.alias: one for one in config.providers.values() if alias in {None, one.alias}}
    if not kratos and not providers:
        raise ValueError(f"There is no provider {alias!r} in the settings.")
    return _attempts(providers, kratos, when_stopped)


def _attempts(
    providers: Mapping[str, conf.ProviderConfig],
    kratos: Mapping[str, conf.KratosConfig],
    when_stopped: Callable[[Finding], None],
) -> Generator[Finding, None, None]:
    for name, config in providers.items():
        for row, said in _try_hydra(ProviderTarget(config), _cleanup_told(name, when_stopped)):
            yield _finding(row, name, said)
    for name, one in kratos.items():
        for row, said in try_kratos(one, _cleanup_told(name, when_stopped), is_login_page=name in providers):
            yield _finding(row, name, said)


def _cleanup_told(about: str, when_stopped: Callable[[Finding], None]) -> Callable[[CheckResult], None]:
    return lambda said: when_stopped(_finding("try.cleanup", about, said))


def _finding(row: str, about: str, said: CheckResult) -> Finding:
    return Finding(row, str(ROWS[row]), about, said.verdict, redact(said.found), redact(said.todo))


def _try_hydra(
    target: ProviderTarget, when_stopped: Callable[[CheckResult], None]
) -> Iterator[tuple[str, CheckResult]]:
    if target.config.hydra is None:
        yield "try.sign_in", unknown(_("No HYDRA is configured for this provider: nobody can be signed in for a try."))
        return
    if not target.config.create_users:
        yield "try.sign_in", unknown(_("CREATE_USERS is False: nobody synthetic is let in."))
        return
    try:
        before, person = left_behind(target), TestUser(target)
    except DatabaseFault:
        yield "try.sign_in", unknown(_("See site.database."))
        return
    for one in before:
        yield "try.cleanup", of_earlier_trials(clean_up(one))
    attempt = Attempt(person)
    try:
        for row, step in attempt.steps.items():
            yield row, _said(step)
    except BaseException:
        with undisturbed():
            when_stopped(clean_up(person))
        raise
    with undisturbed():
        tidied = clean_up(person)
    yield "try.cleanup", tidied


def _said(step: Callable[[], CheckResult]) -> CheckResult:
    try:
        return step()
    except TrialFailed as amiss:
        return failed(str(amiss), amiss.todo)
    except NotKnown as reason:
        return unknown(str(reason))
    except OryLogoutError as error:
        return failed(str(error), _("The checks without --try tell more: run them too."))
    except Exception as error:
        # The text of a stranger's exception can hold anything.
        return unknown(_("The step itself failed: %(error)s.") % {"error": type(error).__name__})


class Attempt:
    """One journey of ``person``, step by step; what a step needs of an earlier one is *not known* without it."""

    def __init__(self, person: TestUser) -> None:
        self.person, self.hydra = person, person.target.hydra
        self.steps: Mapping[str, Callable[[], CheckResult]] = {
            "try.sign_in": self.sign_in,
            "try.backchannel": self.backchannel,
            "try.rp_initiated": self.rp_initiated,
            "try.frontchannel": self.frontchannel,
            "try.returned": self.returned,
        }
        self._first: TestBrowser | None = None
        self._second: TestBrowser | None = None
        self._farewell: Page | None = None
        self._state = ""
        self._hears = False

    def sign_in(self) -> CheckResult:
        """By code and ID token; the site then knows the ``sid``."""
        self._first = self.person.sign_in()
        return passed(_("Signed in, with sid %(sid)s.") % {"sid": self._first.sid})

    def backchannel(self) -> CheckResult:
        """Hydra ends the login by its ``sid``, and tells this site."""
        if self._first is None:
            raise NotKnown(_("See try.sign_in."))
        if not self.person.target.client.backchannel_logout_uri:
            raise NotKnown(_("No back-channel URI is registered. See registration.backchannel."))
        visitor, began = self._first, time.monotonic()
        with overheard(EndReason.BACK_CHANNEL) as refusals:
            self.hydra.revoke_login_session(visitor.sid)
            self._hears = self._soon(lambda: visitor.whoami() is None)
            codes = refusals()
        if self._hears:
            seconds = time.monotonic() - began
            return passed(_("The session ended %(seconds).1f s after Hydra was asked.") % {"seconds": seconds})
        if codes:
            return failed(
                _("The session lives: the notice came, and this site refused it: %(codes)s.")
                % {"codes": ", ".join(codes)},
                _("Run manage.py ory_doctor --explain %(code)s.") % {"code": codes[0]},
            )
        return failed(
            _("The session lives %(seconds)d s after Hydra ended the login: no notice came.")
            % {"seconds": NOTICE_SECONDS},
            _("See registration.backchannel, registration.address and receiver.backchannel."),
        )

    @sensitive_variables()
    def rp_initiated(self) -> CheckResult:
        """Signs in anew, presses the button, and says yes at Hydra."""
        if self._first is None:
            raise NotKnown(_("See try.sign_in."))
        visitor = self._second = self.person.sign_in()
        page = self._pressed(visitor.browser)
        if visitor.whoami() is not None:
            raise UnexpectedResponse(
                page, _("The session should have ended here before anything else. See the log of this site.")
            )
        asked = self._at_hydra(visitor.browser, page)
        if "logout_challenge" not in asked.query:
            raise UnexpectedResponse(asked, _("Hydra should ask at its logout page. See history.logout_request."))
        self._farewell = visitor.browser.get(self.hydra.accept_logout_request(asked.query["logout_challenge"]))
        return passed(_("The session ended here first; Hydra asked, and was told yes."))

    @sensitive_variables()
    def _pressed(self, browser: Browser) -> Page:
        url = conf.get().absolute("logout")
        page = browser.get(url)
        for form in page.forms:
            if leads_to(form.action, url):
                return browser.submit(form, page.url)
        raise UnexpectedResponse(page, _("The logout page should have a form with {% logout_button %}."))

    @sensitive_variables()
    def _at_hydra(self, browser: Browser, page: Page) -> Page:
        """Where the site sends the browser, by redirect or by a form."""
        endpoint = self.person.target.metadata.end_session_endpoint or ""
        forms = [one for one in page.forms if leads_to(one.action, endpoint)]
        if leads_to(page.location, endpoint):
            self._state = page.query.get("state", "")
            return browser.get(page.location)
        if forms:
            self._state = forms[0].fields.get("state", "")
            return browser.submit(forms[0], page.url)
        raise UnexpectedResponse(
            page, _("The site should send the browser to Hydra. See provider.endpoints, and the log.")
        )

    def frontchannel(self) -> CheckResult:
        """What Hydra's page loads in a frame is loaded, without cookies, as most browsers do today."""
        visitor, page = self._left()
        if not page.frames:
            return self._without_frames()
        ours = [one for one in page.frames if leads_to(one, conf.get().absolute("frontchannel_logout"))]
        if not ours:
            url = page.frames[0].partition("?")[0]
            return failed(_("Hydra's page loads %(url)s, which is not this site's.") % {"url": url}, str(MEND))
        loaded = Browser().get(ours[0])
        if not loaded.response.ok:
            raise UnexpectedResponse(loaded, _("The frame should be answered with 200. See receiver.frontchannel."))
        if query_of(ours[0]).get("sid") != visitor.sid:
            raise UnexpectedResponse(loaded, _("The frame names another sid than the one that was signed in with."))
        return passed(_("Hydra's page loads it, and it answers 200."))

    def _without_frames(self) -> CheckResult:
        if self.person.target.client.frontchannel_logout_uri:
            return failed(_("Hydra's page loads no frame, though one is registered."), _("See Hydra's log."))
        return passed(_("None is registered, and Hydra's page loads none."))

    @sensitive_variables()
    def returned(self) -> CheckResult:
        """With our own ``state``, to where the registration says."""
        (visitor, page), here = self._left(), conf.get().absolute("logout_callback")
        wanted, target = self.person.target.config.post_logout_redirect_uri or here, page.location or page.refresh
        if not leads_to(target, wanted):
            raise UnexpectedResponse(page, _("Hydra should send the browser to %(url)s.") % {"url": wanted})
        if query_of(target).get("state") != self._state:
            return failed(_("The browser is back with another state."), _("Something between changes the URL."))
        if wanted == here:
            answer = visitor.browser.get(target)
            if not answer.response.ok and answer.status not in REDIRECTS:
                raise UnexpectedResponse(answer, _("The way back should be answered. See the log of this site."))
        self._await_notice(visitor)
        return passed(_("The browser is back, with the state that it left with."))

    def _left(self) -> tuple[TestBrowser, Page]:
        if self._second is None or self._farewell is None:
            raise NotKnown(_("See try.rp_initiated."))
        return self._second, self._farewell

    def _await_notice(self, visitor: TestBrowser) -> None:
        """Hydra tells this site of this logout too: what comes after the tidying up would be left."""
        issuer = self.person.target.registration.issuer
        if self._hears:
            self._soon(lambda: receipts.rows().filter(sid_digest=digest(issuer, visitor.sid)).exists())

    def _soon(self, happened: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + NOTICE_SECONDS
        while not happened():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True
