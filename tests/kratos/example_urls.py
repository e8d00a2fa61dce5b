"""The example project, as it is where people sign in by Kratos alone."""

from django.urls import include, path

from example_project import kratos

urlpatterns = [
    *(path(f"kratos/{name}/", kratos.flow, {"name": name}) for name in kratos.TITLES),
    path("kratos/error/", kratos.error),
    path("", include("example_project.urls")),
]
