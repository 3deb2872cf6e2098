// The stream of the gateway, held open: EventSource cannot send a token, so this reads the body itself.

import { headersOf, refusal, Refused } from "./api.js";
import { EventParser } from "./sse.js";

const SHORTEST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15000;
// More than two heartbeats: whoever is silent for so long is not there any more.
const SILENCE_MS = 35000;
// The gateway will not think otherwise of it the next time.
const FINAL = new Set([401, 403]);

export class Connection {
  // `onState("begun" | "resumed" | "lost")`: begun without a place in the stream, so that anything may have been before; `onEvent({type, data})`; `onRefused(error)`: the token is not good for it.
  constructor(path, token, { onState, onEvent, onRefused }) {
    Object.assign(this, { path, token, onState, onEvent, onRefused });
    this.lastId = "";
    this.failures = 0;
    this.shortestWait = SHORTEST_WAIT_MS;
    this.stopped = new AbortController();
    this.run();
  }

  stop() {
    this.stopped.abort();
  }

  async run() {
    while (!this.stopped.signal.aborted) {
      try {
        await this.read();
      } catch (error) {
        if (error instanceof Refused && FINAL.has(error.status)) {
          this.stop();
          this.onRefused(error);
          return;
        }
      }
      if (this.stopped.signal.aborted) return;
      this.onState("lost");
      await this.pause();
    }
  }

  // Returns, or throws, when the connection has ended.
  async read() {
    const silence = new AbortController();
    const listen = () => setTimeout(() => silence.abort(), SILENCE_MS);
    let timer = listen();
    try {
      const response = await fetch(this.path, {
        headers: {
          ...headersOf(this.token), Accept: "text/event-stream", ...(this.lastId && { "Last-Event-ID": this.lastId }),
        },
        cache: "no-store",
        signal: AbortSignal.any([this.stopped.signal, silence.signal]),
      });
      if (!response.ok) throw await refusal(response);
      this.onState(this.lastId ? "resumed" : "begun");
      const parser = new EventParser((event) => this.take(event), (ms) => { this.shortestWait = ms; });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        clearTimeout(timer);
        timer = listen();
        this.failures = 0;
        parser.feed(piece.value);
        this.lastId = parser.lastId || this.lastId;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  // What goes wrong with one event is shown in the console, and is no reason to lose the stream.
  take(event) {
    if (this.stopped.signal.aborted) return;
    try {
      this.onEvent(event);
    } catch (error) {
      reportError(error);
    }
  }

  // Longer after each failure, and never the same for all maps that lost one gateway; over when the network is back.
  pause() {
    const longest = Math.min(this.shortestWait * 2 ** this.failures, LONGEST_WAIT_MS);
    this.failures += 1;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, longest * (0.5 + Math.random() / 2));
      const signal = this.stopped.signal;
      window.addEventListener("online", resolve, { once: true, signal });
      signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
    });
  }
}
