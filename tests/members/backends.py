"""Fills the field that the model requires with a claim of the provider."""

from typing import Any

from django_ory_logout.backends import ProviderBackend
from django_ory_logout.oidc.tokens import Claims


class SiteBackend(ProviderBackend):
    def user_fields(self, claims: Claims) -> dict[str, Any]:
        return {**super().user_fields(claims), "company": claims.get("family_name", "")}
