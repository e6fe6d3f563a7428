// Block Kit's interactive elements. What a person enters into a view stays with the view
// until it is submitted; anything else is told to the app at once.

import { h, icon } from './dom.js';
import { plain, text, words } from './mrkdwn.js';

// ui is what is open at the moment: one menu or one list of options on the whole page, and
// which buttons are being pressed.
export const ui = { open: null, busy: new Set(), again: () => {} };

const redraw = () => ui.again();

// control is an element that stands in a message, or in a view outside an input.
export function control(el, c) {
  const press = (values, begun) => c.press(c.block, el, values, begun);
  switch (el.type) {
    case 'button':
    case 'workflow_button':
    case 'icon_button':
      return button(el, c, press);
    case 'feedback_buttons':
      return h('span', { class: 'b-actions' }, [el.positive_button, el.negative_button].filter(Boolean).map((b) =>
        h('button', { class: 'btn', type: 'button', onclick: () => press([b.value]) }, plain(b.text))));
    case 'overflow':
      return overflow(el, c, press);
    case 'image':
      return h('span', { class: 'picture small away', role: 'img', 'aria-label': el.alt_text ?? '' }, icon('eye'));
  }
  const label = plain(el.placeholder) || c.label || 'Choose';
  return entry(el, { ...c, label, told: true, change: (values) => { c.form?.enter(c.block, el, values); press(values); } });
}

function button(el, c, press) {
  const label = el.text ? plain(el.text) : el.icon ?? 'Button';
  const id = `${c.id}:${el.action_id} ${label}`; // a button that comes in its place is another one
  const busy = ui.busy.has(id);
  const style = el.style === 'primary' || el.style === 'danger' ? el.style : '';
  const url = /^https?:\/\//.test(el.url ?? '') ? el.url : null;
  const props = {
    key: id, class: `btn ${style} ${busy ? 'busy' : ''}`, 'data-action': el.action_id, 'aria-label': el.accessibility_label ?? null,
    onclick: async () => {
      if (ui.busy.has(id)) return;
      try { await press([], () => { ui.busy.add(id); redraw(); }); } finally { ui.busy.delete(id); redraw(); }
    },
  };
  if (url) return h('a', { ...props, href: url, target: '_blank', rel: 'noopener noreferrer' }, label, icon('link'));
  return h('button', { ...props, type: 'button', 'aria-busy': busy ? 'true' : null, 'aria-haspopup': el.confirm ? 'dialog' : null }, label);
}

// place puts what is open below its anchor, or above where there is no room.
function place(anchor, list) {
  if (!anchor?.isConnected) return;
  const a = anchor.getBoundingClientRect();
  const width = Math.max(a.width, 180);
  const below = innerHeight - a.bottom - 12;
  const above = a.top - 12;
  const up = below < Math.min(220, list.scrollHeight) && above > below;
  list.style.setProperty('min-width', `${width}px`);
  list.style.setProperty('max-height', `${Math.max(80, Math.min(300, up ? above : below))}px`);
  const at = list.getBoundingClientRect();
  list.style.setProperty('left', `${Math.max(8, Math.min(a.left, innerWidth - Math.max(width, at.width) - 8))}px`);
  list.style.setProperty('top', up ? `${Math.max(8, a.top - at.height - 4)}px` : `${a.bottom + 4}px`);
}

// raise shows an element above everything, a dialog too.
function raise(anchorOf) {
  return {
    popover: 'manual',
    mounted: (el) => { el.showPopover?.(); place(anchorOf(el), el); },
    drawn: (el) => place(anchorOf(el), el),
  };
}

export function closeOpen() {
  if (!ui.open) return;
  ui.open = null;
  redraw();
}

