// The fleet as everybody sees it: the public feed, read again when it says that it has changed.

import { getJson } from "./api.js";

const FEED = "/gbfs/3.0/vehicle_status.json";
const SHORTEST_WAIT_S = 5;
const RETRY_S = 10;

export class Visitor {
  // `onState("public" | "lost")`.
  constructor(fleet, { onState }) {
    Object.assign(this, { fleet, onState });
    this.stopped = new AbortController();
    this.read();
  }

  stop() {
    this.stopped.abort();
    clearTimeout(this.timer);
  }

  async read() {
    let feed = null;
    try {
      feed = await getJson(FEED, { signal: this.stopped.signal });
    } catch {
      if (this.stopped.signal.aborted) return;
    }
    this.timer = setTimeout(() => this.read(), (feed ? Math.max(SHORTEST_WAIT_S, feed.ttl) : RETRY_S) * 1000);
    this.onState(feed ? "public" : "lost");
    if (feed) this.fleet.replace(feed.data.vehicles.map(bikeOf));
  }
}

// A vehicle of the feed as a bike: it has no name, and its id is another after each ride.
function bikeOf(vehicle) {
  const status = vehicle.is_disabled ? "out_of_service" : vehicle.is_reserved ? "reserved" : "available";
  const percent = vehicle.current_fuel_percent;
  return {
    id: vehicle.vehicle_id,
    name: null,
    status,
    location: { type: "Point", coordinates: [vehicle.lon, vehicle.lat] },
    located_at: vehicle.last_reported,
    battery_percent: percent === undefined ? null : percent * 100,
  };
}
