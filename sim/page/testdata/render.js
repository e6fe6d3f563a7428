// Renders each case of cases.json and writes down what came of it, then tries what people
// do to controls. Run by render_test.go in a browser.

import { draw, h, once } from '/assets/dom.js';
import { attachments, blocks, files } from '/assets/blocks.js';
import { ui } from '/assets/controls.js';
import { formatDate, mrkdwn } from '/assets/mrkdwn.js';

const names = {
  me: 'U1', tz: 'Europe/Berlin',
  people: [{ id: 'U1', name: 'robin', real_name: 'Robin' }, { id: 'U2', name: 'ada', real_name: 'Ada' }], channels: [{ id: 'C1', name: 'ops' }],
  who: (id) => names.people.find((p) => p.id === id),
  person: (id, label) => names.who(id)?.real_name ?? (label || id),
  channel: (id, label) => (id === 'C1' ? 'ops' : label || 'private-channel'),
  group: (id, label) => (id === 'S1' ? 'finops' : label || id),
  mine: (id) => id === 'S1',
};

const SHOWN = ['role', 'aria-label', 'href', 'type', 'value', 'placeholder', 'class', 'alt', 'scope', 'start', 'datetime', 'download'];

// outline is an element as a person can review it: a line each, with what matters.
function outline(node, depth, out) {
  if (node.nodeType === 3) {
    if (node.nodeValue) out.push('  '.repeat(depth) + JSON.stringify(node.nodeValue));
    return;
  }
  const tag = node.tagName.toLowerCase();
  if (tag === 'svg') {
    out.push('  '.repeat(depth) + (node.getAttribute('class') === 'icon' ? 'icon' : `drawing of ${[...node.querySelectorAll('title')].map((t) => t.textContent).join('; ')}`));
    return;
  }
  const said = SHOWN.filter((a) => node.hasAttribute(a)).map((a) => `${a}=${JSON.stringify(node.getAttribute(a).trim().replace(/\s+/g, ' '))}`);
  out.push('  '.repeat(depth) + [tag, ...said].join(' '));
  for (const kid of node.childNodes) outline(kid, depth + 1, out);
}

const out = [];
const root = document.getElementById('app');

function show(make) {
  let again = () => draw(root, h('div', null, make()));
  ui.again = () => again();
  again();
  return root.firstChild;
}

const context = (more) => ({ names, at: { channel: 'C1', ts: '1' }, id: 'x', press: () => {}, search: async () => ({ options: [] }), ...more });

const failures = [];
function check(name, got, want) {
  const [g, w] = [JSON.stringify(got), JSON.stringify(want)];
  if (g !== w) failures.push(`FAIL ${name}: got ${g}, want ${w}`);
}
const tick = (ms) => new Promise((r) => setTimeout(r, ms ?? 20));
const key = (el, k) => el.dispatchEvent(new KeyboardEvent('keydown', { key: k, bubbles: true, cancelable: true }));
const typeIn = (el, text) => { el.value = text; el.dispatchEvent(new Event('input', { bubbles: true })); };

