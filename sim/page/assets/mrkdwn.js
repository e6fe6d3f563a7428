// Slack's markup, its rich text, and its dates, as described elements. What anybody wrote
// becomes text nodes here and nothing else.

import { h } from './dom.js';
import { emoji } from './emoji.js';

// unescape undoes the three entities that Slack knows.
export function unescape(text) {
  return text.replace(/&(lt|gt|amp);/g, (_, name) => ({ lt: '<', gt: '>', amp: '&' })[name]);
}

// plain is a plain_text object's text.
export function plain(object) {
  const text = object?.text ?? '';
  return object?.type === 'plain_text' && object.emoji === false ? unescape(text) : emoji(unescape(text));
}

// words is any text object in words alone, for labels and announcements.
export function words(object, names) {
  if (typeof object === 'string') return strip(object, names);
  return object?.type === 'mrkdwn' ? strip(object.text, names) : plain(object);
}

function strip(text, names) {
  text = text.replace(/<([^<>\n]*)>/g, (_, seq) => controlText(seq, names));
  return emoji(unescape(text.replace(/```/g, '').replace(/(^|[\s(])([*_~`])(\S(?:[^\n]*?\S)?)\2(?=$|[\s).,:;!?])/gm, '$1$3')));
}

// text is a text object as elements.
export function text(object, names) {
  return object?.type === 'mrkdwn' ? mrkdwn(object.text, names) : [plain(object)];
}

// mrkdwn is Slack's markup as elements: pre-formatted pieces and quotes stand for themselves,
// the rest is inline.
export function mrkdwn(source, names) {
  const out = [];
  const parts = String(source ?? '').split('```');
  parts.forEach((part, i) => {
    if (i % 2 === 1 && i < parts.length - 1) {
      out.push(h('pre', { tabindex: '0' }, h('code', null, literal(part.replace(/^\n|\n$/g, ''), names))));
      return;
    }
    if (i % 2 === 1) part = '```' + part;
    if (i > 0) part = part.replace(/^\n/, '');
    if (i < parts.length - 1) part = part.replace(/\n$/, '');
    out.push(...quotes(part, names));
  });
  return out;
}

// quotes parts lines that begin with > from others.
function quotes(part, names) {
  const out = [];
  let run = [];
  let quoted = false;
  const flush = () => {
    if (run.length) out.push(quoted ? h('blockquote', null, inline(run.join('\n'), names)) : inline(run.join('\n'), names));
    run = [];
  };
  for (const line of part.split('\n')) {
    const q = /^(?:&gt;|>)(?!\S*>) ?/.exec(line);
    if (Boolean(q) !== quoted) {
      flush();
      quoted = Boolean(q);
    }
    run.push(q ? line.slice(q[0].length) : line);
  }
  flush();
  return out;
}

