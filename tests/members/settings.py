"""The site of the tests, with the user model of this folder."""

from tests.settings import *  # noqa: F403

AUTH_USER_MODEL = "members.Member"
AUTHENTICATION_BACKENDS = ["tests.members.backends.SiteBackend"]
# The admin wants permissions, which this model does without.
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_ory_logout",
    "tests.members",
]
ROOT_URLCONF = "tests.members.urls"
