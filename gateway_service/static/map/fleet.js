// The bikes as they are known now, and how many there are of each status.

export class Fleet {
  constructor() {
    this.bikes = new Map();
    this.listeners = [];
    this.counts = {};
    this.revisions = new Map();
  }

  // `listener({changed: [bike], removed: [bike]})` after each change.
  onChange(listener) {
    this.listeners.push(listener);
  }

  get size() {
    return this.bikes.size;
  }

  // All bikes, anew: who is not among them is gone.
  replace(bikes) {
    const present = new Set(bikes.map((bike) => bike.id));
    const removed = [...this.bikes.values()].filter((bike) => !present.has(bike.id));
    this.revisions.clear();
    for (const bike of removed) this.drop(bike);
    for (const bike of bikes) this.keep(bike);
    this.tell(bikes, removed);
  }

  clear() {
    this.replace([]);
  }

  // A bike as an event has it. Events have no order: what is older than what is known changes nothing.
  change(bike) {
    const known = this.bikes.get(bike.id);
    if (bike.revision <= (this.revisions.get(bike.id) ?? -1)) return;
    if (known && Date.parse(bike.updated_at) < Date.parse(known.updated_at)) return;
    this.revisions.set(bike.id, bike.revision);
    if (bike.status === "retired") {
      if (known) this.drop(known);
      this.tell([], known ? [known] : []);
      return;
    }
    // A position has no revision: the newer one counts, whichever way it came.
    this.keep(isNewer(known, bike) ? { ...bike, ...placeOf(known) } : bike);
    this.tell([this.bikes.get(bike.id)], []);
  }

  // True when a position is news; of a bike that is not known it is none.
  move({ bike_id: id, recorded_at: at, location, battery_percent: battery }) {
    const known = this.bikes.get(id);
    if (!known || isNewer(known, { located_at: at })) return false;
    const moved = { ...known, location, located_at: at, battery_percent: battery ?? known.battery_percent };
    this.keep(moved);
    this.tell([moved], []);
    return true;
  }

  keep(bike) {
    const known = this.bikes.get(bike.id);
    if (known) this.counts[known.status] -= 1;
    this.counts[bike.status] = (this.counts[bike.status] || 0) + 1;
    this.bikes.set(bike.id, bike);
  }

  drop(bike) {
    this.counts[bike.status] -= 1;
    this.bikes.delete(bike.id);
  }

  tell(changed, removed) {
    for (const listener of this.listeners) listener({ changed, removed });
  }
}

const placeOf = ({ location, located_at, battery_percent }) => ({ location, located_at, battery_percent });

// Whether `known` has been located after `other`.
function isNewer(known, other) {
  if (!known || !known.located_at) return false;
  return !other.located_at || Date.parse(known.located_at) > Date.parse(other.located_at);
}
