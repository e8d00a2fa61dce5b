"""oidc-provider without ``sid`` in its tokens: a logout token names the subject, and ends all their sessions."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from .browser import Browser
from .deployment import Deployment, open_deployment
from .providers import OidcProvider, serve_oidc_provider

pytestmark = pytest.mark.e2e

Browsers = Callable[[], Browser]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Deployment[OidcProvider]]:
    without_sid = partial(serve_oidc_provider, with_sid=False)
    with open_deployment(without_sid, tmp_path_factory.mktemp("deployment"), migrated) as deployment:
        yield deployment


def test_a_logout_at_the_provider_ends_all_sessions_of_only_its_subject(
    deployment: Deployment[OidcProvider], browsers: Browsers
) -> None:
    laptop, phone, birch = (deployment.sign_in(browsers(), user) for user in ("amber", "amber", "birch"))
    signed_in = deployment.site.whoami(phone)
    assert signed_in
    assert signed_in["sid"] is None

    deployment.provider.log_out_there(laptop)

    assert deployment.site.soon_signed_out(laptop)
    assert deployment.site.soon_signed_out(phone)
    assert deployment.site.signed_in(birch)
