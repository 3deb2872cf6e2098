<%
    from infrastructure.selection import short
    gateway = "gateway_service" in selection.services
%>\
# Rendered from docker-compose.yml.mako by `python -m infrastructure.compose`; change that. For compose v2 and 1.29.
#
# Services: ${", ".join(f"{name}={number}" for name, number in selection.processes.items())}.
# `make docker-run` makes the secrets that this file names, and starts it. By hand, a command needs the project's name:
# docker compose -p bike-company -f <this file> ...

x-logging: &logging
  driver: json-file
  options: {max-size: 10m, max-file: "3"}

# An image's own process is told of SIGTERM itself (exec form), so no init stands before it.
x-hardened: &hardened
  read_only: true
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  logging: *logging

x-service: &service
  <<: *hardened
  restart: unless-stopped
  stop_grace_period: 15s
  tmpfs: ['/tmp:mode=1777']
  pids_limit: 200
  # a start waits up to STARTUP_TIMEOUT for broker and database; the timeout covers the start of an interpreter
  healthcheck: {test: [CMD, python, -m, shared.healthcheck], interval: 5s, timeout: 5s, retries: 3, start_period: 120s}

services:
  rabbitmq:
    <<: *hardened
    image: <%text>${RABBITMQ_IMAGE:-rabbitmq:4-management}</%text>
    user: rabbitmq
    restart: unless-stopped
    stop_grace_period: 40s
    environment:
      # the node is one alone: nothing of Erlang's own listens but on loopback
      RABBITMQ_NODENAME: rabbit@localhost
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}"
      ERL_EPMD_ADDRESS: 127.0.0.1
