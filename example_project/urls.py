from django.apps import apps
from django.contrib import admin
from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("private/", views.private, name="private"),
    path("auth/", include("django_ory_logout.urls")),
    path("admin/", admin.site.urls),
]

if apps.is_installed("django_ory_logout.hydra_ui"):
    urlpatterns += [path("hydra/", include("django_ory_logout.hydra_ui.urls"))]
