"""Pages of lists, with Kratos' ``Link`` header. The header counts pages from 0, but Kratos serves them from 1."""

import base64
import json
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlencode

from ..http import Request

DEFAULT_SIZE = 250
LARGEST = 1000
Item = TypeVar("Item")


def page(request: Request, path: str, items: Sequence[Item]) -> tuple[Sequence[Item], dict[str, str]]:
    """The items of the requested page, and the headers. Pages 0 and 1 are both the first page."""
    number, size = _requested(request)
    start = (max(number, 1) - 1) * size
    offsets = _offsets(len(items), number, size)
    # If one page contains all items, the links give their number as the page size.
    link_size = len(items) if 0 < len(items) <= size else size
    links = [_link(request, path, link_size, offset, rel) for rel, offset in offsets.items()]
    return items[start : start + size], {"Link": ",".join(links), "X-Total-Count": str(len(items))}


def _requested(request: Request) -> tuple[int, int]:
    """Number and size. A token contains an offset from 0, so its page comes one too early."""
    query = request.query
    if "page_token" in query or "page_size" in query:
        size = _size(query.get("page_size", ""))
        return _offset(query.get("page_token", "")) // size, size
    return max(_number(query.get("page", ""), 0), 0), _size(query.get("per_page", ""))


def _size(text: str) -> int:
    return min(max(_number(text, DEFAULT_SIZE), 1), LARGEST)


def _number(text: str, default: int) -> int:
    try:
        return int(text)
    except ValueError:
        return default


def _offset(token: str) -> int:
    try:
        return int(json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))["offset"])
    except (ValueError, TypeError, KeyError):
        return 0


def _offsets(total: int, number: int, size: int) -> dict[str, int]:
    offset, last = number * size, (total - 1) // size * size
    if total == 0:
        return {"first": 0, "next": offset + size, "prev": offset - size}
    if total <= size:
        return {"first": 0}
    if offset >= last:
        return {"first": 0, "prev": last - size}
    if number == 0:
        return {"next": size, "last": last}
    return {"first": 0, "next": offset + size, "prev": offset - size, "last": last}


def _link(request: Request, path: str, size: int, offset: int, rel: str) -> str:
    token = base64.urlsafe_b64encode(json.dumps({"offset": str(offset), "v": 2}, separators=(",", ":")).encode())
    more = {"page": offset // size, "page_size": size, "page_token": token.decode().rstrip("="), "per_page": size}
    return f'<{path}?{urlencode(sorted({**request.query, **more}.items()))}>; rel="{rel}"'
