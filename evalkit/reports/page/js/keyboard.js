// Keyboard shortcuts. The page shows this table when `?` is pressed.

const SHORTCUTS = [
  [["j", "↓"], "next variant"],
  [["k", "↑"], "previous variant"],
  [["Enter"], "open or close it"],
  [["n"], "next failure or error"],
  [["p"], "previous failure or error"],
  [["/"], "go to the filter; from there ↓ goes to the list"],
  [["Escape"], "leave the filter, close what is open"],
  [["g"], "group identical failures, on or off"],
  [["s"], "sort by the next order"],
  [["c"], "clear the filter"],
  [["?"], "show these shortcuts"],
];

const rowOf = (element) => (element instanceof Element ? element.closest(".variant") : null);

function focusRow(position) {
  const element = elementAt(position);
  if (!element) return;
  const line = element.querySelector(":scope > summary");
  line.focus({ preventScroll: true });
  line.scrollIntoView({ block: "nearest" });
}

// The position of the row with the focus, -1 if there is none.
function currentPosition() {
  const row = rowOf(document.activeElement);
  return (row && list.positions.get(row.id)) ?? -1;
}

function moveFocus(by) {
  focusRow(Math.max(0, Math.min(currentPosition() + by, list.rows.length - 1)));
}

function focusFailure(by) {
  for (
    let position = currentPosition() + by;
    position >= 0 && position < list.rows.length;
    position += by
  ) {
    if (list.rows[position].rank < 2) {
      focusRow(position);
      return;
    }
  }
}

function leave(target) {
  if (target.id === "find") {
    target.blur();
    return;
  }
  const box = target.closest("details[open]");
  if (!box) return;
  box.open = false;
  box.querySelector(":scope > summary").focus();
}

const ACTIONS = {
  j: () => moveFocus(1),
  k: () => moveFocus(-1),
  n: () => focusFailure(1),
  p: () => focusFailure(-1),
  "/": () => document.getElementById("find").select(),
  g: () => document.getElementById("group").click(),
  s: () => nextOrder(),
  c: () => setQuery(""),
  "?": () => document.getElementById("keys").showModal(),
};

function onKey(event) {
  if (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    event.defaultPrevented ||
    document.getElementById("keys").open
  )
    return;
  const target = event.target;
  const typing = target.matches("input, select, textarea, audio, video");
  if (event.key === "Escape") leave(target);
  else if (event.key === "ArrowDown" && target.id === "find") focusRow(0);
  else if (typing) return;
  else if (event.key.startsWith("Arrow") && target.matches(".variant > summary")) {
    if (event.key === "ArrowDown") moveFocus(1);
    else if (event.key === "ArrowUp") moveFocus(-1);
    else return;
  } else if (ACTIONS[event.key]) ACTIONS[event.key]();
  else return;
  event.preventDefault();
}

function keyTable() {
  const rows = SHORTCUTS.map(([keys, does]) =>
    make(
      "tr",
      null,
      make(
        "th",
        { scope: "row" },
        keys.flatMap((key, index) => [index ? " " : null, make("kbd", null, key)]),
      ),
      make("td", null, does),
    ),
  );
  document.querySelector("#keys tbody").replaceChildren(...rows);
}
