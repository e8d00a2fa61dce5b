"""A site with only Hydra's pages. It is no relying party, and configures none."""

from typing import Any

import environ

env = environ.Env()

SECRET_KEY = "for tests alone"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_ory_logout.hydra_ui",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
]
ROOT_URLCONF = "tests.hydra_ui.site.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES: dict[str, Any] = {"default": env.db("DATABASE_URL", default="sqlite://:memory:")}
CACHES: dict[str, Any] = {"default": env.cache("CACHE_URL", default="locmemcache://")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

ORY_HYDRA_UI: dict[str, Any] = {"ADMIN_URL": env("HYDRA_ADMIN_URL", default="http://hydra.example:4445")}
