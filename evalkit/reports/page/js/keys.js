// Everything by keyboard. What a key does is a table; the page shows the same table when `?` is pressed.

const KEYS = [
  [["j", "↓"], "next variant"],
  [["k", "↑"], "previous variant"],
  [["Enter"], "open or close it"],
  [["n"], "next failure or error"],
  [["p"], "previous failure or error"],
  [["/"], "go to the filter; ↓ goes on to the list"],
  [["Escape"], "leave the filter, close what is open"],
  [["g"], "group identical failures, or not"],
  [["s"], "sort by the next order"],
  [["c"], "clear the filter"],
  [["?"], "these keys"],
];

const rowOf = (element) => (element instanceof Element ? element.closest(".variant") : null);

function focusRow(place) {
  const element = elementAt(place);
  if (!element) return;
  const line = element.querySelector(":scope > summary");
  line.focus({ preventScroll: true });
  line.scrollIntoView({ block: "nearest" });
}

// Where j, k, n and p start from: the row with the focus, else the first one in the window.
function currentPlace() {
  const own = rowOf(document.activeElement);
  if (own && list.places.has(own.id)) return list.places.get(own.id);
  return -1;
}

function step(by) {
  const place = currentPlace();
  focusRow(place < 0 && by < 0 ? 0 : Math.max(0, Math.min(place + by, list.rows.length - 1)));
}

function toFailure(by) {
  for (let place = currentPlace() + by; place >= 0 && place < list.rows.length; place += by) {
    if (list.rows[place].rank < 2) {
      focusRow(place);
      return;
    }
  }
}

function leave(target) {
  if (target.id === "find") {
    target.blur();
    return;
  }
  const own = rowOf(target);
  const box = target.closest("details[open]") || own;
  if (!box || !box.open) return;
  box.open = false;
  box.querySelector(":scope > summary").focus();
}

const ACTIONS = {
  j: () => step(1),
  k: () => step(-1),
  n: () => toFailure(1),
  p: () => toFailure(-1),
  "/": () => document.getElementById("find").select(),
  g: () => document.getElementById("group").click(),
  s: () => nextOrder(),
  c: () => setQuery(""),
  "?": () => document.getElementById("keys").showModal(),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.getElementById("keys").open) return;
  const target = event.target;
  const typing = target.matches("input, select, textarea, audio, video");
  if (event.key === "Escape") leave(target);
  else if (event.key === "ArrowDown" && target.id === "find") focusRow(0);
  else if (typing) return;
  else if (event.key.startsWith("Arrow") && target.matches(".variant > summary")) {
    if (event.key === "ArrowDown") step(1);
    else if (event.key === "ArrowUp") step(-1);
    else return;
  } else if (ACTIONS[event.key]) ACTIONS[event.key]();
  else return;
  event.preventDefault();
}

function keyTable() {
  const rows = KEYS.map(([keys, does]) => make("tr", null, make("th", { scope: "row" }, keys.flatMap((key, index) => [index ? " " : null, make("kbd", null, key)])), make("td", null, does)));
  document.querySelector("#keys tbody").replaceChildren(...rows);
}
