"""Somebody synthetic at this site, in a browser of their own, whose login Hydra's admin API accepts."""

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
from ..findings import address
from ..targets import ProviderTarget

#: How long Hydra remembers a login of ours, in seconds, should nobody make it forget.
REMEMBER_SECONDS = 600
PAIRWISE = "pairwise"
#: With what the subject begins.
PREFIX = "ory-doctor-"
#: So much of an error's description is shown.
LONGEST = 200
#: A sign-in, or the wait for a notice, takes less.
LEASE_SECONDS = 120


class TrialFailed(Exception):
    """Something is not as it should be. Its text says what, and never a code, a token or a cookie; ``todo``, a way."""

    def __init__(self, found: str, todo: str) -> None:
        super().__init__(found)
        self.todo = todo


class UnexpectedResponse(TrialFailed):
    """Something else came than should have; ``said`` of it, if anything, by this site's own log."""

    def __init__(self, page: Page, todo: str, said: str = "") -> None:
        given = page.query or query_of(page.url)
        words = said or _ending(" ".join(given[name] for name in ("error", "error_description") if name in given))
        where = address(page.location or page.url)
        found = {"url": address(page.url), "status": page.status, "where": where, "words": words}
        text = _("%(url)s answers %(status)d")
        text += _(" and sends the browser to %(where)s") if page.location else ""
        super().__init__((text + (": %(words)s" if words else ".")) % found, todo)


def _bare(url: str) -> str:
    return url.partition("?")[0]


def _ending(words: str) -> str:
    """Hydra begins with what the specification says of an error, and ends with what it means."""
    return words if len(words) <= LONGEST else f"…{words[-LONGEST:]}"


def leads_to(url: str, target: str) -> bool:
    """Whether ``url`` is ``target``, whatever the query, and with or without the last slash."""
    return bool(url) and _bare(url).rstrip("/") == _bare(target).rstrip("/")


@dataclass
class TestUser:
    """A person made up for one try: nobody's subject, and what came of it."""

    target: ProviderTarget
    subject: str = field(default_factory=lambda: f"{PREFIX}{secrets.token_hex(8)}")
    started: datetime = field(default_factory=timezone.now)
    #: The newest event of that time.
    after: int = field(default_factory=lambda: newest())
    #: As this site knows them: another subject where Hydra's are pairwise.
    subjects: set[str] = field(default_factory=set)
    sids: list[str] = field(default_factory=list)
    #: Whether Hydra may know the subject.
    is_at_hydra: bool = False
    #: Whether the site that signs in keeps its rows in another database.
    is_elsewhere: bool = False

    def __post_init__(self) -> None:
        self.subjects.add(self.subject)

    @sensitive_variables()
    def sign_in(self) -> "TestBrowser":
        """By the login page of this site, and back. Raises :exc:`UnexpectedResponse`, and whatever calls raise."""
        visitor = TestBrowser(Browser())
        with overheard("sign-in") as refusals:
            page = visitor.browser.get(f"{conf.get().absolute('login')}?provider={self.target.config.alias}")
            _let_in(page, refusals)
            answer = self._called_back(visitor.browser, self._accepted(visitor.browser, page))
            _let_in(answer, refusals)
        visitor.sid = self._recognized(visitor)
        return visitor

    @sensitive_variables()
    def _accepted(self, browser: Browser, page: Page) -> Page:
        """From the redirect of the login page to Hydra; where that goes on once login and consent are accepted."""
        hydra = self.target.hydra
        if not leads_to(page.location, self.target.metadata.authorization_endpoint):
            raise UnexpectedResponse(
                page, _("The login page should send the browser to Hydra. See provider.endpoints.")
            )
        page = browser.get(page.location)
        challenge = _challenge(page, "login_challenge")
        to = hydra.accept_login_request(challenge, subject=self.subject, remember_for=REMEMBER_SECONDS)
        self.is_at_hydra = True
        page = browser.get(to)
        challenge = _challenge(page, "consent_challenge")
        asked = hydra.consent_request(challenge)
        to = hydra.accept_consent_request(
            challenge,
            grant_scope=asked.requested_scope,
            grant_access_token_audience=asked.requested_access_token_audience,
        )
        return browser.get(to)

    @sensitive_variables()
    def _called_back(self, browser: Browser, page: Page) -> Page:
        callback = self.target.config.redirect_uri
        forms = [one for one in page.forms if leads_to(one.action, callback)]
        if leads_to(page.location, callback) and "error" not in page.query:
            return browser.get(page.location)
        if forms:
            return browser.submit(forms[0], page.url)
        raise UnexpectedResponse(
            page, _("Hydra should send the browser back with a code. See registration.redirect_uri.")
        )

    def _recognized(self, visitor: "TestBrowser") -> str:
        said = visitor.whoami()
        if said is None or not self._is_us(said):
            raise UnexpectedResponse(
                visitor.answer, _("Somebody should be signed in now. See site.sessions, and this site's cookies.")
            )
        self.subjects.add(str(said["subject"]))
        if not said.get("sid"):
            raise UnexpectedResponse(
                visitor.answer, _("The ID token has no sid: no notice by sid can end this session.")
            )
        self.sids.append(str(said["sid"]))
        self._require_row(self.sids[-1])
        return self.sids[-1]

    def _require_row(self, sid: str) -> None:
        """Of this database: else nothing that was made can be seen or unmade here."""
        if not index.rows().filter(sid_digest=digest(self.target.registration.issuer, sid)).exists():
            self.is_elsewhere = True
            raise TrialFailed(
                _("The site that answers uses another database than this command."),
                _("Run the command with the settings and the environment of the site, where the site runs."),
            )

    def _is_us(self, said: Mapping[str, Any]) -> bool:
        return said.get("subject") == self.subject or self.target.client.subject_type == PAIRWISE


