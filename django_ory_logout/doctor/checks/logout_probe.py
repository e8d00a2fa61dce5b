"""Logouts that are begun at Hydra, and with which nobody goes on: it keeps questions that are never answered.

Nothing ends by that. Each session is asked about once, whichever rows need it.
"""

from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

from django.views.decorators.debug import sensitive_variables

from ... import conf, http
from ...models import LoginSession
from ...oidc import messages
from ...sessions import engines
from ...sessions.stored_login import StoredLogin
from ..findings import quoted, see
from ..targets import LogoutProbeResult, ProviderTarget
from .history import living_of

#: How many of the newest login sessions are looked at, and how many people Hydra is asked about.
SAMPLE, PEOPLE = 20, 5
#: What Hydra's error page always says, before it says what is wrong.
PREAMBLE = "otherwise malformed. "


def newest_of(target: ProviderTarget) -> list[LoginSession]:
    """The newest sessions that live here."""
    return list(living_of(target).order_by("-created_at")[:SAMPLE])


def sample_of(target: ProviderTarget) -> list[tuple[LoginSession, LogoutProbeResult]]:
    """What Hydra makes of a logout of the newest sessions that can be read: of different people, where there are."""
    sample: list[tuple[LoginSession, LogoutProbeResult]] = []
    for row in _different_people_first(newest_of(target)):
        begun = begun_of(target, row) if len(sample) < PEOPLE else None
        if begun:
            sample.append((row, begun))
    return sample


def is_forgotten(target: ProviderTarget) -> bool:
    """Whether Hydra finds nothing to end, of which nobody would be told."""
    sample = sample_of(target)
    return bool(sample) and all(begun.sends_back for _row, begun in sample)


def may_be_elsewhere() -> bool:
    """Whether a session that lives, and is not found where this process looks, can stand where it cannot."""
    store = engines.site_store()
    return engines.has_keys(store) and not engines.deleted_stay_deleted(store)


@sensitive_variables()
def begun_of(target: ProviderTarget, row: LoginSession) -> LogoutProbeResult | None:
    """What Hydra makes of a logout of ``row``; ``None`` where its sign-in cannot be read."""
    if row.pk not in target.begun:
        login = _login_of(row)
        target.begun[row.pk] = _begun(target, login) if login else None
    return target.begun[row.pk]


def _different_people_first(rows: list[LoginSession]) -> Iterator[LoginSession]:
    firsts = list({row.subject: row for row in reversed(rows)}.values())[::-1]
    yield from firsts
    yield from (row for row in rows if row not in firsts)


@sensitive_variables()
def _login_of(row: LoginSession) -> StoredLogin | None:
    """What the stored session keeps of its sign-in, where it can be read."""
    if not row.session_key:
        return None
    return StoredLogin.read(engines.session_without_request(engines.site_store(), row.session_key).load())


@sensitive_variables()
def _begun(target: ProviderTarget, login: StoredLogin) -> LogoutProbeResult:
    redirect_uri = target.config.post_logout_redirect_uri or conf.get().absolute("logout_callback")
    endpoint = target.metadata.end_session_endpoint
    if not endpoint:
        raise see("provider.endpoints")
    form = {"id_token_hint": login.id_token, "post_logout_redirect_uri": redirect_uri, "state": "doctor"}
    response = http.post(endpoint, urlencode(form), {"Content-Type": messages.FORM, "Accept": "text/html"})
    if response.status not in {HTTPStatus.FOUND, HTTPStatus.SEE_OTHER}:
        return LogoutProbeResult(response.status)
    location = response.headers.get("Location", "")
    query = parse_qs(urlsplit(location).query)
    said = query.get("error_description") or query.get("error") or [""]
    return LogoutProbeResult(
        response.status,
        asks="logout_challenge" in query,
        sends_back=location.partition("?")[0] == redirect_uri.partition("?")[0],
        error=quoted(said[0].rpartition(PREAMBLE)[2]),
    )
