// The fleet as an operator sees it: read once, and kept by the stream.

import { pagesOf, Refused } from "./api.js";
import { Connection } from "./connection.js";
import { startOfDay } from "./rides.js";

const RETRY_MS = 3000;
const DAY_CHECK_MS = 30000;

export class Live {
  // `onState("loading" | "live" | "lost")`; `onRefused(error)`; `onTrip(trip)`, `onPosition(position)`: news.
  constructor(token, fleet, rides, { onState, onRefused, onTrip, onPosition }) {
    Object.assign(this, { token, fleet, rides, onState, onRefused, onTrip, onPosition });
    // Events that came while the lists were being read; null: none are.
    this.early = null;
    this.isLoaded = false;
    // The stream has begun anew while the lists were being read.
    this.isOutdated = false;
    this.reading = new AbortController();
    this.connection = new Connection("/v1/stream", token, {
      onState: (state) => this.connected(state),
      onEvent: (event) => this.take(event),
      onRefused,
    });
    this.day = setInterval(() => this.turnDay(), DAY_CHECK_MS);
  }

  stop() {
    this.connection.stop();
    this.reading.abort();
    clearInterval(this.day);
    clearTimeout(this.retry);
  }

  connected(state) {
    if (state === "lost") this.onState("lost");
    else if (state === "begun" || !(this.isLoaded || this.early)) this.readAnew();
    else if (this.isLoaded) this.onState("live");
  }

  // What has been read, or is being read, may lack something.
  readAnew() {
    if (this.early) this.isOutdated = true;
    else this.load();
  }

  // The stream is open already, so that nothing is missed between the lists and it.
  async load() {
    clearTimeout(this.retry);
    this.reading.abort();
    this.reading = new AbortController();
    this.isLoaded = false;
    this.isOutdated = false;
    this.early = [];
    this.onState("loading");
    const { signal } = this.reading;
    const options = { token: this.token, signal };
    const bikes = [];
    try {
      for await (const page of pagesOf("/v1/bikes", {}, options)) bikes.push(...page);
      await this.rides.load(options);
    } catch (error) {
      if (!signal.aborted) this.failed(error);
      return;
    }
    const early = this.early;
    this.early = null;
    this.isLoaded = true;
    this.fleet.replace(bikes);
    early.forEach((event) => this.apply(event));
    if (this.isOutdated) this.load();
    else this.onState("live");
  }

  failed(error) {
    this.early = null;
    if (error instanceof Refused && error.status === 401) {
      this.onRefused(error);
      return;
    }
    this.onState("lost");
    this.retry = setTimeout(() => this.load(), RETRY_MS);
  }

  take({ type, data }) {
    if (type === "reset") this.readAnew();
    else if (this.early) this.early.push({ type, data });
    else this.apply({ type, data });
  }

  apply({ type, data }) {
    const news = JSON.parse(data);
    if (type === "bike") this.fleet.change(news);
    else if (type === "trip") {
      this.rides.change(news);
      this.onTrip(news);
    } else if (type === "position" && this.fleet.move(news)) this.onPosition(news);
  }

  // Today's rides are others after midnight.
  turnDay() {
    if (this.isLoaded && startOfDay().getTime() !== this.rides.since.getTime()) this.load();
  }
}
