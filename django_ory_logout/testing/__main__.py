"""``python -m django_ory_logout.testing``: a development provider for one site."""

import argparse
from collections.abc import Sequence

from .web.server import serve


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m django_ory_logout.testing", description=__doc__)
    parser.add_argument("--port", type=int, default=4444, help="of 127.0.0.1; no other address is served")
    parser.add_argument("--site-url", default="http://localhost:8000", help="where the relying party runs")
    parser.add_argument("--mount", default="/auth/", help="the path at which it includes django_ory_logout.urls")
    parser.add_argument("--client-id", default="example-site")
    parser.add_argument("--client-secret", default="example-secret")
    serve(**vars(parser.parse_args(args)))


if __name__ == "__main__":
    main()
