// The document's title: how many things wait for a person, the page, and whose it is.
let page = "";
let waiting = 0;

function show() {
  document.title = `${waiting > 0 ? `(${waiting > 99 ? "99+" : waiting}) ` : ""}${page ? `${page} · ` : ""}switchhook`;
}

export function setPage(title) {
  page = title;
  show();
}

export function setWaiting(n) {
  waiting = n;
  show();
}
