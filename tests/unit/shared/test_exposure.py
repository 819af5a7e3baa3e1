"""A service that other machines can reach does not start without its tokens."""

import pytest
from pydantic import ValidationError

from shared.config import ServiceSettings
from shared.http.exposure import Exposed, refuse_exposure

TOKENS = {"admin_token": "secret", "service_token": "another"}


def settings(**given: object) -> ServiceSettings:
    return ServiceSettings(_env_file=None, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    [("0.0.0.0", 3000), ("::", 3000), ("", 3000), ("192.168.1.4", 80), ("2001:db8::1", 80), ("shop.example", 80), 3],
)
def test_a_service_that_others_can_reach_needs_both_tokens(address: object) -> None:
    with pytest.raises(Exposed, match="without ADMIN_TOKEN and SERVICE_TOKEN"):
        refuse_exposure([("127.0.0.1", 3000), address], settings())
    for name, missing in ("admin_token", "SERVICE_TOKEN"), ("service_token", "ADMIN_TOKEN"):
        with pytest.raises(Exposed, match=f"without {missing}:"):
            refuse_exposure([address], settings(**{name: "secret"}))
    refuse_exposure([address], settings(**TOKENS))
    refuse_exposure([address], settings(insecure_demo="true"))


@pytest.mark.parametrize("address", [("127.0.0.1", 3000), ("127.1.2.3", 1), ("::1", 3000), ("localhost", 1), "/run/s"])
def test_a_service_of_this_machine_alone_needs_none(address: object) -> None:
    refuse_exposure([address], settings())


def test_a_container_is_as_exposed_as_it_is_published() -> None:
    everywhere = ("0.0.0.0", 8000)
    refuse_exposure([everywhere], settings(published_on="127.0.0.1"))
    with pytest.raises(Exposed, match=r"10\.0\.0\.7"):
        refuse_exposure([everywhere], settings(published_on="10.0.0.7"))
    refuse_exposure([everywhere], settings(published_on="10.0.0.7", **TOKENS))


def test_an_empty_token_is_none() -> None:
    for name in TOKENS:
        with pytest.raises(Exposed):
            refuse_exposure([("0.0.0.0", 1)], settings(**{**TOKENS, name: ""}))


def test_a_token_is_not_shown() -> None:
    shown = repr(settings(**TOKENS))
    assert not [token for token in TOKENS.values() if token in shown]


def test_a_demo_is_insecure_only_if_that_is_said_in_so_many_words() -> None:
    with pytest.raises(ValidationError):
        settings(insecure_demo="perhaps")


def test_where_faults_can_be_switched_on_not_even_a_demo_goes_without_the_operators_token() -> None:
    everywhere = [("0.0.0.0", 3000)]
    with pytest.raises(Exposed, match="FAULTS=true and without ADMIN_TOKEN"):
        refuse_exposure(everywhere, settings(faults="true", insecure_demo="true", service_token="another"))
    refuse_exposure(everywhere, settings(faults="true", insecure_demo="true", admin_token="secret"))
    refuse_exposure(everywhere, settings(faults="true", **TOKENS))
    refuse_exposure([("127.0.0.1", 3000)], settings(faults="true"))
