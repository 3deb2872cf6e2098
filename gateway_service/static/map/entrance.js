// Where an operator signs in and out.

import { byId, setText } from "./dom.js";

export class Entrance {
  // `session`: a `Session`.
  constructor(session) {
    this.session = session;
    byId("sign-in").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!session.signIn(byId("token").value.trim())) this.show();
    });
    byId("sign-out").addEventListener("click", () => session.signOut());
  }

  show() {
    const { isOperator, note, subject } = this.session;
    const hadFocus = [byId("sign-in"), byId("signed-in")].some((part) => part.contains(document.activeElement));
    byId("sign-in").hidden = isOperator;
    byId("signed-in").hidden = !isOperator;
    setText(byId("who"), isOperator ? `Operator ${subject}` : "");
    setText(byId("sign-in-note"), note);
    if (isOperator) byId("token").value = "";
    // What had the focus may be hidden now.
    if (hadFocus) byId(isOperator ? "sign-out" : "token").focus();
  }
}