// menu is a button with a list of things to do: Slack's overflow, and the page's own.
export function menu({ id, label, face, kind, items }) {
  const open = ui.open?.id === id;
  const buttonOf = (el) => el.closest('.menu').querySelector('button');
  const shut = (el) => { const to = buttonOf(el); ui.open = null; to.focus(); redraw(); };
  const focusAt = (el, i) => {
    const all = [...el.closest('.menu').querySelectorAll('[role=menuitem]')];
    all[(i + all.length) % all.length]?.focus();
  };
  const keys = (e) => {
    const all = [...e.currentTarget.querySelectorAll('[role=menuitem]')];
    const i = all.indexOf(document.activeElement);
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: -1 }[e.key];
    if (to !== undefined) { e.preventDefault(); focusAt(e.currentTarget, to); }
    if (e.key === 'Escape' || e.key === 'Tab') { e.stopPropagation(); if (e.key === 'Escape') e.preventDefault(); shut(e.currentTarget); }
  };
  return h('span', { class: 'menu' },
    h('button', {
      class: kind ?? 'btn square', type: 'button', 'aria-haspopup': 'menu', 'aria-expanded': open ? 'true' : 'false', 'aria-label': label, title: label,
      onclick: () => { ui.open = open ? null : { id }; redraw(); },
      onkeydown: (e) => { if (e.key === 'ArrowDown' && !open) { e.preventDefault(); ui.open = { id }; redraw(); } },
    }, face ?? icon('more')),
    open ? h('div', {
      class: 'list', role: 'menu', 'aria-label': label, onkeydown: keys,
      ...raise(buttonOf), mounted: (el) => { el.showPopover?.(); place(buttonOf(el), el); focusAt(el, 0); },
    }, items.map((item) => h('button', { class: 'option', type: 'button', role: 'menuitem', tabindex: '-1', onclick: (e) => { shut(e.currentTarget); item.run(); } },
      h('span', null, item.label), item.detail ? h('small', null, item.detail) : null))) : null);
}

function overflow(el, c, press) {
  return menu({
    id: `${c.id}:${el.action_id}`, label: c.label ? `More: ${c.label}` : 'More', kind: 'btn square',
    items: (el.options ?? []).map((o) => ({ label: plain(o.text), detail: o.description ? plain(o.description) : '', run: () => press([o.value]) })),
  });
}

// field is an input block: a label, an element, a hint, and what the app said of it.
export function field(b, c) {
  const el = b.element ?? {};
  const error = c.errors?.[b.block_id];
  const id = `${c.id}-f`;
  const about = [error ? `${id}-error` : '', b.hint ? `${id}-hint` : ''].filter(Boolean).join(' ') || null;
  const label = plain(b.label);
  const grouped = el.type === 'checkboxes' || el.type === 'radio_buttons';
  const change = (values, done = true) => {
    c.form?.enter(b, el, values);
    const config = el.dispatch_action_config?.trigger_actions_on ?? ['on_enter_pressed'];
    const typed = /input$/.test(el.type);
    if (b.dispatch_action && (typed ? (done ? config.includes('on_enter_pressed') : config.includes('on_character_entered')) : done)) c.press(b, el, values);
  };
  const inner = entry(el, { ...c, block: b, id, label, about, required: !b.optional, invalid: Boolean(error), change });
  const name = [label, b.optional ? h('span', { class: 'optional' }, ' (optional)') : null];
  return h(grouped ? 'fieldset' : 'div', { key: c.key, class: `b-input ${error ? 'wrong' : ''}`, 'data-block': b.block_id, 'aria-describedby': grouped ? about : null },
    grouped ? h('legend', null, name) : h('label', { for: id }, name),
    inner,
    error ? h('p', { class: 'error', id: `${id}-error` }, error) : null,
    b.hint ? h('p', { class: 'hint', id: `${id}-hint` }, plain(b.hint)) : null);
}

// values of an element, as the view has them; null where nothing was entered.
function current(el, c) {
  return c.form?.value(c.block, el) ?? initial(el);
}

function initial(el) {
  if (el.initial_options) return el.initial_options.map((o) => o.value);
  const one = el.initial_option?.value ?? el.initial_value ?? el.initial_date ?? el.initial_time ?? el.initial_user ?? el.initial_channel ?? el.initial_conversation;
  return one === undefined || one === null ? [] : [String(one)];
}

