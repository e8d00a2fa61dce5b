"""Settings of the example project, from the environment. The defaults are for your own machine."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

SITE_URL = env.str("SITE_URL", default="http://localhost:8000")

KRATOS = {
    "PUBLIC_URL": env.str("KRATOS_PUBLIC_URL", default=""),
    "INTERNAL_URL": env.str("KRATOS_INTERNAL_URL", default=""),
    "ADMIN_URL": env.str("KRATOS_ADMIN_URL", default=""),
    "COOKIE_NAME": env.str("KRATOS_COOKIE_NAME", default="ory_kratos_session"),
    "WHOAMI_SECONDS": env.float("KRATOS_WHOAMI_SECONDS", default=10.0),
}
OPENID_PROVIDER: dict[str, Any] = {
    # By default the development provider that `manage.py demo` starts.
    "ISSUER": env.str("OIDC_ISSUER", default="") or "http://127.0.0.1:4444",
    "CLIENT_ID": env.str("OIDC_CLIENT_ID", default="example-site"),
    "CLIENT_SECRET": env.str("OIDC_CLIENT_SECRET", default="example-secret"),
    "SCOPE": env.str("OIDC_SCOPE", default="openid profile email"),
    "RESPONSE_MODE": env.str("OIDC_RESPONSE_MODE", default="query"),
    "KEEP_TOKENS": env.bool("OIDC_KEEP_TOKENS", default=False),
    "REVOKE_TOKENS_AT_LOGOUT": env.bool("OIDC_REVOKE_TOKENS_AT_LOGOUT", default=False),
    "USERINFO": env.bool("OIDC_USERINFO", default=False),
    # The settings below must match the registration of the client.
    "TOKEN_ENDPOINT_AUTH_METHOD": env.str("OIDC_TOKEN_ENDPOINT_AUTH_METHOD", default="client_secret_basic"),
    "USERINFO_SIGNED_RESPONSE_ALG": env.str("OIDC_USERINFO_SIGNED_RESPONSE_ALG", default=""),
    "ID_TOKEN_SIGNED_RESPONSE_ALG": env.str("OIDC_ID_TOKEN_SIGNED_RESPONSE_ALG", default="RS256"),
    "ID_TOKEN_ENCRYPTED_RESPONSE_ALG": env.str("OIDC_ID_TOKEN_ENCRYPTED_RESPONSE_ALG", default=""),
    "ID_TOKEN_ENCRYPTED_RESPONSE_ENC": env.str("OIDC_ID_TOKEN_ENCRYPTED_RESPONSE_ENC", default="A128CBC-HS256"),
    "DECRYPTION_KEY": env.json("OIDC_DECRYPTION_KEY", default={}),
}
# With a Kratos and no issuer, users sign in by Kratos alone. With both, they sign in at the issuer, and Kratos is its
# login page.
BY_KRATOS_ALONE = bool(KRATOS["PUBLIC_URL"]) and not env.str("OIDC_ISSUER", default="")
PROVIDER = {} if BY_KRATOS_ALONE else OPENID_PROVIDER
if KRATOS["PUBLIC_URL"]:
    PROVIDER["KRATOS"] = KRATOS

ORY_LOGOUT: dict[str, Any] = {"SITE_URL": SITE_URL, "PROVIDERS": {"default": PROVIDER}}

DEBUG = env.bool("DEBUG", default=True)
SECRET_KEY = env.str("SECRET_KEY", default="for one's own machine only") if DEBUG else env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[urlsplit(SITE_URL).hostname])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_ory_logout",
    "example_project",
]

# With Hydra's admin API, this site can force logouts, and serves the login, consent and logout pages of Hydra.
HYDRA = {"ADMIN_URL": env.str("HYDRA_ADMIN_URL", default=""), "ADMIN_TOKEN": env.str("HYDRA_ADMIN_TOKEN", default="")}
if HYDRA["ADMIN_URL"]:
    OPENID_PROVIDER["HYDRA"] = HYDRA
    # If users sign in by Kratos, the subject at Hydra is the id of the Kratos identity.
    ORY_HYDRA_UI = {**HYDRA, "SUBJECT": "example_project.kratos.identity_of" if BY_KRATOS_ALONE else "pk"}
    INSTALLED_APPS += ["django_ory_logout.hydra_ui"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django_ory_logout.middleware.LoginSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if BY_KRATOS_ALONE:
    AUTHENTICATION = MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware")
    MIDDLEWARE.insert(AUTHENTICATION + 1, "django_ory_logout.middleware.KratosMiddleware")

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "django_ory_logout.backends.ProviderBackend",
]
LOGIN_URL = "ory_logout:login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # These come before the templates of the apps, so that the pages of django_ory_logout look like this site.
        "DIRS": [BASE_DIR / "example_project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'example.sqlite3'}")}
CACHES = {"default": env.cache_url("CACHE_URL", default="locmemcache://")}
SESSION_ENGINE = env.str("SESSION_ENGINE", default="django.contrib.sessions.backends.db")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Browsers do not separate cookies by port, so two sites on one host need different names.
SESSION_COOKIE_NAME = env.str("SESSION_COOKIE_NAME", default="sessionid")
CSRF_COOKIE_NAME = env.str("CSRF_COOKIE_NAME", default="csrftoken")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SITE_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [SITE_URL]

STATIC_URL = "static/"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"django_ory_logout": {"handlers": ["console"], "level": "INFO"}},
}
