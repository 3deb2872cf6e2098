"""The public door: HTTP in, RPC and messages out."""

API_VERSION = "1.0.0"
