"""Probe a logout at Hydra: send a logout request for a stored session, and read where Hydra redirects.

Nothing ends, because nobody answers Hydra's question. Logout requests that nobody answers stay stored at Hydra. Each
login session is probed once, even if several checks need the result.
"""

from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

from django.views.decorators.debug import sensitive_variables

from ... import http
from ...flows.client_registration import client_urls
from ...models import LoginSession
from ...oidc import messages
from ...sessions import engines
from ...sessions.stored_login import StoredLogin
from ..findings import refer_to
from ..redaction import truncate
from ..targets import LogoutProbe, ProviderTarget
from .history import live_sessions

#: How many of the newest login sessions are checked, and for how many subjects Hydra is called.
MAX_SESSIONS, MAX_SUBJECTS = 20, 5
#: The text of Hydra's error page before the actual reason.
ERROR_PREFIX = "otherwise malformed. "


def newest_sessions(target: ProviderTarget) -> list[LoginSession]:
    return list(live_sessions(target).order_by("-created_at")[:MAX_SESSIONS])


def probe_newest_sessions(target: ProviderTarget) -> list[tuple[LoginSession, LogoutProbe]]:
    """Probe the newest login sessions whose stored session can be read; those of different subjects first."""
    probes: list[tuple[LoginSession, LogoutProbe]] = []
    for row in _different_subjects_first(newest_sessions(target)):
        probe = probe_logout(target, row) if len(probes) < MAX_SUBJECTS else None
        if probe:
            probes.append((row, probe))
    return probes


def is_login_forgotten(target: ProviderTarget) -> bool:
    """Whether Hydra has no login to end, for all probed sessions. Then it sends no notices."""
    probes = probe_newest_sessions(target)
    return bool(probes) and all(probe.redirects_back for _row, probe in probes)


def may_be_on_another_server() -> bool:
    """Whether a live session that this process does not find can be on another server."""
    store = engines.site_store()
    return engines.has_keys(store) and not engines.deleted_stay_deleted(store)


@sensitive_variables()
def probe_logout(target: ProviderTarget, row: LoginSession) -> LogoutProbe | None:
    """Probe a logout of ``row``; ``None`` if its stored session cannot be read."""
    if row.pk not in target.logout_probes:
        login = _login_of(row)
        target.logout_probes[row.pk] = _send_logout_request(target, login) if login else None
    return target.logout_probes[row.pk]


def _different_subjects_first(rows: list[LoginSession]) -> Iterator[LoginSession]:
    newest_of_subject = list({row.subject: row for row in reversed(rows)}.values())[::-1]
    yield from newest_of_subject
    yield from (row for row in rows if row not in newest_of_subject)


@sensitive_variables()
def _login_of(row: LoginSession) -> StoredLogin | None:
    """The login in the stored session of ``row``; ``None`` if it cannot be read."""
    if not row.session_key:
        return None
    return StoredLogin.read(engines.session_without_request(engines.site_store(), row.session_key).load())


@sensitive_variables()
def _send_logout_request(target: ProviderTarget, login: StoredLogin) -> LogoutProbe:
    redirect_uri = client_urls(target.config).post_logout_redirect_uri
    endpoint = target.metadata.end_session_endpoint
    if not endpoint:
        raise refer_to("provider.endpoints")
    form = {"id_token_hint": login.id_token, "post_logout_redirect_uri": redirect_uri, "state": "doctor"}
    response = http.post(endpoint, urlencode(form), {"Content-Type": messages.FORM, "Accept": "text/html"})
    if response.status not in {HTTPStatus.FOUND, HTTPStatus.SEE_OTHER}:
        return LogoutProbe(response.status)
    location = response.headers.get("Location", "")
    query = parse_qs(urlsplit(location).query)
    error = query.get("error_description") or query.get("error") or [""]
    return LogoutProbe(
        response.status,
        shows_logout_page="logout_challenge" in query,
        redirects_back=location.partition("?")[0] == redirect_uri.partition("?")[0],
        error=truncate(error[0].rpartition(ERROR_PREFIX)[2]),
    )
