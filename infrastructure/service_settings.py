"""What an operator may set for the services, by variables of these names; an empty one means the service's default.

Not what says where broker, databases and gateway are, nor secrets: whoever starts the services provides those.
"""

OF_SERVICE = {
    "bike_service": ("GBFS_CONFIG", "MAX_WORKERS"),
    "trip_service": (
        "FARE_CURRENCY", "FARE_PER_MINUTE", "FARE_UNLOCK", "MAX_WORKERS", "POSITION_RETENTION_DAYS",
        "TRIP_TIMEOUT_HOURS",
    ),
    "gateway_service": (
        "CORS_ORIGINS", "FARE_CURRENCY", "FARE_PER_MINUTE", "FARE_UNLOCK", "GBFS_CONFIG", "JWT_AUDIENCE", "JWT_ISSUER",
        "JWT_JWKS", "MAX_WORKERS", "PUBLIC_BIKES", "PUBLIC_URL", "RATE_LIMIT", "RATE_LIMIT_STORAGE", "RPC_TIMEOUT",
        "STREAM_READERS", "TRUSTED_PROXIES",
    ),
}  # fmt: skip
# Of every process.
OF_ALL = ("LOG_LEVEL", "STARTUP_TIMEOUT")
NAMES = frozenset(OF_ALL).union(*OF_SERVICE.values())
