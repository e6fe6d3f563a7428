// The inspector: what passes between the bot and both services, as it is on the wire.

import { h, icon } from './dom.js';
import { formatDate } from './mrkdwn.js';
import { change, names, state } from './app.js';

const KINDS = { all: 'All', envelope: 'Envelopes', call: 'Slack calls', heroku: 'Heroku calls' };

const fits = (n) => state.wire.only === 'all' || n.kind === state.wire.only || (state.wire.only === 'envelope' && n.kind === 'ack');

export function wire() {
  const w = state.wire;
  const list = w.notes.filter(fits).slice(-200).reverse();
  return [
    h('h2', { class: 'hidden' }, 'Wire'),
    h('div', { class: 'fleet-head' },
      h('p', null, 'What the bot hears and says, the newest first. No tokens are shown.'),
      h('div', { class: 'fleet-tools' },
        h('fieldset', { class: 'mood' }, h('legend', { class: 'hidden' }, 'Show'), Object.entries(KINDS).map(([value, label]) => h('label', { class: w.only === value ? 'on' : '' },
          h('input', { type: 'radio', name: 'wire', value, checked: w.only === value, onchange: () => change(() => { w.only = value; }) }), label))),
        h('button', { class: 'btn small quiet', type: 'button', onclick: () => change(() => { w.notes = []; }) }, 'Clear'))),
    h('div', { class: 'scroll', key: 'wire', tabindex: '0', role: 'region', 'aria-label': 'Traffic' },
      list.length ? h('ol', { class: 'wire' }, list.map(note)) : h('div', { class: 'empty' }, h('p', null, 'Nothing yet. Ask the bot something.'))),
  ];
}

function what(n) {
  if (n.kind === 'heroku') return { sign: '→', verb: n.method, text: named(n.path), to: 'Heroku', status: n.status === 0 ? 'no answer' : n.status, bad: n.status === 0 || n.status >= 400, parts: { 'Matched': n.pattern, 'Fault': n.fault, 'Body': parse(n.body), 'Answer': parse(n.answer) } };
  if (n.kind === 'envelope') return { sign: '←', verb: 'envelope', text: inner(n), to: 'from Slack', parts: { Envelope: n.sent } };
  if (n.kind === 'ack') return { sign: '→', verb: 'ack', text: n.name, to: 'to Slack', parts: { Payload: n.sent } };
  return { sign: '→', verb: 'call', text: n.name, to: 'Slack', status: n.error || n.status || 'no answer', bad: Boolean(n.error) || n.status !== 200, parts: { Arguments: readable(n.sent), Answer: n.answer } };
}

// named is a path with the names of apps in place of their ids.
function named(path) {
  return path.replace(/^\/apps\/([0-9a-f-]{36})/, (all, id) => {
    for (const a of state.fleet.apps.values()) if (a.id === id) return `/apps/${a.name}`;
    return all;
  });
}

function inner(n) {
  const p = n.sent?.payload ?? {};
  return [n.name, p.command ? `${p.command} ${p.text}` : p.event?.type ?? p.type ?? '', p.actions?.[0]?.action_id ?? ''].filter(Boolean).join(' · ');
}

function parse(text) {
  try { return JSON.parse(text); } catch { return text; }
}

// readable opens what a form carries as JSON in a string.
function readable(args) {
  if (!args) return args;
  return Object.fromEntries(Object.entries(args).map(([k, v]) => [k, typeof v === 'string' && /^[[{]/.test(v) ? parse(v) : v]));
}

function note(n) {
  const w = state.wire;
  const open = w.open.has(n.id);
  const { sign, verb, text, to, status, bad, parts } = what(n);
  const clock = formatDate(new Date(n.at), '{time_secs}', names().tz);
  return h('li', { key: n.id, class: `note-row ${n.kind}` },
    h('button', { type: 'button', 'aria-expanded': open ? 'true' : 'false', onclick: () => change(() => { if (!w.open.delete(n.id)) w.open.add(n.id); }) },
      icon(open ? 'down' : 'right'), h('time', null, clock), h('span', { class: `verb ${n.kind}` }, `${sign} ${verb}`), h('span', { class: 'path', title: `${text} (${to})` }, text),
      status === undefined ? null : h('span', { class: bad ? 'status bad' : 'status' }, status)),
    open ? Object.entries(parts).filter(([, v]) => v !== undefined && v !== null && v !== '').map(([name, v]) =>
      [h('h3', null, name), h('pre', { tabindex: '0' }, h('code', null, typeof v === 'string' ? v : JSON.stringify(v, null, 2)))]) : null);
}
