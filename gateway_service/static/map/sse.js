// Server-sent events out of text that comes in pieces, as the HTML standard has them.

export class EventParser {
  // `onEvent({type, data})`; `onRetry(ms)` when the server names a delay for reconnections.
  constructor(onEvent, onRetry = () => {}) {
    this.onEvent = onEvent;
    this.onRetry = onRetry;
    this.rest = "";
    this.id = "";
    // The last one that was complete, with an event or without.
    this.lastId = "";
    this.begin();
  }

  begin() {
    this.type = "message";
    this.data = [];
  }

  feed(text) {
    // A carriage return at the very end may be the first half of a line's end.
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop();
    for (const line of lines) this.line(line);
  }

  line(line) {
    if (line === "") {
      this.lastId = this.id;
      if (this.data.length) this.onEvent({ type: this.type, data: this.data.join("\n") });
      this.begin();
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.data.push(value);
    else if (field === "event") this.type = value;
    else if (field === "id") this.id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.onRetry(Number(value));
  }
}
