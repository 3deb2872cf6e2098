// The map: an operator's, or everybody's, of one fleet.

import { Card } from "./card.js";
import { byId, setText } from "./dom.js";
import { Entrance } from "./entrance.js";
import { Figures } from "./figures.js";
import { Fleet } from "./fleet.js";
import { Ground } from "./ground.js";
import { Legend } from "./legend.js";
import { Live } from "./live.js";
import { Markers } from "./markers.js";
import { Path } from "./path.js";
import { Rides } from "./rides.js";
import { Search } from "./search.js";
import { Session } from "./session.js";
import { soon } from "./soon.js";
import { Visitor } from "./visitor.js";

const STATES = {
  loading: "Loading …",
  live: "Live",
  public: "Public view",
  lost: "Connection lost, trying again …",
};
const SHOW_MS = 250;

let source = null;
let chosen = null;
const fleet = new Fleet();
const ground = new Ground(byId("map"));
const markers = new Markers(ground.map, choose);
const legend = new Legend((hidden) => markers.hide(hidden, fleet.bikes.values()));
const figures = new Figures();
const search = new Search(fleet, choose);
const card = new Card({ onCentre: centre, onClose: () => choose(null) });
const showNumbers = soon(() => {
  legend.show(fleet);
  figures.show(rides, fleet);
  search.find();
}, SHOW_MS);
const rides = new Rides(showNumbers);
const path = new Path(showChosen);
const session = new Session(begin);
const entrance = new Entrance(session);

function begin() {
  source?.stop();
  choose(null);
  fleet.clear();
  rides.clear();
  ground.isPlaced = false;
  entrance.show();
  search.toggle(session.isOperator);
  byId("today").hidden = !session.isOperator;
  showState("loading");
  source = session.isOperator
    ? new Live(session.token, fleet, rides, { onState: showState, onRefused: refuse, onTrip: takeTrip, onPosition: takePosition })
    : new Visitor(fleet, { onState: showState });
}

function showState(state) {
  byId("state").dataset.state = state;
  setText(byId("state"), STATES[state]);
}

function refuse(error) {
  session.signOut(`The token was refused: ${error.message}`);
}

fleet.onChange((news) => {
  markers.update(news);
  ground.placeOnce(news.changed);
  showNumbers();
  if (news.removed.some((bike) => bike.id === chosen)) choose(null);
  else if (news.changed.some((bike) => bike.id === chosen)) showChosen();
});

// A bike by its id; null: none.
function choose(id) {
  // Its marker may be there for a moment longer than the bike.
  if (id !== null && !fleet.bikes.has(id)) return;
  chosen = id;
  path.forget();
  if (id === null) return;
  if (fleet.bikes.get(id).status === "in_use") follow(path.followBike(id, session.token));
  centre();
  card.focus();
}

function centre() {
  const bike = fleet.bikes.get(chosen);
  if (bike?.location) ground.centre(bike);
}

function showChosen() {
  const bike = fleet.bikes.get(chosen) ?? null;
  card.show(bike, path);
  ground.mark(bike);
  ground.draw(path.coordinates);
}

function takeTrip(trip) {
  if (trip.bike_id !== chosen) return;
  if (trip.status === "active" && trip.id !== path.trip?.id) follow(path.followTrip(trip, session.token));
  else path.change(trip);
}

function takePosition(position) {
  if (position.bike_id === chosen) path.grow(position.recorded_at, position.location.coordinates);
}

// A ride that cannot be read says so on the card.
function follow(reading) {
  reading.catch((error) => {
    if (error.name !== "AbortError") path.fail(`cannot be read: ${error.message}`);
  });
}

begin();
