// A page as a function of state: h() describes elements, draw() makes the document so.
// Elements that stay are kept, with the focus, the selection and the scroll position that
// people have in them, however often the page is drawn again.

const SVG = 'http://www.w3.org/2000/svg';

// h describes an element. Props are attributes; onclick and its like are listeners; value
// and checked are the properties, set only when what is described changes; style is an
// object; key tells siblings apart; mounted(el) and drawn(el) are called once, and each time.
export function h(tag, props, ...kids) {
  return { tag, props: props || {}, kids: flat(kids, []), key: props?.key };
}

// once describes what need not be described again while deps stay the same.
export function once(key, deps, make) {
  return { make, deps, key };
}

function flat(kids, out) {
  for (const kid of kids) {
    if (Array.isArray(kid)) flat(kid, out);
    else if (kid === null || kid === undefined || kid === false || kid === true) continue;
    else if (typeof kid === 'object') out.push(kid);
    else if (kid !== '') out.push({ text: String(kid) });
  }
  return out;
}

// draw makes root hold what is described, and nothing else.
export function draw(root, node) {
  const before = root.drawn;
  const had = document.activeElement;
  const around = [];
  for (let el = had; el && el !== root; el = el.parentElement) if (el.hasAttribute('tabindex')) around.push(el);
  if (!before) root.replaceChildren();
  kids(root, before ? [before] : [], [node], false);
  root.drawn = node;
  // Whoever stood on something that is gone stands on what it was in, not at the page's
  // beginning, and never on a button that came in its place.
  if (had && !had.isConnected && document.activeElement === document.body) around.find((el) => el.isConnected)?.focus({ preventScroll: true });
}

function create(node, svg) {
  if (node.make) {
    node.made = node.make();
    return (node.el = create(node.made, svg));
  }
  if (node.tag === undefined) return (node.el = document.createTextNode(node.text));
  svg = svg || node.tag === 'svg';
  const el = (node.el = svg ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag));
  kids(el, [], node.kids, svg);
  for (const name in node.props) set(el, name, undefined, node.props[name]);
  if (node.props.mounted) queueMicrotask(() => node.props.mounted(el));
  if (node.props.drawn) queueMicrotask(() => node.props.drawn(el));
  return el;
}

function same(a, b) {
  return a.key === b.key && a.tag === b.tag && !a.make === !b.make && (a.text === undefined) === (b.text === undefined);
}

function update(before, node, svg) {
  const el = (node.el = before.el);
  if (node.make) {
    if (node.deps.length === before.deps.length && node.deps.every((d, i) => d === before.deps[i])) {
      node.made = before.made;
      return;
    }
    node.made = node.make();
    if (same(before.made, node.made)) {
      update(before.made, node.made, svg);
    } else {
      el.replaceWith(create(node.made, svg));
      gone(before.made);
    }
    node.el = node.made.el;
    return;
  }
  if (node.tag === undefined) {
    if (before.text !== node.text) el.nodeValue = node.text;
    return;
  }
  svg = svg || node.tag === 'svg';
  kids(el, before.kids, node.kids, svg);
  for (const name in before.props) if (!(name in node.props)) set(el, name, before.props[name], undefined);
  for (const name in node.props) set(el, name, before.props[name], node.props[name]);
  if (node.props.drawn) queueMicrotask(() => node.props.drawn(el));
}

function gone(node) {
  if (node.make) return gone(node.made);
  node.props?.gone?.(node.el);
  node.kids?.forEach(gone);
}

// kids makes el's children so. Nothing that stays in order is moved: moving an element
// takes the focus from it.
function kids(el, before, after, svg) {
  const keyed = new Map();
  const loose = [];
  for (const b of before) {
    if (b.key !== undefined) keyed.set(b.key, b);
    else loose.push(b);
  }
  const pairs = [];
  let next = 0;
  for (const node of after) {
    let match;
    if (node.key !== undefined) {
      match = keyed.get(node.key);
      if (match && same(match, node)) keyed.delete(node.key);
      else match = undefined;
    } else {
      for (let i = next; i < loose.length; i++) {
        if (loose[i] && same(loose[i], node)) {
          match = loose[i];
          loose[i] = undefined;
          if (i === next) next++;
          break;
        }
      }
    }
    pairs.push([match, node]);
  }
  for (const b of [...keyed.values(), ...loose]) {
    if (!b) continue;
    gone(b);
    b.el.remove();
  }
  let at = el.firstChild;
  for (const [match, node] of pairs) {
    if (!match) {
      el.insertBefore(create(node, svg), at);
      continue;
    }
    if (match.el === at) at = at.nextSibling;
    else el.insertBefore(match.el, at);
    const was = match.el;
    update(match, node, svg);
    if (was !== node.el && at === was) at = node.el.nextSibling;
  }
}

function set(el, name, before, value) {
  if (name === 'key' || name === 'mounted' || name === 'drawn' || name === 'gone') return;
  if (name.startsWith('on')) {
    const type = name.slice(2);
    el.heard ??= {};
    if (!(type in el.heard)) el.addEventListener(type, (e) => el.heard[type]?.(e));
    el.heard[type] = value;
    return;
  }
  if (name === 'style') {
    for (const key in before || {}) if (!value || !(key in value)) el.style.removeProperty(key);
    for (const key in value || {}) if (!before || before[key] !== value[key]) el.style.setProperty(key, value[key]);
    return;
  }
  if (before === value) return;
  if (name === 'value' || name === 'checked') {
    const to = value ?? (name === 'checked' ? false : '');
    if (el[name] !== to) el[name] = to;
    return;
  }
  if (value === undefined || value === null || value === false) el.removeAttribute(name);
  else el.setAttribute(name, value === true ? '' : value);
}

// icon is one of the page's own small pictures; it says nothing to those who do not see it.
export function icon(name) {
  return h('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true', focusable: 'false' }, h('path', { d: ICONS[name] }));
}

const ICONS = {
  hash: 'M6 2 4.5 14M11.5 2 10 14M2.5 5.5h11M2 10.5h11',
  lock: 'M4.5 7.5V5a3.5 3.5 0 0 1 7 0v2.5M3 7.5h10v6.5H3z',
  home: 'M2 8 8 2.5 14 8M4 7v6.5h8V7',
  chat: 'M2 3h12v8.5H7L4 14v-2.5H2z',
  reply: 'M6.5 3.5 2.5 7.5l4 4M2.5 7.5H10a3.5 3.5 0 0 1 3.5 3.5v2',
  more: 'M3.2 8h.01M8 8h.01M12.8 8h.01',
  close: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.3M8 13.7V15M1 8h1.3M13.7 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  moon: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z',
  search: 'M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.5 10.5 14 14',
  down: 'M3.5 6 8 10.5 12.5 6',
  right: 'M6 3.5 10.5 8 6 12.5',
  check: 'M3 8.5 6.5 12 13 4.5',
  list: 'M2.5 4h.01M5.5 4h8M2.5 8h.01M5.5 8h8M2.5 12h.01M5.5 12h8',
  arrow: 'M8 2.5v10.5M3.5 8.5 8 13l4.5-4.5',
  send: 'M2 8 14 2.5 10.5 14 8 9z',
  file: 'M4 1.5h5l3.5 3.5v9.5H4zM9 1.5V5h3.5',
  night: 'M12.5 9.8A5.3 5.3 0 0 1 6.3 3.5a5.3 5.3 0 1 0 6.2 6.3zM12 2v3M10.5 3.5h3',
  link: 'M9 2.5h4.5V7M13.5 2.5 7.5 8.5M6.5 3.5h-4v10h10v-4',
  eye: 'M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6.3a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4z',
};
