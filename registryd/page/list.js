// A list in the order of its items, which have a rank and a name. Its element has rows of the first ones only, and
// an item that comes, goes or moves costs work for itself alone, however many there are.

const compare = (a, b) => a.rank - b.rank || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

export class List {
  // makeRow gives the element of an item; it is kept as long as the item is shown. step is how many rows there are
  // at first, and come with each press of the button below.
  constructor(element, makeRow, step, what) {
    Object.assign(this, { element, makeRow, step, limit: step, items: [], placed: new Map(), rows: new Map() });
    this.more = document.createElement("button");
    this.more.type = "button";
    this.more.className = "more";
    this.more.hidden = true;
    this.what = what;
    this.more.addEventListener("click", () => {
      const next = this.limit;
      this.limit += this.step;
      for (const item of this.items.slice(next, this.limit)) this.element.append(this.row(item));
      this.count();
      this.rows.get(this.items[next])?.querySelector("button, a, [tabindex]")?.focus();
    });
    element.after(this.more);
  }

  // place takes over an item, or its new rank. A row that moves stays the same one, with the focus if it has that.
  place(item) {
    const rank = this.placed.get(item);
    if (rank === item.rank) return;
    if (rank !== undefined) this.items.splice(this.find({ rank, name: item.name }), 1);
    const at = this.find(item);
    this.items.splice(at, 0, item);
    this.placed.set(item, item.rank);
    if (at < this.limit) this.insert(this.row(item), at);
    else this.drop(item);
    this.fill();
  }

  insert(row, at) {
    const focused = row.contains(document.activeElement) ? document.activeElement : null;
    this.element.insertBefore(row, this.rows.get(this.items[at + 1]) ?? null); // if that has none, it is the last one
    focused?.focus();
  }

  remove(item) {
    const rank = this.placed.get(item);
    if (rank === undefined) return;
    const at = this.find({ rank, name: item.name });
    this.items.splice(at, 1);
    this.placed.delete(item);
    this.drop(item);
    this.fill();
  }

  // fill makes up for a row that came or went: as many as may be are shown.
  fill() {
    if (this.rows.size > this.limit) this.drop(this.items[this.limit]);
    const last = Math.min(this.items.length, this.limit) - 1;
    if (last >= 0 && !this.rows.has(this.items[last])) this.element.append(this.row(this.items[last]));
    this.count();
  }

  // reset makes these the items.
  reset(items) {
    this.items = [...items].sort(compare);
    this.placed = new Map(this.items.map((item) => [item, item.rank]));
    this.limit = this.step;
    const shown = this.items.slice(0, this.limit);
    const kept = new Set(shown);
    for (const item of [...this.rows.keys()]) if (!kept.has(item)) this.drop(item);
    shown.forEach((item, at) => {
      const row = this.row(item);
      if (this.element.children[at] !== row) this.element.insertBefore(row, this.element.children[at] ?? null);
    });
    this.count();
  }

  row(item) {
    if (!this.rows.has(item)) this.rows.set(item, this.makeRow(item));
    return this.rows.get(item);
  }

  // drop takes a row away. If it has the focus, its neighbour gets that.
  drop(item) {
    const row = this.rows.get(item);
    if (!row) return;
    this.rows.delete(item);
    const focused = row.contains(document.activeElement);
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    if (focused) (next?.querySelector("button") ?? this.element.closest("section").querySelector("h2"))?.focus();
  }

  has(item) {
    return this.rows.has(item);
  }

  count() {
    const left = this.items.length - this.limit;
    this.more.hidden = left <= 0;
    if (left > 0) this.more.textContent = `Show ${Math.min(left, this.step)} of ${left} more ${this.what}`;
  }

  // find is where an item stands, or would.
  find(item) {
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.items[middle];
      if (compare({ rank: this.placed.get(other), name: other.name }, item) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
