"""The images: what each is built from, and on what."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infrastructure.compose import engine
from infrastructure.compose.errors import ComposeError

OFFLINE_BASE = "bike-company/debian-python:bookworm"
# Where nothing can be pulled, these stand in for the official images.
OFFLINE = {
    "RABBITMQ_IMAGE": "bike-company/rabbitmq:latest",
    "POSTGRES_IMAGE": "bike-company/postgres:latest",
    "PROMETHEUS_IMAGE": "bike-company/prometheus:latest",
}
OFFLINE_DOCKERFILES = {
    "RABBITMQ_IMAGE": "infrastructure/docker/Dockerfile.rabbitmq",
    "POSTGRES_IMAGE": "infrastructure/docker/Dockerfile.postgres",
}
OBSERVABILITY = "observability"
OFFLINE_OBSERVABILITY_DOCKERFILES = {"PROMETHEUS_IMAGE": "infrastructure/docker/Dockerfile.prometheus"}
# The part of the profile that Debian has packages for.
PROMETHEUS_ONLY = "prometheus"


def prefix(environ: Mapping[str, str]) -> str:
    return environ.get("IMAGE_PREFIX") or "bike-company/"


def name(image: str, environ: Mapping[str, str]) -> str:
    """`bike_service` as `bike-company/bike_service:latest`."""
    return f"{prefix(environ)}{image}:{environ.get('IMAGE_TAG') or 'latest'}"


def without_grafana(environ: Mapping[str, str], offline: bool) -> bool:
    """Whether Grafana is asked for where it can neither be pulled nor built."""
    return offline and OBSERVABILITY in _asked(environ) and not environ.get("GRAFANA_IMAGE")


def profiles(environ: Mapping[str, str], offline: bool) -> list[str]:
    """Compose's profiles for those of PROFILE."""
    replaced = {OBSERVABILITY: PROMETHEUS_ONLY} if without_grafana(environ, offline) else {}
    return [replaced.get(name, name) for name in _asked(environ)]


def _asked(environ: Mapping[str, str]) -> list[str]:
    return environ.get("PROFILE", "").split()


class Builder:
    """Builds with the settings of `environ` (BASE_IMAGE, IMAGE_PREFIX, IMAGE_TAG) in the folder `root`."""

    def __init__(self, root: Path, environ: Mapping[str, str], offline: bool, say: Callable[[str], None]) -> None:
        self.environ, self.offline = environ, offline
        self._build = functools.partial(self._build_in, root)
        self._say = say

    @property
    def base_arguments(self) -> dict[str, str]:
        given = self.environ.get("BASE_IMAGE") or (OFFLINE_BASE if self.offline else "")
        return {"BASE_IMAGE": given} if given else {}

    def services(self, services: Sequence[str]) -> None:
        """The base image, and an image for each service on it. Raises ComposeError."""
        self._check_offline_base()
        self._build("infrastructure/Dockerfile.base", "base", self.base_arguments)
        for service in services:
            self._build(f"{service}/Dockerfile", service, self._on_base)

    def all_in_one(self) -> None:
        """API and listeners side by side in one container. Raises ComposeError."""
        self._build("infrastructure/Dockerfile.all", "all", self._on_base)

    def tests(self) -> None:
        """What the tests run in. Raises ComposeError."""
        self._build("infrastructure/Dockerfile.tests", "tests", self.base_arguments)

    def parts(self) -> None:
        """The stand-ins for broker and database, and for what PROFILE adds, unless official images are used.

        Raises ComposeError.
        """
        if not self.offline:
            return
        self._check_offline_base()
        observed = OFFLINE_OBSERVABILITY_DOCKERFILES if OBSERVABILITY in _asked(self.environ) else {}
        for variable, dockerfile in {**OFFLINE_DOCKERFILES, **observed}.items():
            if self.environ.get(variable) == OFFLINE[variable]:
                self._build(dockerfile, OFFLINE[variable], {"BASE_IMAGE": OFFLINE_BASE})

    def released(self, services: Sequence[str]) -> None:
        """See that the images are there, or pull them; nothing is built. Raises ComposeError."""
        stand_ins = [OFFLINE[each] for each in OFFLINE_DOCKERFILES if self.environ.get(each) == OFFLINE[each]]
        for image in [*(name(service, self.environ) for service in services), *stand_ins]:
            if not engine.has_image(image):
                self._say(f"Pulling {image} ...")
                engine.pull(image)

    @property
    def _on_base(self) -> dict[str, str]:
        return {"SERVICE_BASE": name("base", self.environ)}

    def _check_offline_base(self) -> None:
        if self.offline and not engine.has_image(OFFLINE_BASE):
            raise ComposeError(f"There is no image {OFFLINE_BASE} yet: make docker-base makes it.")

    def _build_in(self, root: Path, dockerfile: str, image: str, arguments: Mapping[str, str]) -> None:
        tag = image if ":" in image else name(image, self.environ)
        self._say(f"Building {tag} ...")
        engine.build(dockerfile, tag, root, arguments)
