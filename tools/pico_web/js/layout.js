/* Where each tile lies: rows as wide as the window, under the months in which the photos were taken. Months that fill
   less than a row share one with their neighbours. */

export const HEADING = 52; // pixels for the name of a month

const GAP = 6;
const WIDE = { wanted: 214, between: 26, narrowest: 170 }; // height of a row; months in one row: apart, and their names
const NARROW = { wanted: 112, between: 16, narrowest: 150 };
const NARROW_BELOW = 700;
const MOST_STRETCHED = 1.4; // a row that months share

function shape(entry) {
  return entry.width ? Math.min(Math.max(entry.width / entry.height, 0.45), 3) : 1.3;
}

/* Lay out the entries, which are in order: { rows, titles, height }, in pixels from the upper left corner.
   rows: { top, height, cells: [{ place, left, width }] }; titles: { top, left, label, begin, end }. */
export function arranged(entries, width, labelOf) {
  const style = width < NARROW_BELOW ? NARROW : WIDE;
  const sheet = new Sheet(entries, width, style);
  let batch = []; // months that share a row
  for (const month of months(entries, labelOf)) {
    const shapes = entries.slice(month.begin, month.end).reduce((sum, entry) => sum + shape(entry), 0);
    month.natural = shapes * style.wanted + gaps(month);
    month.needed = Math.max(month.natural, style.narrowest);
    if (batch.length && sheet.space([...batch, month]) > width) {
      sheet.share(batch, true);
      batch = [];
    }
    if (month.needed < width) {
      batch.push(month);
    } else {
      sheet.share(batch, false);
      batch = [];
      sheet.fillRows(month);
    }
  }
  sheet.share(batch, false);
  return { rows: sheet.rows, titles: sheet.titles, height: `${sheet.top}px` };
}

const gaps = ({ begin, end }) => (end - begin - 1) * GAP;

const sumOf = (list, value) => list.reduce((sum, one) => sum + value(one), 0);

function months(entries, labelOf) {
  const found = [];
  entries.forEach((entry, place) => {
    const key = entry.taken.slice(0, 7);
    if (found.at(-1)?.key === key) found.at(-1).end = place + 1;
    else found.push({ key, label: labelOf(entry), begin: place, end: place + 1 });
  });
  return found;
}

class Sheet {
  constructor(entries, width, style) {
    Object.assign(this, { entries, width, style, top: 0, rows: [], titles: [] });
  }

  space(batch) { return sumOf(batch, month => month.needed) + (batch.length - 1) * this.style.between; }

  /* One row for several months, made higher to fill the width if more of them follow. */
  share(batch, followed) {
    if (!batch.length) return;
    const pictures = sumOf(batch, month => month.natural - gaps(month));
    const factor = followed ? Math.min((this.width - this.space(batch) + pictures) / pictures, MOST_STRETCHED) : 1;
    const row = { top: this.top + HEADING, height: Math.floor(this.style.wanted * factor), cells: [] };
    let left = 0;
    for (const month of batch) {
      this.titles.push({ ...month, top: this.top, left });
      left = Math.max(this.fill(row, month.begin, month.end, left), left + this.style.narrowest)
        + this.style.between;
    }
    this.rows.push(row);
    this.top = row.top + row.height + GAP;
  }

  /* Rows of a month's own, as wide as the window but for the last. */
  fillRows(month) {
    const { wanted } = this.style;
    this.titles.push({ ...month, top: this.top, left: 0 });
    this.top += HEADING;
    let { begin } = month;
    while (begin < month.end) {
      let next = begin;
      let shapes = 0;
      while (next < month.end && shapes * wanted + (next - begin) * GAP < this.width) shapes += shape(this.entries[next++]);
      const room = this.width - (next - begin - 1) * GAP;
      const full = shapes * wanted >= room;
      const row = { top: this.top, height: Math.round(full ? room / shapes : wanted), cells: [] };
      const right = this.fill(row, begin, next, 0);
      if (full || right > this.width) row.cells.at(-1).width += this.width - right;
      this.rows.push(row);
      this.top += row.height + GAP;
      begin = next;
    }
  }

  /* Put tiles side by side into a row; returns where they end. */
  fill(row, begin, end, left) {
    for (let place = begin; place < end; place += 1) {
      const width = Math.round(shape(this.entries[place]) * row.height);
      row.cells.push({ place, left, width });
      left += width + GAP;
    }
    return left - GAP;
  }
}
