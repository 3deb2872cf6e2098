# Rendered beside the compose file: what `make docker-test` runs in. It stands where the gateway's clients and the
# broker's publishers stand; no database can be reached from there.
services:
  tests:
    image: <%text>${IMAGE_PREFIX:-bike-company/}</%text>tests:<%text>${IMAGE_TAG:-latest}</%text>
    # whoever owns the checkout
    user: <%text>${TESTS_USER:-10001:10001}</%text>
    working_dir: /checkout
    environment:
      E2E_STACK_ENV: /run/secrets/tests_stack.env
      STACK_ENV: /run/secrets/tests_stack.env
      HOME: /tmp
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    networks: [public, broker]
    secrets: [tests_stack.env]
    volumes: ["${root}:/checkout:ro"]
    # over the secrets and the data of this checkout's stacks
    tmpfs: ['/tmp:mode=1777', '/checkout/.local:mode=1777']
    mem_limit: 2g

secrets:
  tests_stack.env: {file: ./secrets/tests_stack.env}