// inline is markup without blocks. Control sequences and code stand aside, as characters
// of the private use area, while bold and its like are looked for.
function inline(source, names) {
  const held = [];
  const hold = (node) => String.fromCharCode(0xe000 + held.push(node) - 1);
  source = source.replace(/[\ue000-\uf8ff]/g, '\ufffd');
  source = source.replace(/`([^`\n]+)`/g, (_, code) => hold(h('code', null, literal(code, names))));
  source = source.replace(/<([^<>\n]+)>/g, (_, seq) => hold(control(seq, names)));
  return styled(source, held);
}

const TAGS = { '*': 'strong', _: 'em', '~': 's' };

function styled(source, held) {
  const wordy = (c, mark) => c !== undefined && (c === mark || /[\p{L}\p{N}]/u.test(c));
  const blank = (c) => c === undefined || /\s/.test(c);
  for (let i = 0; i < source.length; i++) {
    const mark = source[i];
    if (!(mark in TAGS) || wordy(source[i - 1], mark) || blank(source[i + 1]) || source[i + 1] === mark) continue;
    for (let j = i + 2; j < source.length && source[j] !== '\n'; j++) {
      if (source[j] === mark && !blank(source[j - 1]) && !wordy(source[j + 1], mark)) {
        return [...letters(source.slice(0, i), held), h(TAGS[mark], null, styled(source.slice(i + 1, j), held)), ...styled(source.slice(j + 1), held)];
      }
    }
  }
  return letters(source, held);
}

// letters puts what stood aside back, and shows emoji and entities.
function letters(source, held) {
  const out = [];
  for (const piece of source.split(/([\ue000-\uf8ff])/)) {
    if (/^[\ue000-\uf8ff]$/.test(piece)) out.push(held[piece.charCodeAt(0) - 0xe000]);
    else if (piece) out.push(emoji(unescape(piece)));
  }
  return out;
}

// literal is code: its links are shown as their words, nothing else is looked for.
function literal(source, names) {
  return unescape(source.replace(/<([^<>\n]+)>/g, (_, seq) => controlText(seq, names)));
}

// control is one <…> as an element.
function control(seq, names) {
  const [body, label] = cut(seq, '|');
  if (/^(https?:|mailto:)/.test(body)) return link(unescape(body), label ? emoji(unescape(label)) : unescape(body).replace(/^mailto:/, ''));
  if (body.startsWith('!date^')) return date(body.split('^'), label, names);
  if (/^[@#!]/.test(body)) return mention(body, controlText(seq, names), names);
  return controlText(seq, names);
}

function controlText(seq, names) {
  const [body, label] = cut(seq, '|');
  if (body.startsWith('@')) return '@' + names.person(body.slice(1), label);
  if (body.startsWith('#')) return '#' + names.channel(body.slice(1), label);
  if (body.startsWith('!subteam^')) return '@' + names.group(body.slice(9), label.replace(/^@/, ''));
  if (body.startsWith('!date^')) return dateText(body.split('^'), label, names);
  if (body.startsWith('!')) return '@' + (label || body.slice(1));
  return label || body.replace(/^mailto:/, '');
}

function cut(textAll, by) {
  const i = textAll.indexOf(by);
  return i < 0 ? [textAll, ''] : [textAll.slice(0, i), textAll.slice(i + by.length)];
}

function mention(body, shown, names) {
  const mine = body === '@' + names.me || /^!(here|channel|everyone)$/.test(body) || (body.startsWith('!subteam^') && names.mine(body.slice(9)));
  return h('span', { class: mine ? 'mention mine' : 'mention' }, shown);
}

function link(url, label) {
  const safe = /^(https?:\/\/|mailto:)/.test(url);
  return safe ? h('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, label) : label;
}

function date(parts, fallback, names) {
  const shown = dateText(parts, fallback, names);
  const seconds = Number(parts[1]);
  if (!Number.isFinite(seconds)) return shown;
  const at = new Date(seconds * 1000);
  return h('time', { datetime: at.toISOString(), title: at.toLocaleString('en', { timeZone: names.tz, dateStyle: 'full', timeStyle: 'long' }) }, shown);
}

function dateText(parts, fallback, names) {
  const seconds = Number(parts[1]);
  if (parts.length < 3 || !Number.isFinite(seconds)) return fallback;
  return formatDate(new Date(seconds * 1000), parts[2], names.tz);
}

// formatDate writes a time by Slack's tokens, in a time zone.
export function formatDate(at, format, tz) {
  const say = (options) => at.toLocaleString('en-US', { timeZone: tz, ...options });
  const day = Number(say({ day: 'numeric' }));
  const th = day + (day % 10 === 1 && day !== 11 ? 'st' : day % 10 === 2 && day !== 12 ? 'nd' : day % 10 === 3 && day !== 13 ? 'rd' : 'th');
  const iso = (d) => d.toLocaleDateString('en-CA', { timeZone: tz });
  const long = `${say({ month: 'long' })} ${th}, ${say({ year: 'numeric' })}`;
  const longest = `${say({ weekday: 'long' })}, ${long}`;
  const short = say({ month: 'short', day: 'numeric', year: 'numeric' });
  const pretty = (otherwise) => {
    const now = Date.now();
    for (const [name, ms] of [['today', 0], ['yesterday', -864e5], ['tomorrow', 864e5]]) if (iso(at) === iso(new Date(now + ms))) return name;
    return otherwise;
  };
  const clock = (options) => say({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...options });
  const tokens = {
    date_num: iso(at), date_slash: say({ month: '2-digit', day: '2-digit', year: 'numeric' }), date: long, date_long: longest, date_short: short,
    date_pretty: pretty(long), date_long_pretty: pretty(longest), date_short_pretty: pretty(short), day_divider_pretty: pretty(longest),
    time: clock(), time_secs: clock({ second: '2-digit' }), ago: ago(at),
  };
  return format.replace(/\{(\w+)\}/g, (all, name) => tokens[name] ?? all);
}

// ago is how long ago something was, in words.
export function ago(at) {
  const s = Math.round((Date.now() - at.getTime()) / 1000);
  const abs = Math.abs(s);
  const [n, unit] = abs < 60 ? [abs, 'second'] : abs < 3600 ? [Math.floor(abs / 60), 'minute'] : abs < 86400 ? [Math.floor(abs / 3600), 'hour'] : [Math.floor(abs / 86400), 'day'];
  const said = `${n} ${unit}${n === 1 ? '' : 's'}`;
  return s < 0 ? `in ${said}` : `${said} ago`;
}

// rich is a rich text's elements.
export function rich(elements, names) {
  return (elements ?? []).map((el) => richPart(el, names));
}

function richPart(el, names) {
  switch (el.type) {
    case 'rich_text_section':
      return h('span', { class: 'rich' }, richInline(el.elements, names));
    case 'rich_text_quote':
      return h('blockquote', null, richInline(el.elements, names));
    case 'rich_text_preformatted':
      return h('pre', { tabindex: '0' }, h('code', null, richInline(el.elements, names)));
    case 'rich_text_list':
      return h(el.style === 'ordered' ? 'ol' : 'ul', { class: `indent${Math.min(el.indent ?? 0, 4)}`, start: el.offset ? el.offset + 1 : null },
        (el.elements ?? []).map((item) => h('li', null, richInline(item.elements, names))));
  }
  return richInline([el], names);
}

function richInline(elements, names) {
  return (elements ?? []).map((el) => {
    const style = el.style ?? {};
    let node;
    switch (el.type) {
      case 'text': node = el.text; break;
      case 'link': node = link(el.url, el.text || el.url); break;
      case 'user': node = mention('@' + el.user_id, '@' + names.person(el.user_id), names); break;
      case 'channel': node = mention('#' + el.channel_id, '#' + names.channel(el.channel_id), names); break;
      case 'usergroup': node = mention('!subteam^' + el.usergroup_id, '@' + names.group(el.usergroup_id), names); break;
      case 'broadcast': node = mention('!' + el.range, '@' + el.range, names); break;
      case 'emoji': node = el.unicode ? String.fromCodePoint(...el.unicode.split('-').map((c) => parseInt(c, 16))) : emoji(`:${el.name}:`); break;
      case 'date': node = date(['', el.timestamp, el.format], el.fallback ?? '', names); break;
      case 'color': node = h('code', null, el.value); break;
      default: node = el.text ?? `[${el.type}]`;
    }
    if (style.code) node = h('code', null, node);
    if (style.strike) node = h('s', null, node);
    if (style.italic) node = h('em', null, node);
    if (style.bold) node = h('strong', null, node);
    return node;
  });
}
