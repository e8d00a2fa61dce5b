"""The site of the tests, with the user model of this folder."""

from tests.settings import *  # noqa: F403

AUTH_USER_MODEL = "members.Member"
AUTHENTICATION_BACKENDS = ["tests.members.backends.SiteBackend"]
# The admin needs permissions, which this model does not have.
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_ory_logout",
    "tests.members",
]
ROOT_URLCONF = "tests.members.urls"