% if mqtt:
      RABBITMQ_CONFIG_FILES: /etc/rabbitmq/conf.d/*.conf
    networks: [broker, observability, mqtt]
    ports: ["127.0.0.1:<%text>${MQTT_PORT:-1883}</%text>:1883"]
% else:
    networks: [broker, observability]
% endif
    secrets: [rabbitmq_definitions.json]
    volumes:
      - rabbitmq_data:/var/lib/rabbitmq
      - ${paths.mounted}/docker/rabbitmq.conf:/etc/rabbitmq/rabbitmq.conf:ro
% if mqtt:
      - ${paths.mounted}/docker/mqtt/rabbitmq.conf:/etc/rabbitmq/conf.d/90-mqtt.conf:ro
      - ${paths.mounted}/docker/mqtt/advanced.config:/etc/rabbitmq/advanced.config:ro
      - ${paths.mounted}/docker/mqtt/enabled_plugins:/etc/rabbitmq/enabled_plugins:ro
% else:
      - ${paths.mounted}/docker/enabled_plugins:/etc/rabbitmq/enabled_plugins:ro
% endif
    tmpfs: ['/tmp:mode=1777', '/var/log/rabbitmq:mode=1777']
    mem_limit: 1g
    cpus: 1.0
    pids_limit: 500
    healthcheck:
      # the whole way in: the listener, and the definitions have been loaded before it. Each check starts an Erlang VM
      # within the broker's own limits, so it is no more than this one, and seldom
      test: [CMD, rabbitmq-diagnostics, -q, check_port_connectivity]
      interval: 30s
      timeout: 20s
      retries: 3
      start_period: 60s

% for name in selection.databases:
<% database = short(name) %>\
  ${database}_postgres:
    <<: *hardened
    image: <%text>${POSTGRES_IMAGE:-postgres:17}</%text>
    user: postgres
    command: [postgres, -c, 'listen_addresses=*', -c, max_connections=${max_connections(selection.processes[name])}, -c, shared_buffers=128MB, -c, timezone=UTC]
    restart: unless-stopped
    stop_grace_period: 30s
    environment:
      PGDATA: /var/lib/postgresql/data/cluster
      POSTGRES_USER: admin
      POSTGRES_DB: postgres
      POSTGRES_PASSWORD_FILE: /run/secrets/${database}_postgres_password
      POSTGRES_INITDB_ARGS: --encoding=UTF8 --locale=C.UTF-8 --auth-host=scram-sha-256
      SERVICE: ${name}
      SERVICE_PASSWORD_FILE: /run/secrets/${database}_database_password
    networks: [${database}_db]
    secrets: [${database}_postgres_password, ${database}_database_password]
    volumes:
      - ${database}_data:/var/lib/postgresql/data
      - ${paths.mounted}/docker/make-service-database.sh:/docker-entrypoint-initdb.d/10-service.sh:ro
    tmpfs: ['/tmp:mode=1777', '/var/run/postgresql:mode=1777']
    mem_limit: 768m
    cpus: 1.0
    shm_size: 128m
    pids_limit: ${max_connections(selection.processes[name]) + 100}
    healthcheck:
      # a query over TCP, on which the temporary server of the first start does not listen
      test: [CMD-SHELL, 'PGPASSWORD=$$(cat /run/secrets/${database}_database_password) psql -h 127.0.0.1 -U ${name} -d ${name} -qAtc "SELECT 1"']
      interval: 5s
      timeout: 5s
      retries: 6
      start_period: 60s

  ${database}_migrate:
    <<: *hardened
    image: <%text>${IMAGE_PREFIX:-bike-company/}</%text>${name}:<%text>${IMAGE_TAG:-latest}</%text>
    command: [python, -m, shared.migrate, ${name}]
    restart: "no"
    depends_on:
      ${database}_postgres: {condition: service_healthy}
    environment:
      ${database.upper()}_DATABASE_URL_FILE: /run/secrets/${database}_database_url
      STARTUP_TIMEOUT: <%text>${STARTUP_TIMEOUT:-120}</%text>
    networks: [${database}_db]
    secrets: [${database}_database_url]
    tmpfs: ['/tmp:mode=1777']
    mem_limit: 256m
    cpus: 1.0
    pids_limit: 100
    healthcheck: {disable: true}

% endfor
% for name, processes in selection.processes.items():
<% service = short(name) %>\
  ${name}:
    <<: *service
    image: <%text>${IMAGE_PREFIX:-bike-company/}</%text>${name}:<%text>${IMAGE_TAG:-latest}</%text>
% if name in selection.databases:
% if processes > 1:
    scale: ${processes}
% endif
    depends_on:
      rabbitmq: {condition: service_healthy}
      ${service}_postgres: {condition: service_healthy}
      ${service}_migrate: {condition: service_completed_successfully}
    environment:
      AMQP_URI_FILE: /run/secrets/${name}_amqp_uri
      ${service.upper()}_DATABASE_URL_FILE: /run/secrets/${service}_database_url
      # ${service}_migrate does it
      MIGRATE_AT_START: "false"
      METRICS_ADDRESS: 0.0.0.0:9464
      STARTUP_TIMEOUT: <%text>${STARTUP_TIMEOUT:-120}</%text>
      LOG_LEVEL: <%text>${LOG_LEVEL:-INFO}</%text>
% for variable in settings(name):
      ${variable}: <%text>${</%text>${variable}<%text>:-}</%text>
% endfor
    networks: [broker, ${service}_db, observability]
    secrets: [${name}_amqp_uri, ${service}_database_url]
    mem_limit: 384m
    cpus: 1.0
% else:
    depends_on:
      rabbitmq: {condition: service_healthy}
    environment:
      AMQP_URI_FILE: /run/secrets/${name}_amqp_uri
      JWT_SECRET_FILE: /run/secrets/jwt_secret
      GATEWAY_ADDRESS: 0.0.0.0:8000
% if processes > 1:
      SERVICES: gateway
      PROCESSES: gateway=${processes}
% endif
      METRICS_ADDRESS: 0.0.0.0:9464
      STARTUP_TIMEOUT: <%text>${STARTUP_TIMEOUT:-120}</%text>
      LOG_LEVEL: <%text>${LOG_LEVEL:-INFO}</%text>
% for variable in settings(name):
      ${variable}: <%text>${</%text>${variable}<%text>:-}</%text>
% endfor
    networks: [public, broker, observability]
    ports: ["127.0.0.1:<%text>${GATEWAY_PORT:-8000}</%text>:8000"]
    secrets: [${name}_amqp_uri, jwt_secret]
% if processes > 1:
    # several processes behind one listening socket, which supervisord opens and hands to each
    command: [sh, infrastructure/docker/run-programs.sh]
    healthcheck: {test: [CMD, python, -m, infrastructure.programs_health], interval: 5s, timeout: 5s, retries: 3, start_period: 120s}
% endif
    mem_limit: ${384 * processes}m
    cpus: ${float(processes)}
% endif

% endfor
% if mqtt:
  # the broker asks it whether a bike may come in; it has no address that anybody but the broker needs
  mqtt_login:
    <<: *service
    image: <%text>${IMAGE_PREFIX:-bike-company/}</%text>gateway_service:<%text>${IMAGE_TAG:-latest}</%text>
    command: [python, -m, shared.mqtt_login]
    environment:
      JWT_SECRET_FILE: /run/secrets/jwt_secret
      MQTT_LOGIN_ADDRESS: 0.0.0.0:8001
      MQTT_VHOST: bike_company
      METRICS_ADDRESS: 0.0.0.0:9464
      LOG_LEVEL: <%text>${LOG_LEVEL:-INFO}</%text>
% for variable in token_settings:
      ${variable}: <%text>${</%text>${variable}<%text>:-}</%text>
% endfor
    # the last is its way out to a key set of JWT_JWKS; a name with _ is none of a host in a URL
    networks: {broker: {aliases: [mqtt-login]}, observability: {}, keys: {}}
    secrets: [jwt_secret]
    mem_limit: 192m
    cpus: 0.5

% endif
  prometheus:
    <<: *hardened
    # by itself where there is no Grafana
    profiles: [observability, prometheus]
    image: <%text>${PROMETHEUS_IMAGE:-prom/prometheus:v3.5.0}</%text>
    command: [--config.file=/etc/prometheus/prometheus.yml, --storage.tsdb.path=/prometheus, --storage.tsdb.retention.time=15d]
    restart: unless-stopped
    networks: [observability, dashboards]
    ports: ["127.0.0.1:<%text>${PROMETHEUS_PORT:-9090}</%text>:9090"]
    volumes:
      - prometheus_data:/prometheus
      - ${paths.mounted}/observability:/etc/prometheus:ro
      - ${paths.mounted}/observability/targets:/etc/prometheus_targets:ro
    tmpfs: ['/tmp:mode=1777']
    mem_limit: 1g
    cpus: 1.0
    pids_limit: 200
    healthcheck: {test: [CMD, promtool, query, instant, "http://127.0.0.1:9090", "1"], interval: 10s, timeout: 5s, retries: 6, start_period: 30s}

  grafana:
    <<: *hardened
    profiles: [observability]
    image: <%text>${GRAFANA_IMAGE:-grafana/grafana:12.1.0}</%text>
    restart: unless-stopped
    environment:
      GF_SECURITY_ADMIN_PASSWORD__FILE: /run/secrets/grafana_password
      GF_ANALYTICS_REPORTING_ENABLED: "false"
      GF_ANALYTICS_CHECK_FOR_UPDATES: "false"
    networks: [dashboards]
    ports: ["127.0.0.1:<%text>${GRAFANA_PORT:-3000}</%text>:3000"]
    secrets: [grafana_password]
    volumes:
      - grafana_data:/var/lib/grafana
      - ${paths.mounted}/observability/grafana/provisioning:/etc/grafana/provisioning:ro
      - ${paths.mounted}/observability/grafana/dashboards:/etc/grafana/dashboards:ro
    tmpfs: ['/tmp:mode=1777']
    mem_limit: 512m
    cpus: 1.0
    pids_limit: 200
    healthcheck:
      test: [CMD-SHELL, wget -q -O /dev/null http://127.0.0.1:3000/api/health]
      interval: 10s
      timeout: 5s
      retries: 6
      start_period: 60s

networks:
  # a network that is internal has no way out, and none in
% if gateway:
  public: {}
% endif
  broker: {internal: true}
% if mqtt:
  # a port can be published from a network with a way out only
  mqtt: {}
  keys: {}
% endif
% for name in selection.databases:
  ${short(name)}_db: {internal: true}
% endfor
  observability: {internal: true}
  dashboards: {}

volumes:
  rabbitmq_data: {}
% for name in selection.databases:
  ${short(name)}_data: {}
% endfor
  prometheus_data: {}
  grafana_data: {}

secrets:
% for secret in secrets:
  ${secret}: {file: ${paths.secrets}/${secret}}
% endfor
