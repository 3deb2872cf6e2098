"""The gateway's settings."""

from gateway_service.settings import nameko_config

__all__ = ["nameko_config"]
