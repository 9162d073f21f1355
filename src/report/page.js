// What a page can do beyond being read: sort and filter tables, show one row's section alone, say what a mark stands for. The script
// makes its own controls, so that a page without it lacks nothing but them. Text only ever becomes text: names come from data.
'use strict';
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const controls = (...children) => make('div', { className: 'controls' }, ...children);

  // The number at a cell's beginning, as pages write it: 1,234 · −0.5 · 12 % · 3.1e−5 · 4.02×10⁻⁶ · 44.3 ± 1.6.
  const raised = '⁰¹²³⁴⁵⁶⁷⁸⁹';
  const number = text => {
    const plain = text
      .replace(/[\s,]/g, '')
      .replace(/(?:×|(?<![\d.]))10(⁻?)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)/, (whole, minus, digits) => {
        const power = (minus && '-') + [...digits].map(digit => raised.indexOf(digit)).join('');
        return (whole[0] === '×' ? 'e' : '1e') + power;
      })
      .replace(/−/g, '-');
    const found = plain.match(/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?/i);
    return found ? Number(found[0]) : null;
  };

  // Cells without content come last in either direction, words after numbers.
  const compare = (a, b, direction, numeric) => {
    const [x, y] = numeric ? [number(a), number(b)] : [null, null];
    const kind = (text, value) => (text === '' || text === '–' ? 2 : numeric && value === null ? 1 : 0);
    const kinds = kind(a, x) - kind(b, y);
    if (kinds) return kinds;
    const words = x === null || y === null;
    return direction * (words ? a.localeCompare(b, undefined, { numeric: true }) : x - y);
  };

  // One list may stand in several tables (halves, further ranks): its rows are ordered as a whole, and each table keeps its length.
  const sortable = (bodies, heads) => {
    const movable = row => !row.matches('.sum, .rest');
    const sort = (column, head) => {
      // First names from A to Z and numbers from the largest, then the other way round.
      const first = numeric(head) ? -1 : 1;
      const sign = head.getAttribute('aria-sort') === (first > 0 ? 'ascending' : 'descending') ? -first : first;
      const text = row => row.cells[column].textContent.trim();
      const rows = bodies.flatMap(body => [...body.rows]);
      const sorted = rows.filter(movable).sort((a, b) => compare(text(a), text(b), sign, numeric(head)));
      const lengths = bodies.map(body => body.rows.length);
      const ordered = [...sorted, ...rows.filter(row => !movable(row))];
      bodies.forEach((body, i) => body.append(...ordered.splice(0, lengths[i])));
      heads.forEach((row, i) => [...row.cells].forEach((cell, j) => {
        if (j === column) cell.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
        else cell.removeAttribute('aria-sort');
      }));
    };
    const numeric = head => head.classList.contains('n');
    heads.forEach(row => [...row.cells].forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = make('button', { type: 'button', onclick: () => sort(column, head) }, ...head.childNodes);
      head.append(button);
    }));
  };

  const filterable = (table, bodies) => {
    const rows = bodies.flatMap(body => [...body.rows]).filter(row => !row.matches('.sum, .rest'));
    const found = make('output');
    const field = make('input', { type: 'search', placeholder: 'Filter rows', ariaLabel: 'Filter rows' });
    field.oninput = () => {
      const wanted = field.value.trim().toLowerCase();
      const text = row => [...row.cells].map(cell => `${cell.title} ${cell.textContent}`).join(' ').toLowerCase();
      rows.forEach(row => row.classList.toggle('filtered', !text(row).includes(wanted)));
      const left = rows.filter(row => !row.matches('.filtered')).length;
      found.value = wanted ? `${left} of ${rows.length}` : '';
      if (wanted) all('details', table).forEach(details => { details.open = true; });
    };
    bodies[0].closest('.scroll, .halves').before(controls(field, found));
  };

  for (const table of all('.table')) {
    const bodies = all('tbody', table);
    const count = bodies.reduce((sum, body) => sum + body.rows.length, 0);
    if (count > 2) sortable(bodies, all('thead tr', table));
    if (count > 12) filterable(table, bodies);
  }

  for (const section of all('section')) {
    const articles = [...section.children].filter(child => child.matches('article'));
    if (articles.length < 2) continue;
    const title = article => article.querySelector('h3').textContent;
    const options = articles.map((article, i) => make('option', { value: i }, title(article)));
    const select = make('select', { ariaLabel: 'Which row is shown' }, make('option', { value: -1 }, 'All rows'), ...options);
    select.onchange = () => articles.forEach((article, i) => {
      article.classList.toggle('filtered', select.value !== '-1' && select.value !== String(i));
    });
    articles[0].before(controls(select));
  }

  // Marks: by pointer, or with the picture in focus by the arrow keys.
  const tip = make('div', { className: 'tooltip', hidden: true });
  tip.setAttribute('role', 'status');
  document.body.append(tip);
  const hide = () => { tip.hidden = true; };
  const show = mark => {
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const [at, own] = [mark.getBoundingClientRect(), tip.getBoundingClientRect()];
    const middle = at.left + at.width / 2 - own.width / 2;
    tip.style.left = `${Math.max(4, Math.min(middle, document.documentElement.clientWidth - own.width - 4))}px`;
    tip.style.top = `${at.top > own.height + 8 ? at.top - own.height - 6 : at.bottom + 6}px`;
  };
  for (const picture of all('svg')) {
    const marks = all('title', picture).filter(title => title.parentNode !== picture).map(title => title.parentNode);
    if (!marks.length) continue;
    for (const mark of marks) {
      mark.dataset.tip = mark.querySelector('title').textContent;
      mark.onpointerenter = () => show(mark);
      mark.onpointerleave = hide;
    }
    // The browser's own notes would stand over these.
    all('title', picture).forEach(title => title.remove());
    let at = -1;
    picture.tabIndex = 0;
    picture.onblur = hide;
    picture.onkeydown = event => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === 'Escape') hide();
      if (!step) return;
      at = (Math.max(at, step < 0 ? 0 : -1) + step + marks.length) % marks.length;
      show(marks[at]);
      event.preventDefault();
    };
  }
  addEventListener('scroll', hide, { passive: true });
})();
