"""OpenID Connect sign-in for Django with complete logout."""

__version__ = "0.1.0.dev0"
