"""Events, batches and dead letters as Prometheus sees them."""

from shared.metrics import TimedCounter, counter, histogram

# Outcomes of an event: handled; to be tried again; put aside; waits for the end of an outage; back to its queue.
HANDLED, RETRIED, DEAD, PUT_OFF, RETURNED = "ok", "retried", "dead", "put_off", "returned"
# Outcomes of a batch: handled; its messages were judged one by one; its messages went back to the queue.
SPLIT, INTERRUPTED = "split", "interrupted"

EVENTS_PUBLISHED = counter("events_published", "Events that the broker has confirmed, by type.", ["type"])
EVENTS_HANDLED = TimedCounter(
    "events_handled",
    "event_handling",
    "Events handled, by source, type, handler and outcome",
    ["source", "type", "handler", "outcome"],
)
BATCHES = TimedCounter("batches", "batch", "Batches of messages, by queue and outcome", ["queue", "outcome"])
BATCH_MESSAGES = histogram(
    "batch_messages", "Messages in a batch, by queue.", ["queue"], (1, 2, 5, 10, 20, 50, 100, 200, 500)
)
BATCH_PAUSES = counter("batch_pauses", "How often consuming paused for an outage, by queue.", ["queue"])
DEAD_LETTERS = counter("dead_letters", "Messages put into a dead-letter queue by us.", ["queue", "reason"])
