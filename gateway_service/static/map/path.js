// The way of a bike's ride: what has been ridden, and what comes while somebody looks.

import { getJson } from "./api.js";

export class Path {
  // `onChange(path)`: `trip` (null: none) and `coordinates` are others now.
  constructor(onChange) {
    this.onChange = onChange;
    this.reading = new AbortController();
    this.early = null;
    this.problem = "";
    Object.assign(this, { trip: null, coordinates: [], lastAt: "" });
  }

  set(trip, coordinates, lastAt) {
    Object.assign(this, { trip, coordinates, lastAt });
    this.onChange(this);
  }

  forget() {
    this.reading.abort();
    this.early = null;
    this.problem = "";
    this.set(null, [], "");
  }

  // The active trip of a bike, and its way so far; throws what `api.js` throws, AbortError when it is not wanted any more.
  async followBike(bikeId, token) {
    const options = this.begin(token);
    const query = new URLSearchParams({ bike_id: bikeId, status: "active", limit: 1 });
    const { items } = await getJson(`/v1/trips?${query}`, options);
    if (items.length) await this.read(items[0], options);
  }

  async followTrip(trip, token) {
    await this.read(trip, this.begin(token));
  }

  begin(token) {
    this.forget();
    this.reading = new AbortController();
    return { token, signal: this.reading.signal };
  }

  async read(trip, options) {
    this.set(trip, [], "");
    this.early = [];
    const route = await getJson(`/v1/trips/${trip.id}/route`, options);
    const early = this.early;
    this.early = null;
    const coordinates = route.geometry ? route.geometry.coordinates : [];
    this.set(this.trip, coordinates, route.properties.recorded_at.at(-1) ?? trip.started_at);
    for (const [at, point] of early) this.grow(at, point);
  }

  // A position of the bike that is followed; those that come while the way is being read are put behind it.
  grow(at, point) {
    if (this.trip?.status !== "active") return;
    if (this.early) this.early.push([at, point]);
    else if (Date.parse(at) > Date.parse(this.lastAt)) this.set(this.trip, [...this.coordinates, point], at);
  }

  // The ride could not be read.
  fail(problem) {
    this.forget();
    this.problem = problem;
    this.onChange(this);
  }

  // The trip as an event has it.
  change(trip) {
    if (this.trip?.id === trip.id) this.set(trip, this.coordinates, this.lastAt);
  }
}
