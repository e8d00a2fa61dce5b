"""Thin views: they read the request, call the flows, and build the response."""
