"""What a person shows to Kratos."""

import re
from dataclasses import dataclass, field

#: What a cookie may hold (RFC 6265, 4.1.1), as long as a server's header may be. Kratos' own are base64url.
SENDABLE = re.compile(r"[!#-+\--:<-\[\]-~]{1,8192}")


@dataclass(frozen=True)
class Credential:
    """The value of Kratos' session cookie, or, without the cookie's name, a session token."""

    value: str = field(repr=False)
    cookie_name: str = ""

    @property
    def is_token(self) -> bool:
        """Whether this is a session token, as native applications have one."""
        return not self.cookie_name

    @property
    def is_sendable(self) -> bool:
        """Whether the value can stand in a header. Of another one Kratos knows no session, and is not asked."""
        return SENDABLE.fullmatch(self.value) is not None

    @property
    def headers(self) -> dict[str, str]:
        """The one header that shows it. Of several Kratos would choose, and could end another session than it means."""
        if self.is_token:
            return {"X-Session-Token": self.value}
        return {"Cookie": f"{self.cookie_name}={self.value}"}
