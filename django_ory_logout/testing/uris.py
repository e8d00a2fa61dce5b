"""URIs as Hydra writes them."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def set_query(uri: str, **parameters: str) -> str:
    """``uri`` with ``parameters``. They replace parameters with the same name. The result is sorted by name."""
    parts = urlsplit(uri)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in parameters]
    return urlunsplit(parts._replace(query=urlencode(sorted([*kept, *parameters.items()]))))
