"""The private parts of a stack, and the variables by which its services and other tools reach them."""

from infrastructure.broker_permissions import permissions
from infrastructure.local import settings as settings_module
from infrastructure.local.composition import Composition
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.local.postgres import CONNECTIONS, Postgres
from infrastructure.local.rabbitmq import RabbitMQ
from infrastructure.programs import GATEWAY
from infrastructure.selection import SERVICES, WITH_DATABASE


class Parts:
    """The checkout's own PostgreSQL and RabbitMQ, run by supervisord; each is used where no setting replaces it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._postgres = Postgres(layout.postgres)
        self._rabbitmq = RabbitMQ(layout.rabbitmq)

    def prepare_postgres(self, composition: Composition) -> None:
        """Not while it runs. It takes the connections of the processes of now, and some more. Raises LocalError."""
        self._postgres.prepare(WITH_DATABASE, max(CONNECTIONS, composition.private_connections()))

    def check_room(self, composition: Composition) -> None:
        """Raises LocalError when the PostgreSQL that runs does not take all connections of the processes."""
        room, needed = self._postgres.connections, composition.private_connections()
        if needed > room:
            raise LocalError(
                f"So many processes may take {needed} connections, and the running PostgreSQL has room for {room}:"
                " stop the stack (make down), then start it with all PROCESSES at once."
            )

    def prepare_rabbitmq(self) -> None:
        """Not while it runs. Raises LocalError."""
        self._rabbitmq.prepare(SERVICES)

    def make_databases(self, composition: Composition) -> bool:
        """Make the databases of the chosen services; False when PostgreSQL does not take connections yet."""
        names = composition.private_databases()
        if names and not self._postgres.is_ready():
            return False
        for name in names:
            self._postgres.create_database(name)
        return True

    def let_in(self, composition: Composition) -> bool:
        """Give each chosen service a user of its own on the private broker; False when that does not answer yet."""
        if composition.settings.amqp_uri is not None:
            return True
        return all(
            self._rabbitmq.add_user(name, permissions(name).as_dict()) for name in composition.selection.services
        )

    @property
    def refusal(self) -> str:
        """Why the private broker did not let a service in, in its words; empty when it did, or has not answered."""
        return self._rabbitmq.refusal

    def amqp_uri(self, composition: Composition) -> str:
        """For tools and the operator, who may do everything on the private broker."""
        return composition.settings.amqp_uri or self._rabbitmq.url

    def mqtt_address(self, composition: Composition) -> str | None:
        """host:port where bikes connect over MQTT; None without a private broker that has it, or without the gateway.

        What another broker offers is its operator's affair (docs/mqtt.md).
        """
        if not composition.settings.private_rabbitmq or GATEWAY not in composition.selection.services:
            return None
        return self._rabbitmq.mqtt_address

    def environment(self, composition: Composition) -> dict[str, str]:
        """What stack.env holds."""
        variables = {}
        if GATEWAY in composition.selection.services:
            variables["GATEWAY_URL"] = composition.settings.gateway_url
        variables["AMQP_URI"] = self.amqp_uri(composition)
        if mqtt_address := self.mqtt_address(composition):
            variables["MQTT_ADDRESS"] = mqtt_address
        for name in composition.selection.databases:
            variables.update(self._database(composition, name))
        if composition.private_databases():
            variables["ADMIN_DATABASE_URL"] = self._postgres.admin_url
        return {**variables, **composition.metrics_urls(), "JWT_SECRET": self._jwt_secret(composition)}

    def service_environment(self, composition: Composition, name: str) -> dict[str, str]:
        """What the processes of one service need to know of the others."""
        variables = {"AMQP_URI": composition.settings.amqp_uri or self._rabbitmq.user_url(name)}
        if name in WITH_DATABASE:
            variables.update(self._database(composition, name))
        if name == GATEWAY:
            variables["GATEWAY_ADDRESS"] = composition.settings.gateway_address
            variables["JWT_SECRET"] = self._jwt_secret(composition)
        return variables

    def _database(self, composition: Composition, name: str) -> dict[str, str]:
        variable = settings_module.database_variable(name)
        given = composition.settings.database_url(name)
        return {variable: given or self._postgres.url(name, name)}

    def _jwt_secret(self, composition: Composition) -> str:
        return composition.settings.jwt_secret or settings_module.own_secret(self._layout.secret)
