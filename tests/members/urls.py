"""The URLs of this app alone."""

from django.urls import include, path

urlpatterns = [path("auth/", include("django_ory_logout.urls"))]
