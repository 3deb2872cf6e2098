"""The local stack: a private PostgreSQL, a private RabbitMQ and the three services under supervisord."""
