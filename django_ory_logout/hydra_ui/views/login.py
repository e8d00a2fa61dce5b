"""``urls.login``: accept the login that Hydra remembers, or this site's session, or show the login form."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ...ory.hydra import LoginRequest
from ...views.errors import HiddenRedirect
from .. import conf, hydra_logins, revocation
from ..authorization_prompt import AuthorizationPrompt, with_prompt_login
from ..subjects import is_subject, known_subject
from .base import challenge_page


@challenge_page("login")
def login(request: HttpRequest, challenge: str) -> HttpResponse:
    login = conf.get().admin.login_request(challenge)
    prompt = AuthorizationPrompt.parse(login.request_url)
    if login.skip:
        return _remembered(request, login, prompt)
    if prompt.silent:
        return _login_required(login)
    if request.method == "GET" and request.user.is_authenticated and not _must_sign_in_again(request, prompt):
        return _accept(request, login)
    return _form(request, login)


def _remembered(request: HttpRequest, login: LoginRequest, prompt: AuthorizationPrompt) -> HttpResponse:
    """Hydra remembers ``login.subject``, and accepts no other subject."""
    if not _is_ours(request, login):
        return _login_required(login) if prompt.silent else _forget(login)
    if not prompt.opaque and _must_sign_in_again(request, prompt):
        return _login_required(login) if prompt.silent else HiddenRedirect(with_prompt_login(login.request_url))
    return _accept(request, login)


def _is_ours(request: HttpRequest, login: LoginRequest) -> bool:
    """Whether the session here belongs to the login that Hydra remembers. Hydra's login alone is not enough.

    The session may have ended while Hydra did not answer, with the browser, or after a new password. Another user may
    have signed in, or the user may be inactive now.
    """
    same = is_subject(conf.get().subject_of, request.user, login.subject)
    return same and login.session_id in hydra_logins.read(request.session).sids


def _forget(login: LoginRequest) -> HttpResponse:
    """Revoke the login session, so that Hydra notifies its applications. Then repeat the authorization request."""
    conf.get().admin.revoke_login_session(login.session_id)
    return HiddenRedirect(login.request_url)


def _must_sign_in_again(request: HttpRequest, prompt: AuthorizationPrompt) -> bool:
    """Hydra counts ``max_age`` from the accepted login. The user may have given the password long before that."""
    is_too_old = prompt.max_age is not None and hydra_logins.read(request.session).older_than(prompt.max_age)
    return prompt.reauthenticate or is_too_old


def _form(request: HttpRequest, login: LoginRequest) -> HttpResponse:
    initial = {"username": login.oidc_context.login_hint}
    form = conf.get().login_form(request, data=request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        revocation.sign_in(request, form)
        return _accept(request, login)
    return render(request, "ory_hydra_ui/login.html", {"form": form, "login": login})


def _accept(request: HttpRequest, login: LoginRequest) -> HttpResponse:
    """Accept the user who is signed in to this site in this browser.

    Hydra must remember the login. Otherwise it cannot be logged out, and Hydra fails (v26.2) if the browser still has
    the cookie of a revoked login. Hydra remembers it as long as the session here: without that, it does not count.
    """
    config = conf.get()
    context = config.authentication(request, login=login)
    subject = known_subject(config.subject_of, request.user)
    to = config.admin.accept_login_request(
        login.challenge,
        subject=subject,
        remember=True,
        remember_for=config.remember_for or request.session.get_expiry_age(),
        acr=context.acr,
        amr=context.amr,
    )
    # Not earlier: if Hydra does not accept it, it must not push out another login session.
    hydra_logins.keep_sid(request.session, login.session_id)
    hydra_logins.save(request.session)
    return HiddenRedirect(to)


def _login_required(login: LoginRequest) -> HttpResponse:
    """Reject the request: the login form may not be shown (Core 3.1.2.6)."""
    description = "The person has to sign in, and no page may be shown."
    return HiddenRedirect(conf.get().admin.reject_login_request(login.challenge, "login_required", description))