function entry(el, c) {
  const values = current(el, c);
  const common = { id: c.id, 'aria-describedby': c.about ?? null, 'aria-invalid': c.invalid ? 'true' : null, 'aria-required': c.required ? 'true' : null, 'data-action': el.action_id };
  const named = c.told ? { ...common, 'aria-label': c.label } : common;
  const one = (kind, more) => h('input', { ...named, class: 'text', type: kind, value: values[0] ?? '', ...more });
  const typing = {
    placeholder: plain(el.placeholder) || null, autocomplete: 'off', maxlength: el.max_length ?? null,
    oninput: (e) => c.change([e.target.value], false),
    onkeydown: (e) => { if (e.key === 'Enter' && !el.multiline && !e.isComposing) { if (c.form && !c.told) e.preventDefault(); c.change([e.target.value], true); } },
  };
  switch (el.type) {
    case 'plain_text_input':
    case 'rich_text_input':
      if (el.multiline || el.type === 'rich_text_input') return h('textarea', { ...named, class: 'text', rows: '3', value: values[0] ?? '', ...typing });
      return one('text', typing);
    case 'number_input': return one('text', { ...typing, inputmode: el.is_decimal_allowed ? 'decimal' : 'numeric' });
    case 'email_text_input': return one('email', typing);
    case 'url_text_input': return one('url', typing);
    case 'datepicker': return one('date', { onchange: (e) => c.change(e.target.value ? [e.target.value] : []) });
    case 'timepicker': return one('time', { onchange: (e) => c.change(e.target.value ? [e.target.value] : []) });
    case 'datetimepicker': return one('datetime-local', { onchange: (e) => c.change(e.target.value ? [String(Math.floor(Date.parse(e.target.value) / 1000))] : []) });
    case 'checkboxes':
    case 'radio_buttons': return boxes(el, c, values);
    case 'file_input': return h('p', { class: 'hint' }, 'This page takes no files.');
  }
  if (/select$/.test(el.type)) return select(el, { ...c, values, named });
  return h('p', { class: 'hint' }, `An element of the kind “${el.type}”, which this page can’t draw.`);
}

function boxes(el, c, values) {
  const single = el.type === 'radio_buttons';
  return h('div', { class: 'boxes', role: c.told ? 'group' : null, 'aria-label': c.told ? c.label : null }, (el.options ?? []).map((o, i) => h('label', { class: 'box' },
    h('input', {
      type: single ? 'radio' : 'checkbox', name: c.id, id: `${c.id}-${i}`, value: o.value, checked: values.includes(o.value),
      onchange: (e) => c.change(single ? [o.value] : e.target.checked ? [...values, o.value] : values.filter((v) => v !== o.value)),
    }),
    h('span', null, text(o.text, c.names), o.description ? h('small', null, text(o.description, c.names)) : null))));
}

// choices are the options that a select has by itself; null where the app is asked for them.
function choices(el, names) {
  const person = (p) => ({ value: p.id, label: `@${p.name}`, detail: p.real_name });
  const channel = (ch) => ({ value: ch.id, label: `#${ch.name}` });
  if (el.type.includes('users_select')) return names.people.filter((p) => !p.deleted).map(person);
  if (el.type.includes('channels_select') || el.type.includes('conversations_select')) return names.channels.map(channel);
  if (el.type.includes('external_select')) return null;
  return optionsOf(el);
}

// optionsOf flattens options and groups of them.
export function optionsOf(from) {
  const one = (group) => (o) => ({ value: o.value, label: words(o.text), detail: o.description ? words(o.description) : '', group });
  if (from.option_groups) return from.option_groups.flatMap((g) => (g.options ?? []).map(one(plain(g.label))));
  return (from.options ?? []).map(one(''));
}

const seen = new Map(); // labels of options that were offered, by element and value

