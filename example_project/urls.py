from django.apps import apps
from django.contrib import admin
from django.urls import include, path

from . import kratos, provider, views

urlpatterns = [
    path("", views.home, name="home"),
    path("private/", views.private, name="private"),
    path("auth/", include("django_ory_logout.urls")),
    path("admin/", admin.site.urls),
]

if provider.is_kratos_alone():
    urlpatterns += [path("spa/", views.spa, name="spa"), path("profile/", views.profile, name="profile")]
    urlpatterns += [path(f"kratos/{name}/", kratos.flow, {"name": name}) for name in kratos.TITLES]
    urlpatterns += [path("kratos/error/", kratos.error)]

if apps.is_installed("django_ory_logout.hydra_ui"):
    urlpatterns += [path("hydra/", include("django_ory_logout.hydra_ui.urls"))]
