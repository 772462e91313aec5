// The document's title: how many things wait for a person, the page, and whose it is.
let page = "";
let waiting = 0;

function show() {
  document.title = `${waiting > 0 ? `(${waiting > 99 ? "99+" : waiting}) ` : ""}${page ? `${page} · ` : ""}switchhook`;
}

export function setPage(title) {
  page = title.replace(/[\u202a-\u202e\u2066-\u2069]/g, "").slice(0, 120); // it is between other words
  show();
}

export function setWaiting(n) {
  waiting = n;
  show();
}