@dataclass
class TestBrowser:
    """A browser in which somebody synthetic has signed in."""

    browser: Browser
    sid: str = ""

    def whoami(self) -> Mapping[str, Any] | None:
        """Who is signed in, by the site's own answer; ``None`` for nobody. Raises :exc:`UnexpectedResponse`."""
        self.answer = self.browser.get(conf.get().absolute("whoami"), {"Accept": "application/json"})
        if self.answer.status == HTTPStatus.UNAUTHORIZED:
            return None
        if not self.answer.response.ok:
            raise UnexpectedResponse(self.answer, _("whoami should say who is signed in. See the log of this site."))
        return self.answer.response.json()


def _let_in(page: Page, refusals: Callable[[], list[str]]) -> None:
    """Raises :exc:`UnexpectedResponse` where this site does not send the browser on."""
    if page.status not in REDIRECTS:
        codes = refusals()
        todo = _("Run manage.py ory_doctor --explain %(code)s.") % {"code": codes[0]} if codes else _("See its log.")
        raise UnexpectedResponse(
            page, todo, _("this site lets nobody in (%(codes)s).") % {"codes": ", ".join(codes) or "?"}
        )


def _challenge(page: Page, name: str) -> str:
    if name not in page.query:
        todo = _("Hydra should send the browser to its %(name)s page. See registration.redirect_uri.")
        raise UnexpectedResponse(page, todo % {"name": name.partition("_")[0]})
    return page.query[name]


def newest() -> int:
    """The highest number of an event so far."""
    return events.rows().aggregate(pk=Max("pk"))["pk"] or 0


@contextmanager
def overheard(channel: str) -> Iterator[Callable[[], list[str]]]:
    """Have this site keep what it refuses during the block; what the block is given says the codes so far."""
    heard = events.rows().filter(pk__gt=newest(), kind=EventKind.REFUSED, code__startswith=f"{channel}: ")

    def codes() -> list[str]:
        return sorted({code.partition(": ")[2] for code in heard.values_list("code", flat=True)})

    with events.follow(LEASE_SECONDS):
        yield codes