async function run() {
  const cases = await (await fetch('/test/cases.json')).json();
  for (const c of cases) {
    out.push(`# ${c.name}`);
    const made = show(() => c.mrkdwn !== undefined ? mrkdwn(c.mrkdwn, names) : c.files ? files(c.files) : c.attachments ? attachments(c.attachments, context()) : blocks(c.blocks, context({ errors: c.errors })));
    for (const node of made.childNodes) outline(node, 0, out);
    out.push('');
  }

  // Hostile text stays text.
  show(() => blocks([{ type: 'section', text: { type: 'mrkdwn', text: '<img src=x onerror=alert(1)> &lt;script&gt;alert(1)&lt;/script&gt; <javascript:alert(1)|here> <https://x.example/"onmouseover=alert(1)|there>' } }], context()));
  check('no elements from text', [...root.querySelectorAll('img, script')].length, 0);
  check('one link', [...root.querySelectorAll('a')].map((a) => [a.textContent, a.rel, a.hasAttribute('onmouseover')]), [['there', 'noopener noreferrer', false]]);

  // Dates, in the reader's zone.
  const at = new Date('2026-03-29T00:30:00Z');
  check('a date', formatDate(at, '{date_num} {time} {date_short} {date_long} {nothing}', 'Europe/Berlin'), '2026-03-29 01:30 Mar 29, 2026 Sunday, March 29th, 2026 {nothing}');
  check('the same elsewhere', formatDate(at, '{date_num} {time_secs}', 'America/New_York'), '2026-03-28 20:30:00');

  // A button tells its block, itself and nothing more.
  const pressed = [];
  const actions = { type: 'actions', block_id: 'b', elements: [{ type: 'button', action_id: 'run:0', text: { type: 'plain_text', text: 'Approve' }, value: 'v' }] };
  const press = (b, el, values) => { pressed.push([b.block_id, el.action_id, values]); };
  show(() => blocks([actions], context({ press })));
  root.querySelector('button').click();
  await tick();
  check('a press', pressed.splice(0), [['b', 'run:0', []]]);

  // A button that comes in another's place is another button, and nobody stands on it.
  show(() => blocks([actions], context({ press })));
  root.querySelector('button').focus();
  const before = root.querySelector('button');
  actions.elements[0] = { ...actions.elements[0], text: { type: 'plain_text', text: 'Stop' } };
  show(() => blocks([actions], context({ press })));
  check('another button', root.querySelector('button') === before, false);
  check('nobody stands on it', document.activeElement === root.querySelector('button'), false);

  // What stays keeps the focus, and what is typed.
  let n = 0;
  const live = () => [h('p', { key: `p${n}` }, n), h('input', { key: 'in', type: 'text' }), once('o', [n], () => h('i', null, n))];
  show(live);
  const input = root.querySelector('input');
  input.focus();
  input.value = 'typed';
  n = 1;
  show(live);
  check('focus is kept', [document.activeElement === input, input.value, root.querySelector('i').textContent], [true, 'typed', '1']);

  // A select that stands in a message, by keyboard.
  const options = ['Small', 'Medium', 'Large'].map((t) => ({ text: { type: 'plain_text', text: t }, value: t[0].toLowerCase() }));
  const choice = [{ type: 'actions', block_id: 'b', elements: [{ type: 'static_select', action_id: 'size', placeholder: { type: 'plain_text', text: 'Size' }, options }] }];
  show(() => blocks(choice, context({ press })));
  const box = root.querySelector('[role=combobox]');
  box.focus();
  key(box, 'ArrowDown');
  await tick();
  check('it opens', [...root.querySelectorAll('[role=option]')].map((o) => o.textContent), ['Small', 'Medium', 'Large']);
  key(box, 'ArrowDown');
  key(box, 'ArrowDown');
  check('it tells what is active', box.getAttribute('aria-activedescendant'), root.querySelectorAll('[role=option]')[1].id);
  check('nothing is told yet', pressed.splice(0), []);
  typeIn(box, 'la');
  check('it filters', [...root.querySelectorAll('[role=option]')].map((o) => o.textContent), ['Large']);
  key(box, 'Enter');
  check('it tells', pressed.splice(0), [['b', 'size', ['l']]]);
  key(box, 'ArrowDown');
  key(box, 'Escape');
  check('it closes', [root.querySelectorAll('[role=option]').length, box.getAttribute('aria-expanded')], [0, 'false']);

  // A search that the app answers, inside a form.
  const values = {};
  const form = { value: (b, el) => values[el.action_id], enter: (b, el, v) => { values[el.action_id] = v; ui.again(); } };
  const asked = [];
  const search = async (b, el, typed) => { asked.push(typed); return { option_groups: [{ label: { type: 'plain_text', text: 'Yours' }, options: [{ text: { type: 'plain_text', text: `${typed}op` }, value: 'id-1' }] }] }; };
  const field = [{ type: 'input', block_id: 'i', label: { type: 'plain_text', text: 'App' }, element: { type: 'external_select', action_id: 'app', min_query_length: 1 } },
    { type: 'input', block_id: 'c', optional: true, label: { type: 'plain_text', text: 'Which' }, element: { type: 'checkboxes', action_id: 'boxes', options } },
    { type: 'input', block_id: 'd', dispatch_action: true, label: { type: 'plain_text', text: 'Until' }, element: { type: 'datepicker', action_id: 'date' } }];
  show(() => blocks(field, context({ form, press, search, at: { view: 'V' } })));
  const app = root.querySelector('[role=combobox]');
  check('it has its label', app.labels[0].textContent, 'App');
  key(app, 'Enter');
  check('it asks for a letter', root.querySelector('[role=status]').textContent, 'Type a letter to search.');
  typeIn(app, 's');
  typeIn(app, 'sh');
  await tick(300);
  check('it asks once', asked, ['sh']);
  key(app, 'Enter');
  check('it keeps', [values.app, app.value, pressed.splice(0)], [['id-1'], 'shop', []]);
  const [small, , large] = root.querySelectorAll('[type=checkbox]');
  large.click();
  small.click();
  check('boxes', [values.boxes, small.checked], [['l', 's'], true]);
  large.click();
  check('a box less', values.boxes, ['s']);
  const day = root.querySelector('[type=date]');
  day.value = '2026-12-01';
  day.dispatchEvent(new Event('change', { bubbles: true }));
  check('a date that tells', [values.date, pressed.splice(0)], [['2026-12-01'], [['d', 'date', ['2026-12-01']]]]);

  // An overflow menu, by keyboard.
  show(() => blocks([{ type: 'section', block_id: 's', text: { type: 'mrkdwn', text: 'shop' }, accessory: { type: 'overflow', action_id: 'more', options } }], context({ press })));
  const more = root.querySelector('[aria-haspopup=menu]');
  more.focus();
  key(more, 'ArrowDown');
  await tick();
  check('the first is taken', document.activeElement.textContent, 'Small');
  key(document.activeElement, 'ArrowUp');
  check('it goes round', document.activeElement.textContent, 'Large');
  document.activeElement.click();
  check('it tells, and the focus is back', [pressed.splice(0), document.activeElement === more], [[['s', 'more', ['l']]], true]);
}

run().catch((e) => failures.push(`FAIL ${e.stack}`)).finally(() => {
  root.replaceChildren();
  document.getElementById('out').textContent = [...out, '# what people do', ...(failures.length ? failures : ['all as it should be'])].join('\n');
  document.title = 'done';
});
