"""``path("hydra/", include("django_ory_logout.hydra_ui.urls"))``, namespace ``hydra_ui``."""

from django.urls import path

from .views import consent, login, logout, pages

app_name = "hydra_ui"

urlpatterns = [
    path("login/", login.login, name="login"),
    path("consent/", consent.consent, name="consent"),
    path("logout/", logout.logout, name="logout"),
    path("logged-out/", pages.logged_out, name="logged_out"),
    path("error/", pages.error, name="error"),
]
