// The length of a way on the Earth.

const EARTH_RADIUS_M = 6371008.8;

// Metres along GeoJSON coordinates.
export function wayLength(coordinates) {
  return coordinates.slice(1).reduce((sum, point, index) => sum + between(coordinates[index], point), 0);
}

function between([longitude, latitude], [otherLongitude, otherLatitude]) {
  const rad = Math.PI / 180;
  const height = Math.sin(((otherLatitude - latitude) * rad) / 2) ** 2;
  const width = Math.sin(((otherLongitude - longitude) * rad) / 2) ** 2;
  const square = height + Math.cos(latitude * rad) * Math.cos(otherLatitude * rad) * width;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.sqrt(Math.min(1, square)));
}
