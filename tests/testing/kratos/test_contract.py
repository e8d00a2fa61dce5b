"""The Kratos in this process fulfils the contract, without a socket."""

import pytest

from django_ory_logout.testing import Kratos
from tests.live.test_kratos_contract import (
    TestAdmin,
    TestFlowDocuments,
    TestLogout,
    TestLogoutFlow,
    TestMySessions,
    TestNativeLogout,
    TestOurClient,
    TestSecondFactor,
    TestSettings,
    TestSignIn,
    TestWhoami,
)

__all__ = [
    "TestAdmin",
    "TestFlowDocuments",
    "TestLogout",
    "TestLogoutFlow",
    "TestMySessions",
    "TestNativeLogout",
    "TestOurClient",
    "TestSecondFactor",
    "TestSettings",
    "TestSignIn",
    "TestWhoami",
]


@pytest.fixture(autouse=True)
def _strict(embedded: Kratos) -> None:
    embedded.required_aal = "highest_available"
