"""Deliveries over a socket, as Hydra sends them."""

import pytest

from django_ory_logout.testing import Delivery
from django_ory_logout.testing.hydra.backchannel import BackChannel, Report

from .conftest import Receiver


@pytest.fixture
def backchannel(pauses: list[float]) -> BackChannel:
    return BackChannel(sleep=pauses.append)


def deliver(backchannel: BackChannel, url: str) -> Report:
    (report,) = backchannel.deliver([Delivery("site", url, "a.b.c")])
    return report


def test_a_delivery_is_one_form_post(backchannel: BackChannel, receiver: Receiver) -> None:
    report = deliver(backchannel, receiver.url + "/out/")

    assert receiver.received == [("POST", "/out/", {"logout_token": "a.b.c"})]
    assert report == Report("site", receiver.url + "/out/", [200])
    assert report.delivered
    assert list(backchannel.reports) == [report]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_temporary_fault_is_retried_with_the_same_token(
    backchannel: BackChannel, receiver: Receiver, pauses: list[float], status: int
) -> None:
    receiver.answers = [(status, {}), (status, {})]

    assert deliver(backchannel, receiver.url).attempts == [status, status, 200]
    assert pauses == [1.0, 2.0]
    assert {received.form["logout_token"] for received in receiver.received} == {"a.b.c"}


def test_there_are_at_most_three_attempts(backchannel: BackChannel, receiver: Receiver) -> None:
    receiver.answers = [(503, {})] * 3

    report = deliver(backchannel, receiver.url)

    assert report.attempts == [503, 503, 503]
    assert not report.delivered


@pytest.mark.parametrize("status", [201, 202, 400, 404, 501])
def test_any_other_answer_is_a_final_failure(backchannel: BackChannel, receiver: Receiver, status: int) -> None:
    receiver.answers = [(status, {})]

    report = deliver(backchannel, receiver.url)

    assert report.attempts == [status]
    assert not report.delivered


def test_204_is_a_success(backchannel: BackChannel, receiver: Receiver) -> None:
    receiver.answers = [(204, {})]

    assert deliver(backchannel, receiver.url).delivered


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_respected(
    backchannel: BackChannel, receiver: Receiver, pauses: list[float], status: int
) -> None:
    receiver.answers = [(status, {"Retry-After": "0"}), (status, {"Retry-After": "5"})]

    assert deliver(backchannel, receiver.url).attempts == [status, status, 200]
    assert pauses == [0.0, 5.0]


def test_a_retry_after_beyond_the_time_limit_ends_the_attempts(
    backchannel: BackChannel, receiver: Receiver, pauses: list[float]
) -> None:
    receiver.answers = [(503, {"Retry-After": "40"})]

    assert deliver(backchannel, receiver.url).attempts == [503]
    assert pauses == []


def test_all_attempts_share_one_time_limit(backchannel: BackChannel, receiver: Receiver, pauses: list[float]) -> None:
    receiver.answers = [(503, {"Retry-After": "20"})] * 2

    assert deliver(backchannel, receiver.url).attempts == [503, 503]
    assert pauses == [20.0]


def test_a_proxy_of_the_environment_is_not_used(
    backchannel: BackChannel, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:44442")

    assert deliver(backchannel, receiver.url).delivered


def test_retry_after_counts_only_for_429_and_503(
    backchannel: BackChannel, receiver: Receiver, pauses: list[float]
) -> None:
    receiver.answers = [(500, {"Retry-After": "9"})]

    deliver(backchannel, receiver.url)

    assert pauses == [1.0]


def test_a_refused_connection_is_retried(backchannel: BackChannel, pauses: list[float]) -> None:
    assert deliver(backchannel, "http://127.0.0.1:44442/").attempts == ["ConnectionError"] * 3
    assert pauses == [1.0, 2.0]


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_loses_the_notice_and_looks_like_a_success(
    backchannel: BackChannel, receiver: Receiver, status: int
) -> None:
    receiver.answers = [(status, {"Location": "/elsewhere"})]

    assert deliver(backchannel, receiver.url).delivered
    assert receiver.received[1] == ("GET", "/elsewhere", {})


@pytest.mark.parametrize("status", [307, 308])
def test_redirects_307_and_308_keep_the_post(backchannel: BackChannel, receiver: Receiver, status: int) -> None:
    receiver.answers = [(status, {"Location": "/elsewhere"})]

    deliver(backchannel, receiver.url)

    assert receiver.received[1] == ("POST", "/elsewhere", {"logout_token": "a.b.c"})


def test_clients_are_notified_in_parallel(backchannel: BackChannel, receiver: Receiver) -> None:
    deliveries = [Delivery(name, url, "a.b.c") for name, url in (("a", "http://127.0.0.1:44442/"), ("b", receiver.url))]

    first, second = backchannel.deliver(deliveries)

    assert (first.client_id, second.client_id) == ("a", "b")
    assert (first.delivered, second.delivered) == (False, True)


def test_deliveries_can_run_in_the_background(backchannel: BackChannel, receiver: Receiver) -> None:
    backchannel.deliver_in_background([Delivery("site", receiver.url, "a.b.c")]).join(5)

    assert [report.delivered for report in backchannel.reports] == [True]
