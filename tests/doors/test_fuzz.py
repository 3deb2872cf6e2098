"""The gateway does what its OpenAPI document says, whoever calls and whatever is sent.

`FUZZ_CASES` requests in all, of another kind in each run (`make fuzz CASES=...`), or about two thousand, always the
same; `FUZZ_SEED` repeats a run.
"""

import os
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from tests.doors.fuzzing import fuzz
from tests.e2e.client import Api, Client, Json, ok

CASES = int(os.environ.get("FUZZ_CASES") or 0)
# A change must not fail because of what an earlier one left unfound.
SEED = int(os.environ.get("FUZZ_SEED") or (secrets.randbelow(2**31) if CASES else 20_261))
# What the processor may be busy with else: alone the longest takes 24 s in the short form.
WITHIN_S = 3600 if CASES else 240
CALLERS = ("anonymous", "rider", "operator", "vehicle")
# The phase of boundary values makes 900 cases at least: in the short form just those who may do the most go through it.
SHORT_PHASES = "examples,fuzzing,stateful"
LEAST_EXAMPLES = {"anonymous": 8, "rider": 2, "operator": 2, "vehicle": 8}
# Measured in the short form: 48, 359, 787 and 59 at least; with a token that is none a vehicle has 32, the others 16.
LEAST_JUDGED = {"anonymous": 25, "rider": 180, "operator": 400, "vehicle": 45}
# Cases that one more example for each operation makes, a little less than measured.
CASES_PER_EXAMPLE = 25


@pytest.mark.timeout(WITHIN_S + 60)
@pytest.mark.parametrize("caller", CALLERS)
def test_nothing_sent_gets_an_answer_that_is_not_declared(
    api: Api, add_bike: Callable[..., Json], operator: Client, caller: str
) -> None:
    bikes: list[Any] = [add_bike()["id"] for _ in range(4)]
    rider = api.rider()
    trip_ids = []
    for bike_id in bikes[:2]:
        trip = ok(rider.post("/v1/trips", {"bike_id": bike_id}), 201)
        trip_ids.append(trip["id"])
        ok(rider.post(f"/v1/trips/{trip['id']}/end"))
    token = {
        "anonymous": None,
        "rider": api.token("rider", rider.sub),
        "operator": api.token("operator"),
        "vehicle": api.token("vehicle", bikes[0]),
    }[caller]
    examples = max(CASES // len(CALLERS) // CASES_PER_EXAMPLE, LEAST_EXAMPLES[caller])
    phases = None if CASES or caller in ("rider", "operator") else SHORT_PHASES
    outcome = fuzz(api.base_url, token, examples, SEED, bikes, trip_ids, phases, WITHIN_S)
    print(f"\n{caller}: {outcome.cases} cases, {outcome.judged} judged, seed {SEED}")
    assert outcome.ok, f"seed {SEED}\n{outcome.report}"
    assert outcome.cases >= CASES // len(CALLERS)
    assert outcome.judged >= LEAST_JUDGED[caller], f"seed {SEED}: {sorted(outcome.answers.items())}\n{outcome.report}"
