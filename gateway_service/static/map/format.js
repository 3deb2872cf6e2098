// Numbers and times as a reader has them.

const COUNT = new Intl.NumberFormat();
const ONE_DIGIT = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export const count = (number) => COUNT.format(number);

// Of `some` of `all`; nothing of nothing is 0.
export const percent = (some, all) => `${all ? Math.round((100 * some) / all) : 0} %`;

export const distance = (metres) =>
  (metres < 1000 ? `${COUNT.format(Math.round(metres))} m` : `${ONE_DIGIT.format(metres / 1000)} km`);

export const clock = (time) => CLOCK.format(new Date(time));

// How long ago a moment was.
export function age(time, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}
