"""The URLs of the example project, with Kratos only."""

from django.urls import include, path

from example_project import kratos

urlpatterns = [
    *(path(f"kratos/{name}/", kratos.flow, {"name": name}) for name in kratos.TITLES),
    path("kratos/error/", kratos.error),
    path("", include("example_project.urls")),
]
