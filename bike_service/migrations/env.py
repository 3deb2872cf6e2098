from bike_service.models import Base
from shared.migrate import run_environment

run_environment(Base.metadata)
