"""``path("auth/", include("django_ory_logout.urls"))``, namespace ``ory_logout``."""

from django.urls import path

from .views import kratos, login, logout, notices, sessions

app_name = "ory_logout"

# The receivers also answer without the last slash: Hydra follows a redirect of its POST by a GET and reports success.
urlpatterns = [
    path("login/", login.login, name="login"),
    path("callback/", login.callback, name="callback"),
    path("callback/<str:alias>/", login.callback, name="provider_callback"),
    path("logout/", logout.logout, name="logout"),
    path("logout/callback/", logout.logout_callback, name="logout_callback"),
    path("logout/backchannel/", notices.backchannel_logout, name="backchannel_logout"),
    path("logout/backchannel", notices.backchannel_logout),
    path("logout/frontchannel/", notices.frontchannel_logout, name="frontchannel_logout"),
    path("logout/frontchannel", notices.frontchannel_logout),
    path("sessions/", sessions.sessions, name="sessions"),
    path("kratos/logout/browser/", kratos.logout_flow, name="kratos_logout_flow"),
    path("kratos/logout/", kratos.logout, name="kratos_logout"),
    path("kratos/logout/api/", kratos.native_logout, name="kratos_native_logout"),
    path("kratos/sessions/", kratos.sessions, name="kratos_sessions"),
    path("kratos/sessions/<uuid:session_id>/", kratos.session, name="kratos_session"),
    path("whoami/", sessions.whoami, name="whoami"),
]
