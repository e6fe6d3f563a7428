// Block Kit as elements: every block that Slack's kit knows, from the JSON that the app
// sent. A block of a kind that is not known is shown as such, with its JSON.

import { h, icon } from './dom.js';
import { mrkdwn, plain, rich, text, words } from './mrkdwn.js';
import { chart } from './chart.js';
import { control, field } from './controls.js';

// blocks renders a list of blocks. The context says where they are:
//
//	names   who and what ids mean
//	at      {channel, ts} or {view}
//	id      unique on the page, and fit for an id
//	level   the level of headings
//	form    of a view: value(block, action) and enter(block, action, values)
//	errors  of a view: by block id
//	press   (block, element, values, begun) when something was pressed or chosen; begun is
//	        called once the app is told, after the question that may come before
//	search  (block, element, typed) → a promise of {options} or {option_groups}
export function blocks(list, context) {
  return (list ?? []).map((b, i) => block(b, { ...context, id: `${context.id}-${i}`, block: b }));
}

function block(b, c) {
  const key = `${b.type} ${b.block_id ?? c.id}`;
  const { names } = c;
  switch (b.type) {
    case 'header':
      return h(`h${c.level ?? 3}`, { key, class: 'b-header' }, plain(b.text));
    case 'section':
      return section(b, c, key);
    case 'context':
      return h('div', { key, class: 'b-context' }, (b.elements ?? []).map((el) =>
        el.type === 'image' ? picture(el, 'small') : h('span', null, text(el, names))));
    case 'actions':
    case 'context_actions':
      return h('div', { key, class: 'b-actions', role: 'group', 'aria-label': 'Actions' }, (b.elements ?? []).map((el, i) => control(el, { ...c, id: `${c.id}-${i}` })));
    case 'divider':
      return h('hr', { key });
    case 'image':
      return h('figure', { key, class: 'b-image' }, b.title ? h('figcaption', null, plain(b.title)) : null, picture(b, 'large'));
    case 'input':
      return field(b, { ...c, key });
    case 'rich_text':
      return h('div', { key, class: 'b-rich' }, rich(b.elements, names));
    case 'markdown':
      return h('div', { key, class: 'b-text' }, markdown(b.text, names));
    case 'table':
    case 'data_table':
      return table(b, c, key);
    case 'data_visualization':
      return h('div', { key }, chart(b));
    case 'alert':
      return h('p', { key, class: `b-alert ${/^\w+$/.test(b.level ?? '') ? b.level : ''}` }, text(b.text, names));
    case 'video':
      return h('p', { key, class: 'b-file' }, icon('link'), ' ', h('a', { href: safe(b.video_url), target: '_blank', rel: 'noopener noreferrer' }, plain(b.title)), ` (video) ${b.alt_text ?? ''}`);
    case 'file':
      return h('p', { key, class: 'b-file' }, icon('file'), ` A file that was added from elsewhere (${b.external_id ?? 'no id'})`);
  }
  return h('details', { key, class: 'b-unknown' },
    h('summary', null, `A block of the kind “${b.type}”, which this page can’t draw`),
    h('pre', { tabindex: '0' }, h('code', null, JSON.stringify(b, null, 2))));
}

function section(b, c, key) {
  const body = [
    b.text ? h('div', { class: 'b-text' }, text(b.text, c.names)) : null,
    b.fields?.length ? h('div', { class: 'b-fields' }, b.fields.map((f) => h('div', { class: 'b-text' }, text(f, c.names)))) : null,
  ];
  if (!b.accessory) return h('div', { key, class: 'b-section' }, body);
  const label = b.text ? words(b.text, c.names).split('\n')[0].slice(0, 80) : '';
  const accessory = b.accessory.type === 'image' ? picture(b.accessory, 'thumb') : control(b.accessory, { ...c, id: `${c.id}-a`, label });
  return h('div', { key, class: 'b-section with' }, h('div', { class: 'b-body' }, body), h('div', { class: 'b-accessory' }, accessory));
}

function safe(url) {
  return /^https?:\/\//.test(url ?? '') ? url : null;
}

