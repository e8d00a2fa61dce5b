"""``urls.login``: who is it? Hydra remembers, or this site knows already, or somebody signs in."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ...ory.hydra import LoginRequest
from .. import conf, hydra_logins, revocation
from ..authorization_prompt import AuthorizationPrompt, with_prompt_login
from ..subjects import is_subject, known_subject
from .base import page, redirect


@page("login")
def login(request: HttpRequest, challenge: str) -> HttpResponse:
    """The login page."""
    login = conf.get().admin.login_request(challenge)
    asked = AuthorizationPrompt.parse(login.request_url)
    if login.skip:
        return _remembered(request, login, asked)
    if asked.silent:
        return _login_required(login)
    if request.method == "GET" and request.user.is_authenticated and not _too_old(request, asked) and not asked.anew:
        return _accept(request, login)
    return _form(request, login)


def _remembered(request: HttpRequest, login: LoginRequest, asked: AuthorizationPrompt) -> HttpResponse:
    """Hydra remembers ``login.subject``, so that nobody else can be accepted."""
    if not _is_ours(request, login):
        return _login_required(login) if asked.silent else _forget(login)
    if not asked.opaque and (asked.anew or _too_old(request, asked)):
        return _login_required(login) if asked.silent else redirect(with_prompt_login(login.request_url))
    return _accept(request, login)


def _is_ours(request: HttpRequest, login: LoginRequest) -> bool:
    """Whether the session here belongs to the login that Hydra remembers: Hydra's memory counts for nothing by itself.

    The session may have ended while Hydra could not be told, or with the browser, or because a password was changed;
    somebody else may have signed in, and anybody may have been deactivated.
    """
    same = is_subject(conf.get().subject_of, request.user, login.subject)
    return same and login.session_id in hydra_logins.read(request.session).sids


def _forget(login: LoginRequest) -> HttpResponse:
    """Hydra forgets, its applications are told, and the authorization request is made once more."""
    conf.get().admin.revoke_login_session(login.session_id)
    return redirect(login.request_url)


def _too_old(request: HttpRequest, asked: AuthorizationPrompt) -> bool:
    """Hydra counts ``max_age`` from when we accepted, and that may have been long after somebody gave a password."""
    return asked.max_age is not None and hydra_logins.read(request.session).older_than(asked.max_age)


def _form(request: HttpRequest, login: LoginRequest) -> HttpResponse:
    initial = {"username": login.oidc_context.login_hint}
    form = conf.get().login_form(request, data=request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        revocation.sign_in(request, form)
        return _accept(request, login)
    return render(request, "ory_hydra_ui/login.html", {"form": form, "login": login})


def _accept(request: HttpRequest, login: LoginRequest) -> HttpResponse:
    """Whoever is signed in to this site in this browser.

    Always remembered: what is not remembered can never be logged out, and Hydra fails (v26.2) if the browser still has
    the cookie of a login that was revoked. As long as the session here, without which it counts for nothing.
    """
    config = conf.get()
    authenticated = config.authentication(request, login=login)
    subject = known_subject(config.subject_of, request.user)
    to = config.admin.accept_login_request(
        login.challenge,
        subject=subject,
        remember=True,
        remember_for=config.remember_for or request.session.get_expiry_age(),
        acr=authenticated.acr,
        amr=authenticated.amr,
    )
    # Not before: what Hydra did not accept is no login, and must not push one out.
    hydra_logins.keep_sid(request.session, login.session_id)
    hydra_logins.save(request.session)
    return redirect(to)


def _login_required(login: LoginRequest) -> HttpResponse:
    """Nobody may be asked (Core 3.1.2.6)."""
    description = "The person has to sign in, and no page may be shown."
    return redirect(conf.get().admin.reject_login_request(login.challenge, "login_required", description))
