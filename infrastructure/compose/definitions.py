"""RabbitMQ's definitions: the virtual host, a user for each service and the operator, and what each may do there."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from infrastructure.broker_permissions import OPERATOR, permissions

ALGORITHM = "rabbit_password_hashing_sha256"
SALT_BYTES = 4


def password_hash(password: str, salt: bytes) -> str:
    """As RabbitMQ keeps it: base64 of the salt (4 bytes) and of SHA-256 over salt and password."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def salts(definitions: Mapping[str, Any]) -> dict[str, bytes]:
    """User to salt in definitions written before. Raises KeyError or ValueError when they are none of ours."""
    return {user["name"]: base64.b64decode(user["password_hash"])[:SALT_BYTES] for user in definitions["users"]}


def text(vhost: str, passwords: Mapping[str, str], known_salts: Mapping[str, bytes]) -> str:
    """JSON for `load_definitions`; `passwords` by user. The same salts give the same text."""
    users = [
        {
            "name": user,
            "password_hash": password_hash(password, known_salts.get(user) or secrets.token_bytes(SALT_BYTES)),
            "hashing_algorithm": ALGORITHM,
            "tags": "administrator" if user == OPERATOR else "",
        }
        for user, password in passwords.items()
    ]
    rights = [{"user": user, "vhost": vhost, **permissions(user).as_dict()} for user in passwords]
    return json.dumps({"vhosts": [{"name": vhost}], "users": users, "permissions": rights}, indent=2) + "\n"
