"""The feeds' routes: open to all origins whatever is configured, and to nobody's made-up host."""

from typing import Any

import pytest

from shared.http_policy import Cors, HttpPolicy
from shared.jwt import Verifier
from tests.unit.gateway_app import BIKE, SECRET, FakeService, gateway, token

ORIGIN = {"Origin": "https://planner.example"}
VEHICLES, MANIFEST = "/gbfs/3.0/vehicle_status.json", "/gbfs/manifest.json"


def policy(**changes: Any) -> HttpPolicy:
    return HttpPolicy(verifier=Verifier.with_secret(SECRET), **changes)


@pytest.mark.parametrize("origins", [[], ["*"], ["https://app.example"]])
@pytest.mark.parametrize("path", [VEHICLES, MANIFEST])
def test_any_origin_may_read_a_feed_and_why_there_is_none(origins: list[str], path: str) -> None:
    answer = gateway(policy=policy(cors=Cors(frozenset(origins)))).get(path, headers=ORIGIN)
    assert answer.status_code == (503 if path == VEHICLES else 200)
    assert answer.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


def test_a_fleet_that_is_not_known_is_unavailable() -> None:
    answer = gateway().get(VEHICLES)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("host", ["bikes.example.org", "localhost:8000", "[::1]:8000", "10.0.0.1"])
def test_links_lead_to_where_the_client_came_from(host: str) -> None:
    answer = gateway().get("/gbfs/3.0/gbfs_versions.json", headers={"Host": host})
    assert answer.json["data"]["versions"] == [{"version": "3.0", "url": f"http://{host}/gbfs/3.0/gbfs.json"}]


def test_public_reads_ask_for_a_token_where_they_are_closed() -> None:
    answers = {"get": BIKE, "list": {"items": [], "next": None}}
    for path in ("/v1/bikes", f"/v1/bikes/{BIKE['id']}"):
        refused = gateway(FakeService(**answers), policy=policy(is_closed=True)).get(path)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        for role in ("rider", "operator", "vehicle"):
            answer = gateway(FakeService(**answers), policy=policy(is_closed=True)).get(path, headers=token(role))
            assert answer.status_code == 200
        assert gateway(FakeService(**answers)).get(path).status_code == 200
    assert gateway(policy=policy(is_closed=True)).get(MANIFEST).status_code == 200
    assert gateway(policy=policy(is_closed=True)).get("/ping").status_code == 200
