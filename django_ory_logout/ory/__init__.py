"""Ory's own APIs, beyond what the standards say."""
