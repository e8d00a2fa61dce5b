"""The site of the tests: this app, and nothing that hides its behaviour."""

import re
from typing import Any

import environ

env = environ.Env()
WORKER = env.str("PYTEST_XDIST_WORKER", default="gw0").removeprefix("gw")

SECRET_KEY = "for tests alone"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "rp.example"]
USE_TZ = True
LANGUAGES = [("en", "English"), ("de", "Deutsch")]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django_ory_logout",
    "tests.members",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django_ory_logout.middleware.LoginSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "tests.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES: dict[str, Any] = {"default": env.db("DATABASE_URL", default="sqlite://:memory:")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":
    import pymysql

    pymysql.install_as_MySQLdb()  # mysqlclient must be compiled
CACHES: dict[str, Any] = {"default": env.cache("CACHE_URL", default="locmemcache://")}
# Tests clear the cache, so each process of pytest-xdist has its own Redis database.
CACHES["default"]["LOCATION"] = re.sub(r"/0$", f"/{WORKER}", CACHES["default"]["LOCATION"])
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "django_ory_logout.backends.ProviderBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGIN_URL = "ory_logout:login"
LOGIN_REDIRECT_URL = "/"
STATIC_URL = "/static/"

ISSUER = "https://op.example"
CLIENT_ID = "django-site"
CLIENT_SECRET = "a secret: 50% of it + more"

ORY_LOGOUT: dict[str, Any] = {
    "SITE_URL": "https://rp.example",
    "PROVIDERS": {
        "default": {
            "ISSUER": ISSUER,
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": CLIENT_SECRET,
            "SCOPE": "openid profile email",
        }
    },
}
