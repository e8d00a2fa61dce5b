"""The credential of a session at Kratos: a cookie or a session token."""

import re
from dataclasses import dataclass, field

#: The characters of a cookie value (RFC 6265, 4.1.1), up to the length of a header. Kratos' values are base64url.
SENDABLE = re.compile(r"[!#-+\--:<-\[\]-~]{1,8192}")


@dataclass(frozen=True)
class Credential:
    """The value of Kratos' session cookie. Without the cookie's name, it is a session token."""

    value: str = field(repr=False)
    cookie_name: str = ""

    @property
    def is_token(self) -> bool:
        """Whether this is a session token, which native applications use."""
        return not self.cookie_name

    @property
    def is_sendable(self) -> bool:
        """Whether a header can contain the value. Otherwise no session at Kratos can have it, and we send no call."""
        return SENDABLE.fullmatch(self.value) is not None

    @property
    def headers(self) -> dict[str, str]:
        """The only header with a credential. With several, Kratos would choose, and could end the wrong session."""
        if self.is_token:
            return {"X-Session-Token": self.value}
        return {"Cookie": f"{self.cookie_name}={self.value}"}
