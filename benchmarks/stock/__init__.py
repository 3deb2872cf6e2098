"""The baseline: the same endpoints, tables and SQL with what nameko 2.14.1 brings.

`RpcProxy`, `@rpc`, `EventDispatcher`, `@event_handler`, `@consume`, `@http`; validated by plain marshmallow; without
deadlines, outbox or idempotency. Nothing here is imported from the product, so that the baseline stays where it is
when the product gets faster.
"""
