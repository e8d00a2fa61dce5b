"""Clients for Ory's own APIs, which the OpenID specifications do not define."""
