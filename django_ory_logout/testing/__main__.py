"""``python -m django_ory_logout.testing``: a development provider for one site."""

import argparse
from collections.abc import Sequence

from .server.serve import serve

#: The option for each page that another site can serve.
PAGES = {
    "login": "--login-url",
    "consent": "--consent-url",
    "logout": "--logout-url",
    "error": "--error-url",
    "post_logout_redirect": "--post-logout-redirect-url",
}


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m django_ory_logout.testing", description=__doc__)
    parser.add_argument("--port", type=int, default=4444, help="on 127.0.0.1, the only address")
    parser.add_argument("--admin-port", type=int, default=4445, help="on 127.0.0.1, for Hydra's admin API")
    parser.add_argument("--site-url", default="http://localhost:8000", help="the URL of the relying party")
    parser.add_argument("--mount", default="/auth/", help="its path for django_ory_logout.urls")
    parser.add_argument("--client-id", default="example-site")
    parser.add_argument("--client-secret", default="example-secret")
    parser.add_argument("--kratos-port", type=int, help="on localhost, for a Kratos as the login page")
    parser.add_argument("--kratos-admin-port", type=int, help="on 127.0.0.1, for Kratos' admin API")
    levels = ("aal1", "highest_available")
    parser.add_argument("--kratos-required-aal", choices=levels, default="aal1", help="the AAL that whoami requires")
    parser.add_argument(
        "--kratos-session-cookie",
        dest="kratos_persistent",
        action="store_false",
        help="Kratos' cookie ends with the browser, and Hydra does not remember its logins",
    )
    for name, option in PAGES.items():
        parser.add_argument(option, dest=name, metavar="URL", help="a page of another site instead of ours")
    options = vars(parser.parse_args(args))
    pages = {name: url for name in PAGES if (url := options.pop(name))}
    serve(**options, pages=pages)


if __name__ == "__main__":
    main()
