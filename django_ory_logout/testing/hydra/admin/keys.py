"""The keys that sign ID tokens. Hydra says their private parts too, which nobody here needs."""

from ...http import Answer, Request
from .api import Admin


def read(admin: Admin, _request: Request) -> Answer:
    """``GET /keys/hydra.openid.id-token``."""
    return Answer.of_json(admin.provider.jwks())
