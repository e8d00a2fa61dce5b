"""Nothing but this app."""

from django.urls import include, path

urlpatterns = [path("auth/", include("django_ory_logout.urls"))]
