"""What Hydra knows of the login sessions that live here.

Asked by beginning a logout with which nobody goes on: Hydra keeps a question that is never answered, and nothing ends.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from .. import conf, engines
from ..exceptions import OryLogoutError
from ..models import LoginSession
from ..oidc import http, messages
from ..ory.hydra import ConsentSession
from ..sessions import LOGIN
from .findings import Said, Scope, check, failed, passed, quoted, see, unknown, warned
from .history import living_of
from .patients import ProviderPatient

#: How many of the newest login sessions are looked at, and of how many people Hydra is asked.
SAMPLE, PEOPLE = 20, 5
#: What Hydra's error page always says, before it says what is wrong.
PREAMBLE = "otherwise malformed. "

#: By words of Hydra's error page.
CAUSES = (
    (
        "cryptographic primitive",
        gettext_lazy(
            "The ID token was signed with a key that is rotated out. Who signed in before that is logged out here "
            "alone, until they sign in again."
        ),
    ),
    ("whitelisted", gettext_lazy("See registration.post_logout_redirect_uri.")),
    ("issuer", gettext_lazy("Hydra calls itself by another name than at that sign-in: see provider.issuer.")),
    ("before issued", gettext_lazy("Hydra's clock is behind: see provider.clock.")),
)


@dataclass(frozen=True)
class Begun:
    """What Hydra makes of the beginning of a logout. ``error``: the words of its error page."""

    status: int
    asks: bool
    sends_back: bool
    error: str


@check("history.logout_request", gettext_lazy("What Hydra makes of a logout"), Scope.HYDRA)
def logout_request(patient: ProviderPatient) -> Iterator[Said]:
    """Begins the logout of the newest session, and leaves it at that: nobody has said yes, and nothing ends."""
    row, begun = newest_begun(patient)
    if row and begun:
        yield _judged(patient, row, begun)
    elif engines.has_keys(engines.site_store()):
        yield passed(_("Nobody is signed in through it: there is nothing to ask about."))
    else:
        yield passed(_("Sessions stand in browsers' cookies, where the doctor cannot read them. Use --try."))


def newest_begun(patient: ProviderPatient) -> tuple[LoginSession, Begun] | tuple[None, None]:
    """What Hydra makes of a logout of the newest session that can be read."""
    for row in _newest(patient):
        if login := _login_of(row):
            return row, _begun(patient, login)
    return None, None


def is_forgotten(patient: ProviderPatient) -> bool:
    """Whether that finds nothing to end, of which nobody would be told."""
    _row, begun = newest_begun(patient)
    return bool(begun and begun.sends_back)


def _judged(patient: ProviderPatient, row: LoginSession, begun: Begun) -> Said:
    if begun.asks:
        return passed(_("It asks at its logout page, and would end the login session."))
    if begun.error:
        cause = next((words for part, words in CAUSES if part in begun.error), _("Its log tells more."))
        return failed(
            _("It shows its error page: %(words)s") % {"words": begun.error},
            f"{cause} " + _("The session here ends all the same; nobody else is told."),
        )
    if not begun.sends_back:
        return unknown(_("Hydra answers %(status)d.") % {"status": begun.status}, _("See provider.endpoints."))
    remember = _("Accept logins with remember: true; with Kratos as login page, set session.cookie.persistent.")
    if _is_listed(patient, row):
        return failed(
            _("It sends the browser straight back: the login was not remembered."),
            _("Nothing ends there, and nobody is told.") + f" {remember}",
        )
    return failed(
        _("It sends the browser straight back: the login was not remembered, or Hydra has forgotten it."),
        _("Nothing ends there, and nobody is told. See history.known_at_hydra.") + f" {remember}",
    )


def _is_listed(patient: ProviderPatient, row: LoginSession) -> bool:
    try:
        return row.sid in _sids(list(patient.hydra.consent_sessions(row.subject)))
    except OryLogoutError:
        return False


@check("history.known_at_hydra", gettext_lazy("Login sessions that Hydra knows"), Scope.HYDRA)
def known_at_hydra(patient: ProviderPatient) -> Iterator[Said]:
    """Sessions that live here, while Hydra's are gone, or while Hydra has forgotten whom to tell of their end."""
    if patient.client.subject_type == "pairwise":
        yield passed(_("Subjects are pairwise: Hydra knows these people by other names, and cannot be asked."))
        return
    newest = [row for row in _newest(patient) if row.sid]
    subjects = list(dict.fromkeys(row.subject for row in newest))[:PEOPLE]
    consents = {subject: list(patient.hydra.consent_sessions(subject)) for subject in subjects}
    unlisted = [row for row in newest if row.subject in consents and row.sid not in _sids(consents[row.subject])]
    found = [said for row in unlisted[:PEOPLE] for said in _lost(patient, row, consents)]
    # One row for each kind of loss.
    yield from {said.todo: said for said in reversed(found)}.values()
    if not found:
        yield passed(_("All that could be looked at, of %(count)d.") % {"count": len(newest)})


