"""A provider's documents: how often they are fetched, what is used while the provider is down, and which keys count."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from django.core.cache import caches
from joserfc.jwk import ECKey, Key, RSAKey

from django_ory_logout import http
from django_ory_logout.cache import SharedCache
from django_ory_logout.exceptions import InvalidMessage, InvalidToken, ProviderUnavailable, SetupError, TemporaryError
from django_ory_logout.oidc import documents
from django_ory_logout.oidc.metadata import Registration, parse_jwks
from django_ory_logout.oidc.provider import Provider as OpenIDProvider
from django_ory_logout.oidc.provider import matching_keys
from django_ory_logout.testing import Client, Network, Provider, connect
from django_ory_logout.testing.hydra.keys import encryption_key, public_jwk
from django_ory_logout.testing.hydra.keys import signing_key as new_signing_key

from ..caches import DownCache
from .samples import ABSENT, CLIENT_ID, CLIENT_SECRET, ISSUER, NOW, refused

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/.well-known/jwks.json"
HOUR = 60 * 60
REGISTRATION = Registration(ISSUER, CLIENT_ID, CLIENT_SECRET)


class Clock:
    """The time that the cache and all other code in this process read."""

    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, provider: Provider, network: Network) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    provider.clock = clock
    return clock


@pytest.fixture
def asked(network: Network) -> Callable[[], list[str]]:
    """The paths that were requested since the last call."""

    def asked() -> list[str]:
        paths = [call.url.removeprefix(ISSUER) for call in network.calls]
        network.calls.clear()
        return paths

    return asked


Asked = Callable[[], list[str]]


def known(registration: Registration = REGISTRATION) -> OpenIDProvider:
    return OpenIDProvider(registration, SharedCache(caches["default"]))


def kids(keys: Any) -> list[str | None]:
    return [key.kid for key in keys]


# Documents


def test_document_is_fetched_once_an_hour(clock: Clock, asked: Asked) -> None:
    metadata = known().metadata(clock.now)
    assert metadata.token_endpoint == "https://op.example/oauth2/token"
    assert asked() == [DISCOVERY]

    clock.now += HOUR - 1
    assert known().metadata(clock.now) == metadata
    assert asked() == []

    clock.now += 1
    assert known().metadata(clock.now) == metadata
    assert asked() == [DISCOVERY]


def test_a_copy_is_used_for_a_day_while_the_provider_is_down(clock: Clock, network: Network, asked: Asked) -> None:
    metadata = known().metadata(clock.now)
    network.down()

    clock.now = NOW + 24 * HOUR - 1
    assert known().metadata(clock.now) == metadata

    clock.now = NOW + 24 * HOUR + 10
    with refused(ProviderUnavailable, "unreachable"):
        known().metadata(clock.now)


def test_a_copy_older_than_a_day_is_not_read_from_the_cache(clock: Clock, network: Network) -> None:
    known().metadata(clock.now)
    network.down()

    assert known().cached_metadata(NOW + 24 * HOUR - 1)
    assert known().cached_metadata(NOW + 24 * HOUR) is None


def test_old_copy_costs_one_call_per_cool_down_while_the_provider_is_down(
    clock: Clock, network: Network, asked: Asked
) -> None:
    known().metadata(clock.now)
    network.down()
    clock.now += HOUR
    asked()

    for _ in range(100):
        known().metadata(clock.now)
        clock.now += 0.1

    assert asked() == [DISCOVERY] * 2


def test_failed_fetch_is_remembered_for_the_cool_down(clock: Clock, network: Network, asked: Asked) -> None:
    network.down()
    with refused(ProviderUnavailable, "unreachable"):
        known().metadata(clock.now)
    with refused(ProviderUnavailable, "cooling_down"):
        known().metadata(clock.now)
    clock.now += 4.9
    with refused(ProviderUnavailable, "cooling_down"):
        known().metadata(clock.now)
    assert asked() == [DISCOVERY]

    network.mend()
    clock.now += 0.1
    assert known().metadata(clock.now)
    assert asked() == [DISCOVERY]


def test_the_cool_down_of_a_slow_failure_starts_when_it_failed(clock: Clock, network: Network, asked: Asked) -> None:
    def slow(document: Mapping[str, Any]) -> dict[str, Any]:
        clock.now += 10
        return {}

    network.change(DISCOVERY, slow)
    with refused(SetupError, "issuer_mismatch"):
        known().metadata(clock.now)
    clock.now += 4.9
    with refused(SetupError, "unusable_lately"):
        known().metadata(clock.now)
    assert asked() == [DISCOVERY]


@pytest.mark.parametrize(
    ("kind", "code", "body", "options"),
    [
        (ProviderUnavailable, "document_fault", b"{}", {"status": 500}),
        (SetupError, "document_unusable", b"{}", {"status": 404}),
        (SetupError, "document_unusable", b"", {"status": 302, "headers": {"Location": f"{ISSUER}/elsewhere"}}),
        (SetupError, "not_json", b"<html>", {}),
        (SetupError, "not_json", b"[]", {}),
        (SetupError, "too_large", b" " * (http.MAX_BYTES + 1), {}),
        (SetupError, "issuer_mismatch", b"{}", {}),
        (SetupError, "metadata_invalid", b'{"issuer": "https://op.example"}', {}),
    ],
)
def test_an_unusable_document_is_refused(
    kind: type[ProviderUnavailable],
    code: str,
    body: bytes,
    options: dict[str, Any],
    clock: Clock,
    network: Network,
    asked: Asked,
) -> None:
    network.replace(DISCOVERY, body, **options)
    with refused(kind, code):
        known().metadata(clock.now)
    with refused(kind, "unusable_lately" if kind is SetupError else "cooling_down"):
        known().metadata(clock.now)
    assert asked() == [DISCOVERY]


def test_the_copy_is_used_while_the_document_is_unusable(clock: Clock, network: Network) -> None:
    metadata = known().metadata(clock.now)
    network.replace(DISCOVERY, b"<html>")
    clock.now += HOUR

    assert known().metadata(clock.now) == metadata


def test_a_provider_that_is_too_slow_is_reported(clock: Clock, network: Network) -> None:
    network.slow()

    with refused(ProviderUnavailable, "unreachable"):
        known().metadata(clock.now)


def test_key_ids_are_fetched_again(clock: Clock, provider: Provider, network: Network, asked: Asked) -> None:
    ours = known()
    assert ours.key_ids(clock.now) == {provider.keys[0].kid}
    new = provider.rotate_keys()
    asked()

    assert new.kid in ours.key_ids(clock.now)
    assert asked() == [JWKS]

    network.replace(JWKS, status=500)
    with pytest.raises(ProviderUnavailable, match="document_fault"):
        ours.key_ids(clock.now)


def test_issuers_differ_by_a_slash(clock: Clock, asked: Asked) -> None:
    """Both have the same discovery URL. The stored copy of one is not used for the other."""
    with_slash = replace(REGISTRATION, issuer=f"{ISSUER}/")
    assert known().metadata(clock.now).issuer == ISSUER

    with refused(SetupError, "issuer_mismatch"):
        known(with_slash).metadata(clock.now)

    assert asked() == [DISCOVERY, DISCOVERY]


def test_an_issuer_with_a_slash_is_accepted(clock: Clock) -> None:
    issuer = f"{ISSUER}/"
    with connect(Provider(issuer)):
        assert known(replace(REGISTRATION, issuer=issuer)).metadata(clock.now).issuer == issuer


def test_an_http_endpoint_is_refused(clock: Clock, network: Network) -> None:
    network.change(DISCOVERY, lambda document: {**document, "token_endpoint": "http://op.example/oauth2/token"})

    with refused(SetupError, "metadata_invalid"):
        known().metadata(clock.now)


def test_stored_metadata_needs_no_call(clock: Clock, asked: Asked) -> None:
    assert known().cached_metadata(clock.now) is None
    assert asked() == []

    metadata = known().metadata(clock.now)
    asked()
    clock.now += 23 * HOUR

    assert known().cached_metadata(clock.now) == metadata
    assert asked() == []


def test_document_is_parsed_once_in_each_process(clock: Clock, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Mapping[str, Any]] = []

    def parse(document: Mapping[str, Any]) -> int:
        parsed.append(document)
        return len(parsed)

    def read() -> int:
        return (
            documents.CachedDocument(f"{ISSUER}{JWKS}", ISSUER, parse, SharedCache(caches["default"]))
            .read(clock.now)
            .value
        )

    assert [read(), read(), read()] == [1, 1, 1]

    monkeypatch.setattr(documents, "_parsed", {})  # another process with the same cache
    assert [read(), read()] == [2, 2]
    assert asked() == [JWKS]

    clock.now += HOUR
    assert [read(), read()] == [3, 3]
    assert asked() == [JWKS]


def test_document_that_another_process_fetched_is_read(
    clock: Clock, network: Network, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    known().metadata(clock.now)
    clock.now += HOUR
    with monkeypatch.context() as another_process:
        another_process.setattr(documents, "_parsed", {})
        network.change(DISCOVERY, lambda document: {**document, "token_endpoint": f"{ISSUER}/new"})
        known().metadata(clock.now)
    asked()

    assert known().metadata(clock.now).token_endpoint == f"{ISSUER}/new"
    assert asked() == []


# Many requests need the same document at once


def at_once(times: int, work: Callable[[], object]) -> list[object]:
    """Run ``work`` in this many threads. Return its results or exceptions."""
    results: list[object] = []
    barrier = threading.Barrier(times)

    def run() -> None:
        barrier.wait()
        try:
            results.append(work())
        except ProviderUnavailable as error:
            results.append(error.code)

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def delayed(seconds: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(document: dict[str, Any]) -> dict[str, Any]:
        time.sleep(seconds)
        return document

    return change


def test_one_call_fetches_the_document_and_the_others_wait(clock: Clock, network: Network, asked: Asked) -> None:
    network.change(DISCOVERY, delayed(0.15))

    results = at_once(1 + documents.MAX_WAITING, lambda: known().metadata(clock.now))

    assert results == [known().metadata(clock.now)] * (1 + documents.MAX_WAITING)
    assert asked() == [DISCOVERY]


def test_the_others_do_not_wait_longer_than_allowed(
    clock: Clock, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "WAIT_SECONDS", 0.1)
    network.change(DISCOVERY, delayed(0.5))

    results = at_once(2, lambda: bool(known().metadata(clock.now)))

    assert results == ["cooling_down", True]


def test_the_others_do_not_wait_for_a_fetch_that_failed(clock: Clock, network: Network, asked: Asked) -> None:
    def failing(document: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.15)
        return {}

    network.change(DISCOVERY, failing)
    started = time.monotonic()

    results = at_once(3, lambda: known().metadata(clock.now))

    assert sorted(map(str, results)) == ["cooling_down", "cooling_down", "issuer_mismatch"]
    assert time.monotonic() - started < documents.WAIT_SECONDS / 2
    assert asked() == [DISCOVERY]


def test_only_some_wait_and_the_others_fail_at_once(clock: Clock, network: Network, asked: Asked) -> None:
    network.change(DISCOVERY, delayed(0.5))
    started = time.monotonic()
    turned_away: list[float] = []

    def ask() -> bool:
        try:
            return bool(known().metadata(clock.now))
        except ProviderUnavailable:
            turned_away.append(time.monotonic() - started)
            raise

    results = at_once(1 + documents.MAX_WAITING + 3, ask)

    assert sorted(map(str, results)) == ["True"] * (1 + documents.MAX_WAITING) + ["cooling_down"] * 3
    assert max(turned_away) < 0.4
    assert asked() == [DISCOVERY]

    caches["default"].clear()
    documents._parsed.clear()
    assert at_once(1 + documents.MAX_WAITING, ask) == [True] * (1 + documents.MAX_WAITING)


def discovery() -> documents.CachedDocument[Any]:
    return documents.CachedDocument(f"{ISSUER}{DISCOVERY}", ISSUER, dict, SharedCache(caches["default"]))


def test_no_second_call_is_made_while_the_first_may_be_answered(clock: Clock, network: Network, asked: Asked) -> None:
    def long(document: dict[str, Any]) -> dict[str, Any]:
        if len(network.calls) == 1:
            clock.now += documents.CALL_SECONDS - 1
            with refused(ProviderUnavailable, "cooling_down"):
                discovery().fetch(clock.now)
            clock.now += 1
            discovery().fetch(clock.now)
        return document

    network.change(DISCOVERY, long)

    discovery().fetch(clock.now)

    assert asked() == [DISCOVERY] * 2


def test_a_call_that_ends_unexpectedly_is_remembered_only_for_the_cool_down(
    clock: Clock, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_url: str) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(http, "get", fail)
        with pytest.raises(RuntimeError):
            discovery().fetch(clock.now)

    with refused(ProviderUnavailable, "cooling_down"):
        discovery().fetch(clock.now)
    clock.now += documents.COOL_DOWN_SECONDS
    assert discovery().fetch(clock.now)


def test_copy_that_cannot_be_read_any_more_is_fetched_again(clock: Clock, network: Network, asked: Asked) -> None:
    metadata = known().metadata(clock.now)
    of_an_earlier_version = {"document": {"issuer": ISSUER}, "fetched_at": clock.now}
    SharedCache(caches["default"]).set(known()._discovery.key, of_an_earlier_version, HOUR)
    documents._parsed.clear()
    clock.now += documents.COOL_DOWN_SECONDS
    asked()

    assert known().cached_metadata(clock.now) is None
    assert known().metadata(clock.now) == metadata
    assert asked() == [DISCOVERY]
    assert known().metadata(clock.now) == metadata
    assert asked() == []


# The cache does not answer


def without_cache() -> OpenIDProvider:
    return OpenIDProvider(REGISTRATION, SharedCache(DownCache()))


def test_without_the_cache_a_process_has_its_own_copy(
    warm: OpenIDProvider, clock: Clock, asked: Asked, signing_key: Key
) -> None:
    metadata = warm.metadata(clock.now)

    for now in (clock.now, NOW + HOUR, NOW + 24 * HOUR - 1):
        assert without_cache().metadata(now) == without_cache().cached_metadata(now) == metadata
        assert kids(list(without_cache().verification_keys(signing_key.kid, now))) == [signing_key.kid]
    with refused(TemporaryError, "cache_fault"):
        without_cache().metadata(NOW + 24 * HOUR)
    assert asked() == []


def test_without_the_cache_no_call_is_made(warm: OpenIDProvider, clock: Clock, asked: Asked) -> None:
    with refused(TemporaryError, "cache_fault"):
        list(without_cache().verification_keys("unknown", clock.now))
    documents._parsed.clear()
    with refused(TemporaryError, "cache_fault"):
        without_cache().metadata(clock.now)
    assert without_cache().cached_metadata(clock.now) is None
    assert asked() == []


# Keys


@pytest.fixture
def warm(clock: Clock, asked: Asked) -> OpenIDProvider:
    """The provider with stored documents and no cool-down."""
    provider = known()
    list(provider.verification_keys(None, clock.now))
    asked()
    clock.now += 10
    return provider


def test_known_key_costs_no_call(warm: OpenIDProvider, clock: Clock, asked: Asked, signing_key: Key) -> None:
    assert kids(list(warm.verification_keys(signing_key.kid, clock.now))) == [signing_key.kid]
    assert asked() == []


def test_rotation_is_found_with_one_call(warm: OpenIDProvider, clock: Clock, asked: Asked, provider: Provider) -> None:
    new = provider.rotate_keys()

    assert kids(list(warm.verification_keys(new.kid, clock.now))) == [new.kid]
    assert asked() == [JWKS]
    assert kids(list(warm.verification_keys(new.kid, clock.now))) == [new.kid]
    assert asked() == []


def test_a_rotation_is_found_by_all_concurrent_requests(
    warm: OpenIDProvider, clock: Clock, network: Network, asked: Asked, provider: Provider
) -> None:
    new = provider.rotate_keys()
    network.change(JWKS, delayed(0.15))

    results = at_once(1 + documents.MAX_WAITING, lambda: kids(list(warm.verification_keys(new.kid, clock.now))))

    assert results == [[new.kid]] * (1 + documents.MAX_WAITING)
    assert asked() == [JWKS]


@pytest.mark.parametrize("seconds", [0.001, 1, 4.9])
def test_rotation_is_found_directly_after_a_successful_fetch(
    seconds: float, clock: Clock, asked: Asked, provider: Provider
) -> None:
    """An ordinary fetch starts no cool-down. A fetch that finds the key starts none either."""
    site = known()
    list(site.verification_keys(None, clock.now))
    asked()

    for _ in range(3):
        new = provider.rotate_keys()
        clock.now += seconds
        assert kids(list(site.verification_keys(new.kid, clock.now))) == [new.kid]
        assert asked() == [JWKS]


def test_rotation_is_found_directly_after_a_successful_fetch_for_a_token_that_names_no_key(
    clock: Clock, asked: Asked, provider: Provider
) -> None:
    site = known()
    list(site.verification_keys(None, clock.now))
    provider.keys = [provider.rotate_keys()]
    token = provider.sign(provider.logout_token_claims(CLIENT_ID, sid="a sid"), header={"kid": None})
    clock.now += 1

    assert site.verify_logout_token(token, now=clock.now, exp_required=False).sid == "a sid"
    assert asked() == [DISCOVERY, JWKS, JWKS]


def test_a_rotation_is_found_after_waiting_for_an_earlier_fetch(
    clock: Clock, network: Network, asked: Asked, provider: Provider
) -> None:
    """The copy of another process is newer than ours, and may still be older than the token."""
    site = known()
    site.metadata(clock.now)
    asked()
    rotated = threading.Event()

    def rotate(document: dict[str, Any]) -> dict[str, Any]:
        if not rotated.is_set():
            provider.rotate_keys()
            rotated.set()
            time.sleep(0.2)
        return document

    network.change(JWKS, rotate)
    first = threading.Thread(target=lambda: list(site.verification_keys(None, clock.now)))
    first.start()
    assert rotated.wait(5)
    new = provider.keys[0].kid

    assert kids(list(site.verification_keys(new, clock.now + 0.1))) == [new]

    first.join()
    assert asked() == [JWKS] * 2


def test_forced_fetch_of_another_process_that_began_before_a_rotation_decides_nothing(
    warm: OpenIDProvider, clock: Clock, network: Network, asked: Asked, provider: Provider
) -> None:
    rotated = threading.Event()

    def rotate(document: dict[str, Any]) -> dict[str, Any]:
        provider.rotate_keys()
        rotated.set()
        time.sleep(0.2)
        return document

    def unknown_key() -> None:
        with refused(InvalidToken, "kid_unknown"):
            list(warm.verification_keys("made up", clock.now))

    network.change(JWKS, rotate)
    first = threading.Thread(target=unknown_key)
    first.start()
    assert rotated.wait(5)

    with refused(ProviderUnavailable, "cooling_down"):
        list(warm.verification_keys(provider.keys[0].kid, clock.now + 0.1))

    first.join()
    assert asked() == [JWKS]


def test_copy_that_another_process_has_just_brought_costs_no_call(
    warm: OpenIDProvider, clock: Clock, asked: Asked
) -> None:
    old = discovery().cached(clock.now)
    clock.now += HOUR
    newer = discovery().fetch(clock.now, old)
    assert asked() == [DISCOVERY]

    assert discovery().fetch(clock.now, old) == newer
    assert asked() == []


def test_rotation_is_found_for_a_token_that_names_no_key(
    warm: OpenIDProvider, clock: Clock, asked: Asked, provider: Provider
) -> None:
    new = provider.rotate_keys()
    provider.keys = [new]
    token = provider.sign(provider.logout_token_claims(CLIENT_ID, sid="a sid"), header={"kid": None})

    assert warm.verify_logout_token(token, now=clock.now, exp_required=False).sid == "a sid"
    assert asked() == [JWKS]


def test_rotation_is_found_in_a_copy_from_a_server_whose_clock_is_ahead(
    warm: OpenIDProvider, clock: Clock, asked: Asked, provider: Provider
) -> None:
    new = provider.rotate_keys()

    assert kids(list(warm.verification_keys(new.kid, clock.now - 60))) == [new.kid]
    assert asked() == [JWKS]


def test_named_key_that_does_not_verify_costs_no_call(
    warm: OpenIDProvider, clock: Clock, asked: Asked, provider: Provider, foreign_key: Key
) -> None:
    token = provider.sign(
        provider.logout_token_claims(CLIENT_ID, sid="a sid"), key=foreign_key, header={"kid": provider.keys[0].kid}
    )

    with refused(InvalidToken, "signature_invalid"):
        warm.verify_logout_token(token, now=clock.now, exp_required=False)
    assert asked() == []


def test_a_withdrawn_key_counts_until_the_copy_is_an_hour_old(
    warm: OpenIDProvider, clock: Clock, provider: Provider, signing_key: Key, foreign_key: Key
) -> None:
    provider.keys = [foreign_key]
    assert kids(list(warm.verification_keys(signing_key.kid, clock.now))) == [signing_key.kid]

    clock.now += HOUR
    with refused(InvalidToken, "kid_unknown"):
        list(warm.verification_keys(signing_key.kid, clock.now))


def test_an_unknown_kid_is_refused_by_a_newer_jwks(warm: OpenIDProvider, clock: Clock, asked: Asked) -> None:
    with refused(InvalidToken, "kid_unknown"):
        list(warm.verification_keys("unknown", clock.now))
    assert asked() == [JWKS]


def test_an_unknown_kid_is_refused_by_a_jwks_fetched_for_it(clock: Clock, asked: Asked) -> None:
    with refused(InvalidToken, "kid_unknown"):
        list(known().verification_keys("unknown", clock.now))
    assert asked() == [DISCOVERY, JWKS]


def test_unknown_kid_cannot_be_decided_within_the_cool_down(warm: OpenIDProvider, clock: Clock, asked: Asked) -> None:
    with refused(InvalidToken, "kid_unknown"):
        list(warm.verification_keys("unknown", clock.now))
    clock.now += 4.9
    with refused(ProviderUnavailable, "cooling_down"):
        list(warm.verification_keys("unknown", clock.now))
    assert asked() == [JWKS]


def test_unknown_kid_cannot_be_decided_while_the_provider_is_down(
    warm: OpenIDProvider, clock: Clock, network: Network, signing_key: Key
) -> None:
    network.down()
    with refused(ProviderUnavailable, "unreachable"):
        list(warm.verification_keys("unknown", clock.now))
    with refused(ProviderUnavailable, "cooling_down"):
        list(warm.verification_keys("unknown", clock.now))
    assert kids(list(warm.verification_keys(signing_key.kid, clock.now))) == [signing_key.kid]


def test_unknown_kid_cannot_be_decided_by_a_copy_an_hour_old(
    warm: OpenIDProvider, clock: Clock, network: Network, asked: Asked
) -> None:
    network.down(JWKS)
    clock.now = NOW + HOUR

    with refused(ProviderUnavailable, "cooling_down"):
        list(warm.verification_keys("unknown", clock.now))

    assert asked() == [DISCOVERY, JWKS]


def test_a_copy_of_the_keys_is_used_for_a_day(
    warm: OpenIDProvider, clock: Clock, network: Network, signing_key: Key
) -> None:
    network.down(JWKS)
    clock.now = NOW + 24 * HOUR - 1
    assert kids(list(warm.verification_keys(signing_key.kid, clock.now))) == [signing_key.kid]

    clock.now = NOW + 24 * HOUR + 5
    with refused(ProviderUnavailable, "unreachable"):
        list(warm.verification_keys(signing_key.kid, clock.now))


def test_keys_are_unreachable_if_the_metadata_is(clock: Clock, network: Network) -> None:
    network.down(DISCOVERY)

    with refused(ProviderUnavailable, "unreachable"):
        list(known().verification_keys(None, clock.now))


def test_a_document_without_keys_is_refused(clock: Clock, network: Network) -> None:
    network.replace(JWKS, b"{}")

    with refused(SetupError, "jwks_invalid"):
        list(known().verification_keys(None, clock.now))


def test_flood_of_unknown_kids_costs_one_call_per_cool_down_and_loses_no_logout(
    warm: OpenIDProvider, clock: Clock, asked: Asked, provider: Provider
) -> None:
    def flood(seconds: int) -> None:
        for number in range(seconds * 10):
            with pytest.raises((InvalidToken, ProviderUnavailable)):
                list(warm.verification_keys(f"made up {number}", clock.now))
            clock.now += 0.1

    flood(20)
    assert asked() == [JWKS] * 4

    flood(1)  # starts the cool-down
    new = provider.rotate_keys()
    with refused(ProviderUnavailable, "cooling_down"):
        list(warm.verification_keys(new.kid, clock.now))

    flood(5)  # while the provider waits, as Retry-After says
    assert kids(list(warm.verification_keys(new.kid, clock.now))) == [new.kid]
    assert asked() == [JWKS] * 2


@pytest.mark.parametrize("kid", ["made up", None])
def test_flood_directly_after_a_successful_fetch_costs_one_call_per_cool_down(
    kid: str | None, clock: Clock, asked: Asked
) -> None:
    site = known()
    site.metadata(clock.now)
    list(site.verification_keys(None, clock.now))
    asked()

    for _ in range(100):
        clock.now += 0.1
        with suppress(InvalidToken, ProviderUnavailable):
            list(site.verification_keys(kid, clock.now))

    assert asked() == [JWKS] * 2


def test_a_shared_secret_needs_no_call(clock: Clock, asked: Asked) -> None:
    registration = replace(REGISTRATION, id_token_signed_response_alg="HS256")

    keys = list(known(registration).verification_keys("whatever", clock.now))

    assert [key.raw_value for key in keys] == [CLIENT_SECRET.encode()]
    assert asked() == []


# Which keys fit


def test_foreign_and_malformed_keys_are_ignored(
    clock: Clock, network: Network, signing_key: Key, foreign_key: Key
) -> None:
    good = public_jwk(signing_key)
    beside = [
        None,
        {},
        {"kty": "RSA"},
        {**good, "n": "AQAB"},
        {**good, "kty": "oct", "k": "cHVibGlzaGVk"},
        {**public_jwk(new_signing_key("ES256")), "kid": signing_key.kid},
        {**public_jwk(new_signing_key("EdDSA")), "kid": signing_key.kid},
        {**public_jwk(foreign_key), "kid": signing_key.kid, "use": "enc"},
        {**public_jwk(foreign_key), "kid": signing_key.kid, "alg": "RS512"},
        {**public_jwk(foreign_key), "kid": signing_key.kid, "alg": "RSA-OAEP"},
    ]
    network.change(JWKS, lambda document: {"keys": [*beside, good]})

    for kid in (signing_key.kid, None):
        assert [key.as_dict() for key in list(known().verification_keys(kid, clock.now))] == [good]


def test_a_token_without_kid_may_be_signed_by_any_usable_key(
    clock: Clock, provider: Provider, signing_key: Key, foreign_key: Key
) -> None:
    provider.keys = [new_signing_key("ES256"), signing_key, encryption_key(), foreign_key]

    assert kids(list(known().verification_keys(None, clock.now))) == [signing_key.kid, foreign_key.kid]


def test_a_key_without_kid_matches_a_token_without_kid(clock: Clock, network: Network, signing_key: Key) -> None:
    bare = {name: value for name, value in public_jwk(signing_key).items() if name in {"kty", "n", "e"}}
    network.change(JWKS, lambda document: {"keys": [bare]})

    assert len(list(known().verification_keys(None, clock.now))) == 1
    with refused(InvalidToken, "kid_unknown"):
        list(known().verification_keys(signing_key.kid, clock.now))


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(
    ("alg", "parameters", "fits"),
    [
        ("RS256", {}, True),
        ("RS256", {"use": "sig", "alg": "RS256", "key_ops": ["verify"]}, True),
        ("RS256", {"use": "enc"}, False),
        ("RS256", {"alg": "PS256"}, False),
        ("RS256", {"key_ops": ["sign"]}, False),
        ("PS256", {}, True),
        ("ES256", {}, False),
        ("EdDSA", {}, False),
    ],
)
def test_an_rsa_key_is_usable(alg: str, parameters: dict[str, Any], fits: bool, signing_key: Key) -> None:
    bare = {name: value for name, value in public_jwk(signing_key).items() if name in {"kty", "n", "e"}}
    keys = parse_jwks({"keys": [{**bare, **parameters}]})
    assert isinstance(keys[0], RSAKey)

    assert bool(matching_keys(keys, None, alg)) is fits


@pytest.mark.parametrize(("alg", "fits"), [("ES256", True), ("ES384", False), ("RS256", False)])
def test_an_elliptic_key_is_usable_with_its_curve(alg: str, fits: bool) -> None:
    key = ECKey.generate_key("P-256")

    assert bool(matching_keys([key], None, alg)) is fits


# The calls of the code flow


@pytest.fixture
def code(clock: Clock, provider: Provider) -> str:
    return provider.authorize(
        provider.sign_in("amber"),
        CLIENT_ID,
        redirect_uri="https://rp.example/auth/callback/",
        scope="openid email",
        nonce="the nonce",
    )


def exchange(code: str, registration: Registration = REGISTRATION) -> Any:
    return known(registration).exchange(
        code, redirect_uri="https://rp.example/auth/callback/", code_verifier="", now=time.time()
    )


def test_code_becomes_a_verified_id_token(
    clock: Clock, provider: Provider, asked: Asked, code: str, signing_key: Key
) -> None:
    received = exchange(code)

    verified = known().verify_id_token(received, nonce="the nonce", now=clock.now)

    assert (verified.subject, verified.issuer, verified.iat) == ("amber", ISSUER, NOW)
    assert asked() == [DISCOVERY, "/oauth2/token", JWKS]


def test_an_access_token_of_another_answer_is_refused(clock: Clock, code: str) -> None:
    received = replace(exchange(code), access_token="ory_at_of_another")

    with refused(InvalidToken, "at_hash_mismatch"):
        known().verify_id_token(received, nonce="the nonce", now=clock.now)


def test_a_wrong_code_is_refused(clock: Clock) -> None:
    with refused(InvalidMessage, "token_request_refused"):
        exchange("made up")


def test_an_unreachable_token_endpoint_is_reported(clock: Clock, network: Network, code: str) -> None:
    network.down("/oauth2/token")

    with refused(ProviderUnavailable, "unreachable"):
        exchange(code)


@pytest.mark.parametrize(
    ("method", "secret"), [("client_secret_basic", CLIENT_SECRET), ("client_secret_post", CLIENT_SECRET), ("none", "")]
)
def test_each_client_authentication_method_is_accepted(
    method: str, secret: str, clock: Clock, provider: Provider, network: Network, code: str
) -> None:
    provider.register(Client(CLIENT_ID, secret, token_endpoint_auth_method=method))
    registration = replace(REGISTRATION, client_secret=secret, token_endpoint_auth_method=method)

    assert exchange(code, registration).id_token


def test_userinfo_is_read(clock: Clock, network: Network, code: str) -> None:
    received = exchange(code)

    claims = known().userinfo(received.access_token, "amber", clock.now)

    assert claims == {"sub": "amber", "email": "amber@example.com", "email_verified": True}
    with refused(InvalidToken, "userinfo_sub_mismatch"):
        known().userinfo(received.access_token, "birch", clock.now)
    with refused(SetupError, "userinfo_unusable"):
        known().userinfo("made up", "amber", clock.now)


SIGNED = replace(REGISTRATION, userinfo_signed_response_alg="RS256")


def signed_userinfo(network: Network, provider: Provider, *, header: Any = None, **changes: Any) -> None:
    """The provider signs its userinfo, as Hydra does for clients with ``userinfo_signed_response_alg``."""
    claims = {"iss": ISSUER, "aud": [CLIENT_ID], "sub": "amber", "given_name": "Amber", "iat": NOW, **changes}
    token = provider.sign({name: value for name, value in claims.items() if value is not ABSENT}, header=header)
    network.replace("/userinfo", token.encode(), headers={"Content-Type": "application/jwt"})


def test_signed_userinfo_is_read(clock: Clock, provider: Provider, network: Network, asked: Asked) -> None:
    signed_userinfo(network, provider)

    claims = known(SIGNED).userinfo("a token", "amber", clock.now)

    assert (claims["sub"], claims["given_name"]) == ("amber", "Amber")
    assert network.calls[1].headers["Accept"] == "application/jwt"
    assert network.calls[1].headers["Authorization"] == "Bearer a token"
    assert asked() == [DISCOVERY, "/userinfo", JWKS]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("iss_mismatch", {"iss": "https://other.example"}),
        ("iss_mismatch", {"iss": ABSENT}),
        ("aud_mismatch", {"aud": ["another"]}),
        ("aud_mismatch", {"aud": ABSENT}),
        ("userinfo_sub_mismatch", {"sub": "birch"}),
        ("userinfo_sub_mismatch", {"sub": ABSENT}),
        ("expired", {"exp": NOW - 61}),
        ("not_yet_valid", {"nbf": NOW + 61}),
        ("typ_mismatch", {"header": {"typ": "at+jwt"}}),
        ("kid_unknown", {"header": {"kid": "another"}}),
    ],
)
def test_wrong_signed_userinfo_is_refused(
    code: str, changes: dict[str, Any], clock: Clock, provider: Provider, network: Network
) -> None:
    signed_userinfo(network, provider, **changes)

    with refused(InvalidToken, code):
        known(SIGNED).userinfo("a token", "amber", clock.now)


def test_signed_userinfo_with_another_algorithm_is_refused(clock: Clock, provider: Provider, network: Network) -> None:
    signed_userinfo(network, provider)

    with refused(InvalidToken, "alg_not_registered"):
        known(replace(SIGNED, userinfo_signed_response_alg="ES256")).userinfo("a token", "amber", clock.now)


def test_signed_userinfo_works_with_an_encrypted_id_token(clock: Clock, provider: Provider, network: Network) -> None:
    signed_userinfo(network, provider)
    registration = replace(SIGNED, id_token_encrypted_response_alg="RSA-OAEP", id_token_signed_response_alg="ES256")

    assert known(registration).userinfo("a token", "amber", clock.now)["sub"] == "amber"


def test_a_missing_userinfo_endpoint_is_reported(clock: Clock, network: Network) -> None:
    network.change(DISCOVERY, lambda document: {**document, "userinfo_endpoint": None})

    with refused(SetupError, "userinfo_endpoint_missing"):
        known().userinfo("a token", "amber", clock.now)


def test_logout_token_is_verified(clock: Clock, provider: Provider, network: Network) -> None:
    token = provider.logout_token(CLIENT_ID, sid="session-1")

    verified = known().verify_logout_token(token, now=clock.now, exp_required=False)

    assert (verified.sid, verified.subject) == ("session-1", None)
    with refused(InvalidToken, "exp_missing"):
        known().verify_logout_token(token, now=clock.now, exp_required=True)


def test_logout_token_signed_after_a_rotation_is_not_lost(
    warm: OpenIDProvider, clock: Clock, provider: Provider, network: Network
) -> None:
    provider.rotate_keys()
    token = provider.logout_token(CLIENT_ID, sid="session-1")
    network.down(JWKS)
    with refused(ProviderUnavailable, "unreachable"):
        warm.verify_logout_token(token, now=clock.now, exp_required=False)

    network.mend()
    clock.now += 5
    assert warm.verify_logout_token(token, now=clock.now, exp_required=False).sid == "session-1"
