// Who looks at the map: nobody in particular, or an operator with a token, kept for as long as the tab is open.

const KEY = "map.token";
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Session {
  // `onChange(session)`: called when somebody signs in or out; `note` then says why, if it was not their wish.
  constructor(onChange) {
    this.onChange = onChange;
    this.note = "";
    this.timer = null;
    this.take(sessionStorage.getItem(KEY));
  }

  get isOperator() {
    return this.token !== null;
  }

  // False when it cannot be an operator's token; `note` says why. Whether it is good, only the gateway knows.
  signIn(token) {
    const problem = problemOf(claimsOf(token));
    if (problem) {
      this.note = problem;
      return false;
    }
    sessionStorage.setItem(KEY, token);
    this.note = "";
    this.take(token);
    this.onChange(this);
    return true;
  }

  signOut(note = "") {
    sessionStorage.removeItem(KEY);
    this.note = note;
    this.take(null);
    this.onChange(this);
  }

  take(token) {
    clearTimeout(this.timer);
    const claims = token === null ? null : claimsOf(token);
    this.token = claims && token;
    this.subject = claims ? claims.sub : null;
    if (claims) this.timer = setTimeout(() => this.expire(), Math.min(msUntil(claims.exp), LONGEST_TIMER_MS));
  }

  expire() {
    const left = msUntil(claimsOf(this.token).exp);
    if (left <= 0) this.signOut("Your token has expired. Sign in with a new one.");
    else this.timer = setTimeout(() => this.expire(), Math.min(left, LONGEST_TIMER_MS));
  }
}

const msUntil = (exp) => Math.max(0, exp * 1000 - Date.now());

// What a token says of itself; null when it is none.
function claimsOf(token) {
  try {
    const text = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    return typeof claims === "object" && Number.isFinite(claims?.exp) ? claims : null;
  } catch {
    return null;
  }
}

function problemOf(claims) {
  if (!claims) return "This is no token.";
  if (claims.role !== "operator") return "The live map takes a token with the role operator.";
  if (msUntil(claims.exp) === 0) return "This token has expired.";
  return "";
}
