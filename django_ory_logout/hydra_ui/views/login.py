"""``urls.login``: who is it? Hydra remembers, or this site knows already, or somebody signs in."""

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ...ory.hydra import LoginRequest
from .. import conf, revocation, sessions
from ..asked import Asked, with_prompt_login
from ..hooks import AuthenticationContext
from ..subjects import active_user, known_subject
from .base import page, redirect


@page("login")
def login(request: HttpRequest, challenge: str) -> HttpResponse:
    """The login page."""
    login = conf.get().admin.login_request(challenge)
    asked = Asked.parse(login.request_url)
    if login.skip:
        return _remembered(request, login, asked)
    if asked.silent:
        return _login_required(login)
    if request.method == "GET" and request.user.is_authenticated and not _too_old(request, asked) and not asked.anew:
        return _accept(request, login, request.user)
    return _form(request, login)


def _remembered(request: HttpRequest, login: LoginRequest, asked: Asked) -> HttpResponse:
    """Hydra remembers ``login.subject``, so that nobody else can be accepted."""
    if not _still_stands_for(request, login):
        # Hydra forgets, the applications are told, and the authorization request is made once more.
        revocation.settle(login.session_id)
        return redirect(login.request_url)
    if not asked.opaque and (asked.anew or _too_old(request, asked)):
        return _login_required(login) if asked.silent else redirect(with_prompt_login(login.request_url))
    return _accept(request, login, request.user if request.user.is_authenticated else None)


def _still_stands_for(request: HttpRequest, login: LoginRequest) -> bool:
    """Whether this site, too, would say that this browser is ``login.subject``'s."""
    subjects = conf.get().subjects
    if revocation.is_owed(login.session_id) or not active_user(subjects, login.subject):
        return False
    # Without a Django session nobody contradicts Hydra: it may have expired, or the page be in a hidden frame.
    return not request.user.is_authenticated or known_subject(subjects, request.user) == login.subject


def _too_old(request: HttpRequest, asked: Asked) -> bool:
    """Hydra counts ``max_age`` from when we accepted, and that may have been long after somebody gave a password."""
    if asked.max_age is None or not request.user.is_authenticated:
        return False
    return sessions.read(request.session).older_than(asked.max_age)


def _form(request: HttpRequest, login: LoginRequest) -> HttpResponse:
    initial = {"username": login.oidc_context.login_hint}
    form = conf.get().login_form(request, data=request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        revocation.sign_in(request, form)
        return _accept(request, login, form.get_user())
    return render(request, "ory_hydra_ui/login.html", {"form": form, "login": login})


def _accept(request: HttpRequest, login: LoginRequest, user: AbstractBaseUser | None) -> HttpResponse:
    """``user``: who is signed in to this site in this browser, if anybody."""
    config, kept = conf.get(), sessions.read(request.session)
    authenticated = AuthenticationContext()
    remember = login.skip or kept.remember
    if user:
        authenticated = config.authentication(request, user, login=login)
        if remember:
            sessions.keep_sid(request.session, login.session_id)
    to = config.admin.accept_login_request(
        login.challenge,
        subject=known_subject(config.subjects, user) if user else login.subject,
        remember=remember,
        remember_for=config.remember_for,
        acr=authenticated.acr,
        amr=authenticated.amr,
    )
    return redirect(to)


def _login_required(login: LoginRequest) -> HttpResponse:
    """Nobody may be asked (Core 3.1.2.6)."""
    description = "The person has to sign in, and no page may be shown."
    return redirect(conf.get().admin.reject_login_request(login.challenge, "login_required", description))
