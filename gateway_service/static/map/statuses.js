// What a bike can be, in the order and in the words of the legend.

export const STATUSES = ["available", "reserved", "in_use", "out_of_service"];

export const WORDS = {
  available: "Available",
  reserved: "Reserved",
  in_use: "In use",
  out_of_service: "Out of service",
};

export const nameOf = (bike) => bike.name || `Bike ${bike.id.slice(0, 8)}`;
