"""A test user at this site, with its own browser. The doctor accepts its login by Hydra's admin API."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from ... import conf
from ...models import EventKind, digest
from ...sessions import events, index
from ..browser import REDIRECTS, Browser, Page, query_of
from ..redaction import redact_url
from ..targets import ProviderTarget

#: How long Hydra remembers the login, in seconds, if the cleanup does not revoke it.
REMEMBER_SECONDS = 600
PAIRWISE = "pairwise"
#: How the subject of each test user begins.
PREFIX = "ory-doctor-"
#: The longest error description that is shown, in characters.
MAX_DESCRIPTION_LENGTH = 200
#: A sign-in takes less time than this, and so does the wait for a notice.
LEASE_SECONDS = 120


class TrialFailed(Exception):
    """A step failed. The text says why, and ``todo`` what to do. They hold no code, token or cookie."""

    def __init__(self, found: str, todo: str) -> None:
        super().__init__(found)
        self.todo = todo


class UnexpectedResponse(TrialFailed):
    """``page`` is not the expected response. ``reason``: why, from this site's own log."""

    def __init__(self, page: Page, todo: str, reason: str = "") -> None:
        query = page.query or query_of(page.url)
        error = " ".join(query[name] for name in ("error", "error_description") if name in query)
        location = redact_url(page.location or page.url)
        found = _("%(url)s answers %(status)d.")
        if page.location:
            found = _("%(url)s answers %(status)d and sends the browser to %(location)s.")
        found %= {"url": redact_url(page.url), "status": page.status, "location": location}
        if error and not reason:
            reason = _("Error: %(error)s") % {"error": _last_characters(error)}
        super().__init__(f"{found} {reason}".strip(), todo)


def _last_characters(error: str) -> str:
    """The end of ``error``: Hydra begins with the text of the specification, and ends with the actual reason."""
    return error if len(error) <= MAX_DESCRIPTION_LENGTH else f"…{error[-MAX_DESCRIPTION_LENGTH:]}"


def is_same_page(url: str, target: str) -> bool:
    """Whether both are the same URL, apart from the query and the last slash."""
    return bool(url) and url.partition("?")[0].rstrip("/") == target.partition("?")[0].rstrip("/")


