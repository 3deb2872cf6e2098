// Today's rides: those that began since midnight where the reader is, and those that are under way.

import { pagesOf } from "./api.js";

// 10 000 rides; a page has 500.
const MAX_PAGES = 20;

export function startOfDay(now = new Date()) {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate());
}

export class Rides {
  // `onChange()` after each change.
  constructor(onChange) {
    this.onChange = onChange;
    this.clear();
  }

  clear() {
    this.keep(startOfDay(), new Map(), false);
  }

  keep(since, trips, isCut) {
    this.since = since;
    this.trips = trips;
    this.revisions = new Map();
    // Whether there are more rides than were read.
    this.isCut = isCut;
    this.onChange();
  }

  // Reads the lists anew, newest first; throws what `api.js` throws.
  async load(options) {
    const since = startOfDay();
    const trips = new Map();
    const midnight = since.toISOString();
    const isCutToday = await read({ started_after: midnight }, options, trips);
    const isCutBefore = await read({ status: "active", started_before: midnight }, options, trips);
    this.keep(since, trips, isCutToday || isCutBefore);
  }

  // A trip as an event has it; events have no order.
  change(trip) {
    if (trip.revision <= (this.revisions.get(trip.id) ?? -1)) return;
    const known = this.trips.get(trip.id);
    if (known && known.status !== "active" && trip.status === "active") return;
    this.revisions.set(trip.id, trip.revision);
    if (trip.status !== "active" && !this.isOfToday(trip)) this.trips.delete(trip.id);
    else this.trips.set(trip.id, trip);
    this.onChange();
  }

  isOfToday(trip) {
    return Date.parse(trip.started_at) >= this.since.getTime();
  }

  // {rides, active, distance_m, byHour}: begun today, under way, metres of those that have ended, begun in each hour.
  figures() {
    const found = { rides: 0, active: 0, distance_m: 0, byHour: new Array(24).fill(0) };
    for (const trip of this.trips.values()) {
      if (trip.status === "active") found.active += 1;
      if (trip.status === "cancelled" || !this.isOfToday(trip)) continue;
      found.rides += 1;
      if (trip.status === "ended") found.distance_m += trip.distance_m;
      found.byHour[new Date(trip.started_at).getHours()] += 1;
    }
    return found;
  }
}

// Puts the trips of a list into `trips`; true when that was not all of them.
async function read(parameters, options, trips) {
  let pages = 0;
  for await (const page of pagesOf("/v1/trips", parameters, options)) {
    if (pages === MAX_PAGES) return true;
    pages += 1;
    for (const trip of page) trips.set(trip.id, trip);
  }
  return false;
}
