"""The public door with stock nameko."""

import json
import uuid
from typing import Any

import jwt
from marshmallow import ValidationError
from nameko.dependency_providers import Config
from nameko.exceptions import RemoteError
from nameko.rpc import RpcProxy
from nameko.web.handlers import http

from benchmarks.stock import schemas

Answer = tuple[int, dict[str, str], str]
_near, _new_trip = schemas.NearSchema(), schemas.NewTripSchema()


class Refused(Exception):
    """No such thing, or not for this caller."""


def answer(status: int, body: Any) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(body, separators=(",", ":"))


class GatewayService:
    """HTTP in, RPC out."""

    name = "gateway_service"

    config = Config()
    bikes = RpcProxy("bike_service")
    trips = RpcProxy("trip_service")

    @http("GET", "/health")
    def health(self, request: Any) -> Answer:
        return answer(200, {"bike_service": self.bikes.health(), "trip_service": self.trips.health()})

    @http("GET", "/v1/bikes/<string:bike_id>")
    def get_bike(self, request: Any, bike_id: str) -> Answer:
        return self._judged(lambda: answer(200, self.bikes.get(str(uuid.UUID(bike_id)), viewer=self._viewer(request))))

    @http("GET", "/v1/bikes")
    def near(self, request: Any) -> Answer:
        def find() -> Answer:
            place = _near.load(request.args.to_dict())
            return answer(200, self.bikes.near(viewer=self._viewer(request), **place))

        return self._judged(find)

    @http("POST", "/v1/trips")
    def start_trip(self, request: Any) -> Answer:
        def start() -> Answer:
            rider_id = self._subject(request, "rider")
            bike_id = str(_new_trip.load(json.loads(request.get_data()))["bike_id"])
            return answer(201, self.trips.start(bike_id, rider_id))

        return self._judged(start)

    @http("POST", "/v1/trips/<string:trip_id>/end")
    def end_trip(self, request: Any, trip_id: str) -> Answer:
        return self._judged(
            lambda: answer(200, self.trips.end(str(uuid.UUID(trip_id)), self._subject(request, "rider")))
        )

    @http("POST", "/events")
    def dispatch_events(self, request: Any) -> Answer:
        """Has trip_service publish `trip_ended` for each of the body's `trips`."""
        return answer(200, {"dispatched": self.trips.dispatch_ended(json.loads(request.get_data())["trips"])})

    def _judged(self, work: Any) -> Answer:
        try:
            answered: Answer = work()
        except (ValidationError, ValueError) as error:
            return answer(422, {"detail": str(error)})
        except Refused as error:
            return answer(401, {"detail": str(error)})
        except RemoteError as error:
            return answer(409 if error.exc_type == "Refused" else 500, {"detail": error.value})
        return answered

    def _claims(self, request: Any) -> dict[str, Any] | None:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return None
        try:
            claims: dict[str, Any] = jwt.decode(
                authorization.removeprefix("Bearer "), self.config["JWT_SECRET"], algorithms=["HS256"],
                options={"require": ["sub", "role", "exp"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise Refused(str(error)) from None
        return claims

    def _viewer(self, request: Any) -> dict[str, Any]:
        claims = self._claims(request)
        return {"role": "anonymous"} if claims is None else {"role": claims["role"], "sub": claims["sub"]}

    def _subject(self, request: Any, role: str) -> str:
        claims = self._claims(request)
        if claims is None or claims["role"] != role:
            raise Refused(f"This takes the role {role}.")
        return str(claims["sub"])
