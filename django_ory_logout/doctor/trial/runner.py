"""A test user signs in and out with real tokens, by this site's public URLs, on all three channels.

The provider must be Hydra. The doctor accepts logins and logouts by its admin API. The trial changes no other user's
sessions. At the end, even after a failure, it deletes what it has created.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from functools import partial

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
from ..checks.registration import REGISTER_CLIENT
from ..findings import CheckResult, Finding, NotKnown, Scope, failed, passed, refer_to, unknown
from ..redaction import redact
from ..targets import ProviderTarget, Targets, targets_of
from .cleanup import clean_up, leftover_test_users
from .hydra_user import TestBrowser, TestUser, TrialFailed, UnexpectedResponse, is_same_page, recorded_refusals
from .interrupts import run_and_clean_up
from .kratos_user import run_kratos_trial

#: The titles of the rows, by id.
ROWS: Mapping[str, str | Promise] = {
    "try.sign_in": gettext_lazy("A test user signs in"),
    "try.backchannel": gettext_lazy("Back channel: Hydra ends the login"),
    "try.rp_initiated": gettext_lazy("RP-initiated logout: here first, then at Hydra"),
    "try.frontchannel": gettext_lazy("Front channel: the frame of Hydra's page"),
    "try.returned": gettext_lazy("Return from Hydra"),
    "try.kratos": gettext_lazy("A test user signs in at Kratos"),
    "try.cleanup": gettext_lazy("Cleanup"),
}
#: Hydra repeats a notice this long if the answer is 503.
NOTICE_SECONDS, POLL_SECONDS = 12.0, 0.2


def run_trials(
    *, alias: str | None = None, when_stopped: Callable[[Finding], None] = lambda _row: None
) -> Generator[Finding, None, None]:
    """Run a trial for each provider and Kratos, or only for ``alias``. Raises ``ValueError`` for an unknown alias.

    Yields each row as soon as it is there. The caller must close the generator: it cleans up before it ends. If it is
    stopped, it calls ``when_stopped`` with the row of the cleanup.
    """
    return _trials(targets_of(conf.get(), alias), when_stopped)


def _trials(targets: Targets, when_stopped: Callable[[Finding], None]) -> Generator[Finding, None, None]:
    for target, name in targets[Scope.PROVIDER]:
        for row, result in _run_hydra_trial(target, _report_cleanup(name, when_stopped)):
            yield _finding(row, name, result)
    providers = {name for _target, name in targets[Scope.PROVIDER]}
    for kratos, name in targets[Scope.KRATOS]:
        trial = run_kratos_trial(kratos, _report_cleanup(name, when_stopped), is_login_page=name in providers)
        for row, result in trial:
            yield _finding(row, name, result)


def _report_cleanup(about: str, when_stopped: Callable[[Finding], None]) -> Callable[[CheckResult], None]:
    return lambda result: when_stopped(_finding("try.cleanup", about, result))


def _finding(row: str, about: str, result: CheckResult) -> Finding:
    return Finding(row, str(ROWS[row]), about, result.verdict, redact(result.found), redact(result.todo))


def _run_hydra_trial(
    target: ProviderTarget, when_stopped: Callable[[CheckResult], None]
) -> Iterator[tuple[str, CheckResult]]:
    if target.config.hydra is None:
        yield "try.sign_in", unknown(_("No HYDRA is configured for this provider, so no test user can sign in."))
        return
    if not target.config.create_users:
        yield "try.sign_in", unknown(_("CREATE_USERS is False, so no test user can sign in."))
        return
    try:
        leftovers, test_user = leftover_test_users(target), TestUser(target)
    except DatabaseFault:
        yield "try.sign_in", unknown(_("See site.database."))
        return
    for leftover in leftovers:
        result = clean_up(leftover)
        yield "try.cleanup", replace(result, found=_("Earlier trial: %(found)s") % {"found": result.found})
    steps = {row: partial(_result_of, step) for row, step in HydraTrial(test_user).steps.items()}
    yield from run_and_clean_up(steps, partial(clean_up, test_user), when_stopped)


def _result_of(step: Callable[[], CheckResult]) -> CheckResult:
    try:
        return step()
    except TrialFailed as error:
        return failed(str(error), error.todo)
    except NotKnown as error:
        return unknown(str(error))
    except OryLogoutError as error:
        return failed(str(error), _("Run the checks without --try too."))
    except Exception as error:
        # The text of an exception from other code can hold a secret, so this shows only its type.
        return unknown(_("The step itself failed: %(error)s.") % {"error": type(error).__name__})


class HydraTrial:
    """The steps of ``test_user``. If an earlier step has failed, the steps that need it are *not known*."""

    def __init__(self, test_user: TestUser) -> None:
        self.test_user, self.hydra = test_user, test_user.target.hydra
        self.steps: Mapping[str, Callable[[], CheckResult]] = {
            "try.sign_in": self.sign_in,
            "try.backchannel": self.backchannel,
            "try.rp_initiated": self.rp_initiated,
            "try.frontchannel": self.frontchannel,
            "try.returned": self.returned,
        }
        self._first: TestBrowser | None = None
        self._second: TestBrowser | None = None
        self._after_logout: Page | None = None
        self._state = ""
        self._receives_notices = False

    def sign_in(self) -> CheckResult:
        """Sign in; the site gets the ``sid`` from the ID token."""
        self._first = self.test_user.sign_in()
        return passed(_("Signed in, with sid %(sid)s.") % {"sid": self._first.sid})

    def backchannel(self) -> CheckResult:
        """Revoke the login session at Hydra by its ``sid``, and wait for the notice."""
        if self._first is None:
            raise refer_to("try.sign_in")
        if not self.test_user.target.client.backchannel_logout_uri:
            raise NotKnown(_("No back-channel URI is registered. See registration.backchannel."))
        test_browser, started_at = self._first, time.monotonic()
        with recorded_refusals(EndReason.BACK_CHANNEL) as refusals:
            self.hydra.revoke_login_session(test_browser.sid)
            self._receives_notices = self._wait_for(lambda: test_browser.whoami() is None)
            codes = refusals()
        if self._receives_notices:
            seconds = time.monotonic() - started_at
            return passed(_("The session ended %(seconds).1f s after the revocation.") % {"seconds": seconds})
        if codes:
            return failed(
                _("The session is still live. This site refused the notice: %(codes)s.") % {"codes": ", ".join(codes)},
                _("Run manage.py ory_doctor --explain %(code)s.") % {"code": codes[0]},
            )
        return failed(
            _("The session is still live %(seconds)d s after the revocation: no notice came.")
            % {"seconds": NOTICE_SECONDS},
            _("See registration.backchannel, registration.address and receiver.backchannel."),
        )

    @sensitive_variables()
    def rp_initiated(self) -> CheckResult:
        """Sign in again, submit the logout button, and accept the logout at Hydra."""
        if self._first is None:
            raise refer_to("try.sign_in")
        test_browser = self._second = self.test_user.sign_in()
        page = self._submit_logout_button(test_browser.browser)
        if test_browser.whoami() is not None:
            raise UnexpectedResponse(page, _("The session here should have ended first. See the log of this site."))
        response = self._send_to_hydra(test_browser.browser, page)
        if "logout_challenge" not in response.query:
            raise UnexpectedResponse(response, _("Hydra should show its logout page. See history.logout_request."))
        self._after_logout = test_browser.browser.get(
            self.hydra.accept_logout_request(response.query["logout_challenge"])
        )
        return passed(
            _("The session ended here first. Then Hydra showed its logout page, and the doctor accepted the logout.")
        )

    @sensitive_variables()
    def _submit_logout_button(self, browser: Browser) -> Page:
        url = conf.get().absolute("logout")
        page = browser.get(url)
        for form in page.forms:
            if is_same_page(form.action, url):
                return browser.submit(form, page.url)
        raise UnexpectedResponse(page, _("The logout page should have a form with {% logout_button %}."))

    @sensitive_variables()
    def _send_to_hydra(self, browser: Browser, page: Page) -> Page:
        """Follow the redirect or submit the form to Hydra's end session endpoint."""
        endpoint = self.test_user.target.metadata.end_session_endpoint or ""
        forms = [form for form in page.forms if is_same_page(form.action, endpoint)]
        if is_same_page(page.location, endpoint):
            self._state = page.query.get("state", "")
            return browser.get(page.location)
        if forms:
            self._state = forms[0].fields.get("state", "")
            return browser.submit(forms[0], page.url)
        raise UnexpectedResponse(
            page, _("This site should send the browser to Hydra. See provider.endpoints, and the log of this site.")
        )

    def frontchannel(self) -> CheckResult:
        """Load the frame of Hydra's page without cookies, as most browsers do today."""
        test_browser, page = self._second_logout()
        if not page.frames:
            return self._without_frames()
        frames = [url for url in page.frames if is_same_page(url, conf.get().absolute("frontchannel_logout"))]
        if not frames:
            url = page.frames[0].partition("?")[0]
            return failed(
                _("Hydra's page loads %(url)s, which is not the URL of this site.") % {"url": url}, str(REGISTER_CLIENT)
            )
        frame = Browser().get(frames[0])
        if not frame.response.ok:
            raise UnexpectedResponse(frame, _("The frame should answer 200. See receiver.frontchannel."))
        if query_of(frames[0]).get("sid") != test_browser.sid:
            raise UnexpectedResponse(frame, _("The sid of the frame is not the sid of the sign-in."))
        return passed(_("Hydra's page loads it, and it answers 200."))

    def _without_frames(self) -> CheckResult:
        if self.test_user.target.client.frontchannel_logout_uri:
            return failed(_("Hydra's page loads no frame, although one is registered."), _("See Hydra's log."))
        return passed(_("None is registered, and Hydra's page loads none."))

    @sensitive_variables()
    def returned(self) -> CheckResult:
        """Whether Hydra redirects to the post-logout redirect URI, with the same ``state``."""
        (test_browser, page), callback = self._second_logout(), conf.get().absolute("logout_callback")
        wanted = self.test_user.target.config.post_logout_redirect_uri or callback
        target = page.location or page.refresh
        if not is_same_page(target, wanted):
            raise UnexpectedResponse(page, _("Hydra should send the browser to %(url)s.") % {"url": wanted})
        if query_of(target).get("state") != self._state:
            return failed(_("The browser came back with another state."), _("Find the proxy that changes the URL."))
        if wanted == callback:
            returned = test_browser.browser.get(target)
            if not returned.response.ok and returned.status not in REDIRECTS:
                raise UnexpectedResponse(returned, _("This site should accept the return. See the log of this site."))
        self._await_notice(test_browser)
        return passed(_("The browser came back with the same state."))

    def _second_logout(self) -> tuple[TestBrowser, Page]:
        if self._second is None or self._after_logout is None:
            raise refer_to("try.rp_initiated")
        return self._second, self._after_logout

    def _await_notice(self, test_browser: TestBrowser) -> None:
        """Hydra sends a notice for this logout too. The cleanup deletes its receipt, so wait for that receipt."""
        issuer = self.test_user.target.registration.issuer
        if self._receives_notices:
            self._wait_for(lambda: receipts.rows().filter(sid_digest=digest(issuer, test_browser.sid)).exists())

    def _wait_for(self, condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + NOTICE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True