@dataclass
class TestUser:
    """The user of one trial, with a new subject. It collects the ids that the cleanup needs."""

    target: ProviderTarget
    subject: str = field(default_factory=lambda: f"{PREFIX}{secrets.token_hex(8)}")
    started_at: datetime = field(default_factory=timezone.now)
    #: The id of the newest event before the trial.
    last_event_id: int = field(default_factory=lambda: newest_event_id())
    #: The subjects in ID tokens: with pairwise subjects, this site does not see the same subject as Hydra.
    subjects: set[str] = field(default_factory=set)
    sids: list[str] = field(default_factory=list)
    #: Whether Hydra may know the subject.
    is_at_hydra: bool = False
    #: Whether the site at the public URL writes to another database than this process.
    is_in_other_database: bool = False

    def __post_init__(self) -> None:
        self.subjects.add(self.subject)

    @sensitive_variables()
    def sign_in(self) -> "TestBrowser":
        """Sign in by this site's login view and callback. Raises :exc:`UnexpectedResponse`, and errors of requests."""
        test_browser = TestBrowser(Browser())
        with recorded_refusals("sign-in") as refusals:
            page = test_browser.browser.get(f"{conf.get().absolute('login')}?provider={self.target.config.alias}")
            _require_redirect(page, refusals)
            response = self._call_callback(test_browser.browser, self._accept_at_hydra(test_browser.browser, page))
            _require_redirect(response, refusals)
        test_browser.sid = self._verify_signed_in(test_browser)
        return test_browser

    @sensitive_variables()
    def _accept_at_hydra(self, browser: Browser, page: Page) -> Page:
        """Follow the login view's redirect to Hydra, accept login and consent, and return Hydra's last response."""
        hydra = self.target.hydra
        if not is_same_page(page.location, self.target.metadata.authorization_endpoint):
            raise UnexpectedResponse(
                page, _("The login page should send the browser to Hydra. See provider.endpoints.")
            )
        page = browser.get(page.location)
        challenge = _challenge(page, "login_challenge")
        redirect_to = hydra.accept_login_request(challenge, subject=self.subject, remember_for=REMEMBER_SECONDS)
        self.is_at_hydra = True
        page = browser.get(redirect_to)
        challenge = _challenge(page, "consent_challenge")
        consent_request = hydra.consent_request(challenge)
        redirect_to = hydra.accept_consent_request(
            challenge,
            grant_scope=consent_request.requested_scope,
            grant_access_token_audience=consent_request.requested_access_token_audience,
        )
        return browser.get(redirect_to)

    @sensitive_variables()
    def _call_callback(self, browser: Browser, page: Page) -> Page:
        callback = self.target.config.redirect_uri
        forms = [form for form in page.forms if is_same_page(form.action, callback)]
        if is_same_page(page.location, callback) and "error" not in page.query:
            return browser.get(page.location)
        if forms:
            return browser.submit(forms[0], page.url)
        raise UnexpectedResponse(
            page, _("Hydra should send the browser back with a code. See registration.redirect_uri.")
        )

    def _verify_signed_in(self, test_browser: "TestBrowser") -> str:
        """Verify that ``whoami`` names the test user, and return its ``sid``."""
        login = test_browser.whoami()
        if login is None or not self._is_own_login(login):
            raise UnexpectedResponse(
                test_browser.page,
                _("The test user should be signed in now. See site.sessions, and the site's cookies."),
            )
        self.subjects.add(str(login["subject"]))
        if not login.get("sid"):
            raise UnexpectedResponse(
                test_browser.page, _("The ID token has no sid: no notice by sid can end this session.")
            )
        self.sids.append(str(login["sid"]))
        self._require_row(self.sids[-1])
        return self.sids[-1]

    def _require_row(self, sid: str) -> None:
        """The row must be in this process's database. Otherwise the doctor can neither see nor delete it."""
        if not index.rows().filter(sid_digest=digest(self.target.registration.issuer, sid)).exists():
            self.is_in_other_database = True
            raise TrialFailed(
                _("The site at the public URL uses another database than this command."),
                _("Run the command where the site runs, with the site's settings and environment."),
            )

    def _is_own_login(self, login: Mapping[str, Any]) -> bool:
        return login.get("subject") == self.subject or self.target.client.subject_type == PAIRWISE


@dataclass
class TestBrowser:
    """A browser in which the test user has signed in. ``page``: its last response from ``whoami``."""

    browser: Browser
    sid: str = ""

    def whoami(self) -> Mapping[str, Any] | None:
        """The login of this browser, as this site's ``whoami`` says; ``None`` without a login.

        Raises :exc:`UnexpectedResponse`.
        """
        self.page = self.browser.get(conf.get().absolute("whoami"), {"Accept": "application/json"})
        if self.page.status == HTTPStatus.UNAUTHORIZED:
            return None
        if not self.page.response.ok:
            raise UnexpectedResponse(self.page, _("whoami should say who is signed in. See the log of this site."))
        return self.page.response.json()


def _require_redirect(page: Page, refusals: Callable[[], list[str]]) -> None:
    """Raise :exc:`UnexpectedResponse` if this site did not redirect the browser."""
    if page.status not in REDIRECTS:
        codes = refusals()
        todo = _("Run manage.py ory_doctor --explain %(code)s.") % {"code": codes[0]} if codes else _("See its log.")
        reason = _("This site refused the sign-in: %(codes)s.") if codes else _("This site did not redirect.")
        raise UnexpectedResponse(page, todo, reason % {"codes": ", ".join(codes)})


def _challenge(page: Page, name: str) -> str:
    if name not in page.query:
        todo = _("Hydra should send the browser to its %(name)s page. See registration.redirect_uri.")
        raise UnexpectedResponse(page, todo % {"name": name.partition("_")[0]})
    return page.query[name]


def newest_event_id() -> int:
    return events.rows().aggregate(pk=Max("pk"))["pk"] or 0


@contextmanager
def recorded_refusals(channel: str) -> Iterator[Callable[[], list[str]]]:
    """Record this site's refusals in the block. Yields a function that returns their codes so far."""
    refusals = events.rows().filter(pk__gt=newest_event_id(), kind=EventKind.REFUSED, code__startswith=f"{channel}: ")

    def codes() -> list[str]:
        return sorted({code.partition(": ")[2] for code in refusals.values_list("code", flat=True)})

    with events.follow(LEASE_SECONDS):
        yield codes
