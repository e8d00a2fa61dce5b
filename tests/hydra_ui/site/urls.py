from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.urls import include, path

urlpatterns = [
    path("hydra/", include("django_ory_logout.hydra_ui.urls")),
    path("leave/", login_not_required(LogoutView.as_view(next_page="hydra_ui:logged_out"))),
]
