from django.urls import include, path

from .urls import urlpatterns as pages

urlpatterns = [*pages, path("auth/", include("django_ory_logout.urls"))]
