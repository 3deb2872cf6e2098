"""What Nameko 2.14 lacks for production work, written once as ordinary Nameko extensions."""

import warnings

# Eventlet's notice to whoever imports it first is nothing that whoever runs a service can act on.
warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")

# That of pyproject.toml, which is no part of an image.
VERSION = "0.1.0"
