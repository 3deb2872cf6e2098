from shared.migrate import run_environment
from trip_service.models import Base

run_environment(Base.metadata)