function select(el, c) {
  const id = c.id;
  const multi = el.type.startsWith('multi_');
  const own = choices(el, c.names);
  const open = ui.open?.id === id ? ui.open : null;
  const labelOf = (value) => {
    const known = [...(own ?? []), ...optionsOf({ options: [el.initial_option, ...(el.initial_options ?? [])].filter(Boolean) })].find((o) => o.value === value);
    return known?.label ?? seen.get(`${el.action_id} ${value}`) ?? value;
  };
  const shown = multi ? '' : c.values.length ? labelOf(c.values[0]) : '';
  const least = el.min_query_length ?? 3;

  const load = (typed) => {
    const mine = { id, typed, at: -1, options: [], note: '' };
    ui.open = mine;
    if (own) {
      const low = typed.trim().toLowerCase();
      mine.options = own.filter((o) => !low || o.label.toLowerCase().includes(low) || o.detail?.toLowerCase().includes(low));
      mine.note = mine.options.length ? '' : 'Nothing matches.';
      settle(mine);
      return;
    }
    if (typed.length < least) {
      mine.note = `Type ${least === 1 ? 'a letter' : `${least} letters`} to search.`;
      redraw();
      return;
    }
    mine.options = open?.options ?? [];
    mine.note = 'Searching…';
    redraw();
    clearTimeout(select.timer);
    select.timer = setTimeout(async () => {
      try {
        mine.options = optionsOf(await c.search(c.block, el, typed));
        mine.note = mine.options.length ? '' : 'Nothing matches.';
        for (const o of mine.options) seen.set(`${el.action_id} ${o.value}`, o.label);
      } catch (e) {
        mine.options = [];
        mine.note = e.message;
      }
      if (ui.open === mine) settle(mine);
    }, typed ? 120 : 0);
  };
  const settle = (mine) => {
    mine.at = mine.typed && mine.options.length ? 0 : mine.options.findIndex((o) => c.values.includes(o.value));
    redraw();
  };
  const pick = (o) => {
    ui.open = null;
    c.change(multi ? (c.values.includes(o.value) ? c.values.filter((v) => v !== o.value) : [...c.values, o.value]) : [o.value]);
    redraw();
  };
  const keys = (e) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (move) {
      e.preventDefault();
      if (!open) return load('');
      const n = open.options.length;
      if (n) open.at = (open.at + move + n + (open.at < 0 && move < 0 ? 1 : 0)) % n;
      redraw();
    } else if (e.key === 'Enter') {
      e.preventDefault();
      if (open && open.at >= 0 && open.options[open.at]) pick(open.options[open.at]);
      else if (!open) load('');
    } else if (e.key === 'Escape' && open) {
      e.preventDefault();
      e.stopPropagation();
      closeOpen();
    } else if (e.key === 'Backspace' && multi && !e.target.value && c.values.length) {
      c.change(c.values.slice(0, -1));
      redraw();
    }
  };
  let group = '';
  return h('span', { class: `select ${c.told ? 'inline' : ''}` },
    multi ? c.values.map((v) => h('span', { class: 'chip', key: `chip ${v}` }, labelOf(v),
      h('button', { type: 'button', 'aria-label': `Remove ${labelOf(v)}`, onclick: () => { c.change(c.values.filter((w) => w !== v)); redraw(); } }, icon('close')))) : null,
    h('input', {
      ...c.named, key: 'input', class: 'text', type: 'text', role: 'combobox', autocomplete: 'off', spellcheck: 'false', 'aria-autocomplete': 'list',
      'aria-expanded': open ? 'true' : 'false', 'aria-controls': open?.options.length ? `${id}-list` : null,
      'aria-activedescendant': open && open.at >= 0 ? `${id}-o${open.at}` : null,
      placeholder: plain(el.placeholder) || 'Choose', value: open ? open.typed : shown,
      oninput: (e) => load(e.target.value), onkeydown: keys, onclick: () => { if (!open) load(''); },
      onblur: () => setTimeout(() => { if (ui.open?.id === id) closeOpen(); }, 120),
    }),
    h('span', { key: 'arrow', class: 'selectarrow', 'aria-hidden': 'true' }, icon('down')),
    open ? h('div', { key: 'list', class: 'list', ...raise((node) => node.closest('.select')?.querySelector('input')), onmousedown: (e) => e.preventDefault() },
      open.note ? h('p', { class: 'note', role: 'status' }, open.note) : null,
      !open.options.length ? null : h('div', { id: `${id}-list`, role: 'listbox', 'aria-label': c.label, 'aria-multiselectable': multi ? 'true' : null },
        open.options.map((o, i) => {
          const title = o.group && o.group !== group ? h('p', { class: 'group', role: 'presentation' }, o.group) : null;
          group = o.group;
          return [title, h('div', {
            id: `${id}-o${i}`, role: 'option', class: `option ${i === open.at ? 'at' : ''}`, 'aria-selected': c.values.includes(o.value) ? 'true' : 'false', onclick: () => pick(o),
            drawn: i === open.at ? (node) => node.scrollIntoView({ block: 'nearest' }) : null,
          }, h('span', null, o.label), o.detail ? h('small', null, o.detail) : null)];
        }))) : null);
}