// picture shows what this machine has. One that is elsewhere is told in words: the page asks
// nobody else for anything.
function picture(el, size) {
  const src = el.image_url ?? '';
  if (src.startsWith('data:image/') || src.startsWith('/')) return h('img', { class: `picture ${size}`, src, alt: el.alt_text ?? '' });
  return h('span', { class: `picture ${size} away`, role: 'img', 'aria-label': el.alt_text ?? '' }, size === 'small' || size === 'thumb' ? icon('eye') : ['A picture that this page does not fetch: ', el.alt_text ?? '']);
}

// LONG is from how many letters on a column that wraps gets room for a few words a line.
const LONG = 36;

const letters = (v) => v?.text?.length ?? (v?.elements ?? []).reduce((n, e) => n + letters(e), 0);

function table(b, c, key) {
  const [head, ...rows] = b.rows ?? [];
  const settings = b.column_settings ?? [];
  const long = (i) => (b.rows ?? []).some((row) => letters(row[i]) > LONG);
  const shape = (i) => `${settings[i]?.align ?? 'left'}${settings[i]?.is_wrapped ? (long(i) ? ' wrapped long' : ' wrapped') : ''}`;
  const name = b.caption ?? 'Table';
  return h('div', { key, class: 'b-table', tabindex: '0', role: 'group', 'aria-label': `${name}, ${rows.length} rows` },
    h('table', null,
      b.caption ? h('caption', null, b.caption) : null,
      head ? h('thead', null, h('tr', null, head.map((v, i) => h('th', { scope: 'col', class: shape(i) }, cell(v, c.names))))) : null,
      h('tbody', null, rows.map((row) => h('tr', null, row.map((v, i) => h('td', { class: shape(i) }, cell(v, c.names))))))));
}

function cell(v, names) {
  switch (v?.type) {
    case 'rich_text': return rich(v.elements, names);
    case 'raw_number': return v.text || String(v.value);
  }
  return v?.text ?? '';
}

// markdown is the common kind, of which the kit takes a little: it is brought to Slack's own.
function markdown(source, names) {
  const lines = String(source ?? '').replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').split('\n').map((line) => line
    .replace(/^#{1,6}\s+(.*)$/, '*$1*')
    .replace(/^(\s*)[-*]\s+/, '$1• ')
    .replace(/\[([^\]]+)\]\((https?:[^)\s]+)\)/g, '<$2|$1>')
    .replace(/\*\*([^*]+)\*\*/g, '*$1*'));
  return mrkdwn(lines.join('\n'), names);
}

// attachments are what older apps hang on a message.
export function attachments(list, context) {
  return (list ?? []).map((a, i) => h('div', { key: `attachment ${i}`, class: 'attachment' },
    a.pretext ? h('div', { class: 'b-text' }, mrkdwn(a.pretext, context.names)) : null,
    a.title ? h('div', { class: 'b-text' }, h('strong', null, a.title)) : null,
    a.text ? h('div', { class: 'b-text' }, mrkdwn(a.text, context.names)) : null,
    a.blocks ? blocks(a.blocks, { ...context, id: `${context.id}-t${i}` }) : a.text || a.pretext || a.title ? null : h('div', { class: 'b-text' }, a.fallback ?? '')));
}

// files are uploads that were shared.
export function files(list) {
  return (list ?? []).map((f) => {
    const src = `/slack/_control/file/${encodeURIComponent(f.id)}`;
    const size = f.size > 1e6 ? `${(f.size / 1e6).toFixed(1)} MB` : f.size > 1e3 ? `${Math.round(f.size / 1e3)} kB` : `${f.size} bytes`;
    return h('div', { key: `file ${f.id}`, class: 'file' },
      /^image\//.test(f.mimetype ?? '') ? h('img', { class: 'picture large', src, alt: f.alt_txt || f.title || f.name }) : null,
      h('a', { class: 'filecard', href: src, download: f.name }, icon('file'), h('span', null, h('strong', null, f.title || f.name), h('small', null, `${(f.filetype || 'file').toUpperCase()} · ${size}`))));
  });
}
