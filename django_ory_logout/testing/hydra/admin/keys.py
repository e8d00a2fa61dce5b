"""The keys that sign ID tokens. Hydra sends the private keys too. We do not, because no test needs them."""

from ...http import Answer, Request
from .api import Admin


def read(admin: Admin, _request: Request) -> Answer:
    """``GET /keys/hydra.openid.id-token``."""
    return Answer.of_json(admin.provider.jwks())