def _lost(patient: ProviderPatient, row: LoginSession, consents: dict[str, list[ConsentSession]]) -> Iterator[Said]:
    """Hydra does not list ``row``. That alone means nothing: a flow that reuses a consent is not listed."""
    ours = [one for one in consents[row.subject] if _client_id(one) == patient.registration.client_id]
    lapsed = _may_have_lapsed(row, [one for several in consents.values() for one in several])
    login = _login_of(row)
    if row.session_key and not login:
        return  # it does not live here either
    lives = _lives_at_hydra(patient, login) if login else None
    if lives is None and (lapsed or any(one.remember for one in ours)):
        return
    sid = {"sid": f"{str(row.sid)[:8]}…"}
    if not lives and ours:
        yield failed(
            _(
                "Sessions live here, such as sid %(sid)s, whose login session is gone at Hydra: it was revoked by "
                "subject, which tells nobody, or its notice was lost, or it was never remembered."
            )
            % sid,
            _(
                "To log people out, use manage.py ory_force_logout, which tells the applications. "
                "See history.notices and history.logout_request."
            ),
        )
    elif not ours and not lapsed:
        yield (failed if lives is False else warned)(
            _(
                "Sessions live here, such as sid %(sid)s, for which Hydra lists no consent: consents were revoked "
                "first, and then Hydra finds nobody to tell when the login ends. Or they are past their remember_for."
            )
            % sid,
            _("End login sessions by sid before consents, as manage.py ory_force_logout does."),
        )


@sensitive_variables()
def _lives_at_hydra(patient: ProviderPatient, login: dict[str, Any]) -> bool | None:
    """Whether Hydra would end that login session; ``None`` where it takes no hint of it."""
    begun = _begun(patient, login)
    return begun.asks if begun.asks or begun.sends_back else None


def _may_have_lapsed(row: LoginSession, consents: Sequence[ConsentSession]) -> bool:
    """Whether consents are given for a time that is over for ``row``, as far as others tell."""
    given_for = [one.remember_for for one in consents if one.remember_for]
    return bool(given_for) and row.created_at + timedelta(seconds=min(given_for)) < timezone.now()


def _sids(consents: Sequence[ConsentSession]) -> set[str]:
    return {one.consent_request.login_session_id for one in consents}


def _client_id(consent: ConsentSession) -> str:
    return consent.consent_request.client.client_id


def _newest(patient: ProviderPatient) -> list[LoginSession]:
    return list(living_of(patient).order_by("-created_at")[:SAMPLE])


@sensitive_variables()
def _login_of(row: LoginSession) -> dict[str, Any] | None:
    """What the stored session keeps of its sign-in, where it can be read."""
    store = engines.site_store()
    login: dict[str, Any] | None = store(row.session_key).load().get(LOGIN) if row.session_key else None
    return login


@sensitive_variables()
def _begun(patient: ProviderPatient, login: dict[str, Any]) -> Begun:
    redirect_uri = patient.config.post_logout_redirect_uri or conf.get().absolute("logout_callback")
    endpoint = patient.metadata.end_session_endpoint
    if not endpoint:
        raise see("provider.endpoints")
    form = {"id_token_hint": login["id_token"], "post_logout_redirect_uri": redirect_uri, "state": "doctor"}
    response = http.post(endpoint, urlencode(form), {"Content-Type": messages.FORM, "Accept": "text/html"})
    if response.status not in {HTTPStatus.FOUND, HTTPStatus.SEE_OTHER}:
        return Begun(response.status, asks=False, sends_back=False, error="")
    location = response.headers.get("Location", "")
    query = parse_qs(urlsplit(location).query)
    said = query.get("error_description") or query.get("error") or [""]
    return Begun(
        response.status,
        asks="logout_challenge" in query,
        sends_back=location.partition("?")[0] == redirect_uri.partition("?")[0],
        error=quoted(said[0].rpartition(PREAMBLE)[2]),
    )
