// The conversation: messages, threads, the Home tab, and the composer.

import { h, icon, once } from './dom.js';
import { attachments, blocks, files } from './blocks.js';
import { menu, ui } from './controls.js';
import { emoji } from './emoji.js';
import { formatDate, mrkdwn } from './mrkdwn.js';
import { act, change, closeThread, form, heroku, markRead, names, openThread, press, search, state, type, watchOf } from './app.js';
import { routed } from './fleet.js';
import { avatar } from './frame.js';

const GROUPED = 5 * 60; // seconds between two messages of one author that stand together

// roomNow is the channel that is open, by what is sent to it.
function roomNow() {
  return state.room === 'dm' ? state.place.dm : state.room;
}

export function conversation() {
  const c = state.place.channels.find((q) => q.id === state.room);
  const bot = names().who(state.place.bot);
  const title = state.room === 'home' ? 'Home' : state.room === 'dm' ? bot?.name ?? 'zdd' : c?.name ?? '';
  const notes = [];
  if (c?.private) notes.push('Private');
  if (c?.shared) notes.push('Shared with another company');
  if (state.room === 'dm') notes.push('Direct messages with the app');
  if (state.room === 'home') notes.push(`What ${bot?.name ?? 'zdd'} shows you when you open it`);
  return h('section', { class: 'talk', id: 'talk', tabindex: '-1', 'aria-label': 'Conversation' },
    h('header', { class: 'pane-head' }, icon(state.room === 'home' ? 'home' : state.room === 'dm' ? 'chat' : c?.private ? 'lock' : 'hash'), h('h2', null, title), notes.length ? h('p', null, notes.join(' · ')) : null),
    state.online || !state.lost || Date.now() - state.lost < 4000 ? null : h('p', { class: 'lost', role: 'alert' }, 'The demo does not answer. Is it still running? This page goes on by itself as soon as it does.'),
    state.room === 'home' ? home() : [messages(), jump(), composer(roomNow(), '')]);
}

// ---- the Home tab

function home() {
  const v = state.home;
  if (!v) {
    const waits = state.online && Date.now() - state.homeAsked < 3000;
    return h('div', { class: 'scroll', key: 'home' }, h('div', { class: 'empty' }, icon('home'),
      h('p', null, waits ? 'Asking the app for your Home tab…' : 'The app has drawn no Home tab for you.')));
  }
  return h('div', { class: 'scroll home', key: 'home', tabindex: '0', role: 'region', 'aria-label': 'Home tab' }, h('div', { class: 'sheet' }, viewBlocks(v, 'home')));
}

// viewBlocks renders a view's blocks.
export function viewBlocks(v, id) {
  const at = { view: v.id, hash: v.hash };
  return blocks(v.blocks, {
    names: names(), at, id: `${id}-${v.id}`, level: 3, form: form(v), errors: v.errors,
    press: (b, el, values, begun) => press(at, b, el, values, begun), search: (b, el, typed) => search(at, b, el, typed),
  });
}

// ---- messages

function dayOf(ts, tz) {
  return new Date(Number(ts) * 1000).toLocaleDateString('en-CA', { timeZone: tz });
}

function messages() {
  const tz = names().tz;
  const list = [...state.messages.values()].filter((m) => m.room === state.room && !(m.thread_ts && m.thread_ts !== m.ts))
    .sort((a, b) => (a.ts < b.ts ? -1 : 1));
  const rows = [];
  let before = null;
  for (const m of list) {
    const day = dayOf(m.ts, tz);
    if (!before || dayOf(before.ts, tz) !== day) {
      rows.push(h('li', { key: `day ${day}`, class: 'day' }, h('span', null, formatDate(new Date(Number(m.ts) * 1000), '{day_divider_pretty}', tz))));
      before = null;
    }
    const close = before && before.user === m.user && !before.ephemeral && !m.ephemeral && Number(m.ts) - Number(before.ts) < GROUPED;
    rows.push(message(m, 'm', close));
    before = m;
  }
  const c = state.place.channels.find((q) => q.id === state.room);
  const intro = h('li', { key: 'intro', class: 'intro' },
    h('h3', null, state.room === 'dm' ? `You and ${names().person(state.place.bot)}` : `#${c?.name ?? ''}`),
    h('p', null, state.room === 'dm' ? ['Write to it as you would to a colleague: ', h('code', null, 'status shop'), ', ', h('code', null, 'enable shop'), ', ', h('code', null, 'help'), '.']
      : list.length ? 'This is where the channel begins.' : ['Nothing was said here yet. Try ', h('code', null, `/zdd status ${state.setup.try || 'shop'}`), ' below.']));
  return h('div', { class: 'scroll', key: `room ${state.room} ${state.me}`, tabindex: '0', role: 'region', 'aria-label': 'Messages', ...sticky(state.room) },
    h('ol', { class: 'messages' }, intro, rows));
}

// jump leads to the newest, where it is out of sight.
function jump() {
  return h('button', { key: 'jump', class: 'btn small jump', type: 'button', onclick: (e) => {
    const el = e.currentTarget.previousElementSibling;
    el.seen = newest(el);
    el.end = true;
    el.focus({ preventScroll: true });
    change();
  } }, icon('arrow'), 'Newest');
}

const rowsOf = (el) => [...el.querySelectorAll('.message')];
const newest = (el) => rowsOf(el).at(-1)?.dataset.ts ?? '';

// sticky keeps the newest in sight for those who look at it, and leaves others where they
// are. Of what is taller than the pane its top is shown, where it says what it is about, and
// so of a watch, which grows while one looks; a thread, which has no room of its own, is read from its beginning.
function sticky(room) {
  const most = (el) => el.scrollHeight - el.clientHeight;
  const follow = (el) => {
    const rows = rowsOf(el);
    const fresh = rows.find((li) => li.dataset.ts > el.seen && li.dataset.mine !== 'yes') ?? (rows.at(-1)?.dataset.watch ? rows.at(-1) : undefined);
    el.put = Math.max(0, Math.min(most(el), fresh ? fresh.offsetTop : Infinity));
    el.scrollTop = el.put;
    if (el.put >= most(el) - 60) el.seen = newest(el);
  };
  return {
    mounted: (el) => { el.seen = (room && rowsOf(el).at(-2)?.dataset.ts) || ''; el.end = true; el.asked = state.asked; },
    drawn: (el) => {
      if (!el.clientHeight) return; // another part of the page is before the person
      if (el.asked !== state.asked) { // who asks looks for the answer, wherever they are
        el.seen = el.asked = state.asked;
        el.due = true;
      }
      if (el.due && newest(el) > el.seen) {
        el.end = true;
        el.due = false;
      }
      if (el.end) {
        follow(el);
        if (!document.hidden && room) markRead(room);
      }
      const below = el.scrollTop < most(el) - 60;
      if (el.end) el.dataset.more = below ? 'yes' : '';
      else if (el.scrollHeight > el.tall) el.dataset.more = 'yes';
      el.tall = el.scrollHeight;
    },
    onscroll: (e) => {
      const el = e.currentTarget;
      if (!el.clientHeight || Math.abs(el.scrollTop - el.put) < 2) return; // not the person's doing
      el.put = undefined;
      el.end = el.scrollTop >= most(el) - 60;
      if (!el.end) return;
      el.seen = newest(el);
      el.dataset.more = '';
      if (room) markRead(room);
    },
  };
}

function message(m, prefix, close) {
  const id = `${prefix}-${m.channel}-${m.ts.replace('.', '-')}`;
  const openHere = ui.open?.id.startsWith(id) ? ui.open : null;
  const busyHere = [...ui.busy].filter((b) => b.startsWith(id)).join();
  // A menu that is open draws itself anew as one moves in it.
  const watched = watchOf(m)?.state === 'running' ? watchOf(m).app : '';
  const deps = [m, close, names(), watched && state.fleet.apps.get(watched), watched && state.fleet.routed[watched], openHere && JSON.stringify([openHere.id, openHere.at, openHere.typed, openHere.note, openHere.options?.length]), busyHere, Math.floor(Date.now() / 20000)];
  return once(`${prefix} ${m.channel}/${m.ts}`, deps, () => drawMessage(m, prefix, close, id));
}

function drawMessage(m, prefix, close, id) {
  const n = names();
  const author = n.who(m.user);
  const bot = m.user === state.place.bot;
  const at = { channel: m.channel, ts: m.ts, seq: m.seq };
  const when = new Date(Number(m.ts) * 1000);
  const context = {
    names: n, at, id, level: 3,
    press: (b, el, values, begun) => press(at, b, el, values, begun), search: (b, el, typed) => search(at, b, el, typed),
  };
  const name = bot ? author?.name ?? 'zdd' : author?.real_name ?? m.user;
  const clock = formatDate(when, '{time}', n.tz);
  const body = [
    deployHere(m),
    m.blocks?.length ? blocks(m.blocks, context) : m.text ? h('div', { class: 'b-text' }, mrkdwn(m.text, n)) : null,
    m.attachments ? attachments(m.attachments, context) : null,
    m.files ? files(m.files) : null,
  ];
  const todo = [];
  if (!m.ephemeral && prefix !== 't') todo.push({ label: 'Reply in thread', run: () => openThread(m) });
  if (!m.ephemeral) for (const s of state.place.shortcuts) todo.push({ label: s.name, detail: 'Message shortcut', run: () => act({ act: 'shortcut', callback: s.callback, channel: m.channel, ts: m.ts }) });
  const blockJSON = m.blocks?.length ? JSON.stringify(m.blocks, null, 2) : '';
  if (blockJSON) todo.push({ label: 'Copy its blocks as JSON', run: () => navigator.clipboard?.writeText(blockJSON) });
  return h('li', { class: `message ${close ? 'close' : ''} ${m.ephemeral ? 'only' : ''} ${m.rings ? 'rings' : ''}`, tabindex: '-1', 'data-ts': m.ts, 'data-watch': watchOf(m)?.app, 'data-mine': m.user === state.me ? 'yes' : null, 'data-user': author?.name ?? m.user },
    h('article', { 'aria-label': `${name}, ${clock}${m.ephemeral ? ', only visible to you' : ''}` },
      close ? h('span', { class: 'gutter', 'aria-hidden': 'true' }, clock) : avatar(m.user, name, bot),
      h('div', { class: 'body' },
        m.ephemeral ? h('p', { class: 'onlyyou' }, icon('eye'), 'Only visible to you') : null,
        close ? null : h('p', { class: 'who' }, h('strong', null, name), author?.bot ? h('span', { class: 'apptag' }, 'app') : null,
          author?.guest ? h('span', { class: 'apptag' }, 'guest') : null,
          h('time', { datetime: when.toISOString(), title: when.toLocaleString('en', { timeZone: n.tz, dateStyle: 'full', timeStyle: 'medium' }) }, clock),
          m.edited ? h('span', { class: 'edited' }, '(edited)') : null),
        body,
        m.reactions?.length ? h('p', { class: 'reactions' }, m.reactions.map((r) => h('span', null, emoji(`:${r.name}:`), ' ', r.count))) : null,
        m.reply_count && prefix === 'm' ? h('button', { class: 'replies', type: 'button', onclick: () => openThread(m) },
          icon('reply'), `${m.reply_count} ${m.reply_count === 1 ? 'reply' : 'replies'}`) : null),
      todo.length ? h('div', { class: 'hover' }, menu({ id: `${id}-do`, label: 'More for this message', kind: 'btn square small', items: todo })) : null));
}

// deployHere is the demo's own hand beside a watch that runs: what is watched has to be
// deployed by somebody.
function deployHere(m) {
  const w = watchOf(m);
  const a = w?.state === 'running' ? state.fleet.apps.get(w.app) : null;
  if (!a) return null;
  const busy = a.deploying ? 'is being released' : a.handover ? 'is being handed over' : '';
  return h('div', { class: 'here', role: 'group', 'aria-label': `Heroku’s side of ${a.name}` },
    h('p', null, h('strong', null, 'At Heroku'), busy ? ` v${a.release} ${busy}.` : ` v${a.release} of ${a.name} runs${a.preboot ? ', with preboot' : ', without preboot'}.`),
    routed(a.name),
    h('button', { class: `btn small ${w.deployed ? '' : 'primary'}`, type: 'button', 'data-do': `deploy ${a.name}`, disabled: Boolean(busy) || null, onclick: () => heroku(`deploy ${a.name}`) }, `Deploy ${a.name}${w.deployed && !busy ? ' again' : ''}`));
}

// ---- threads

export function thread() {
  const t = state.thread;
  const root = state.messages.get(`${t.channel}/${t.ts}`);
  const replies = [...state.messages.values()].filter((m) => m.channel === t.channel && m.thread_ts === t.ts && m.ts !== t.ts).sort((a, b) => (a.ts < b.ts ? -1 : 1));
  const c = state.place.channels.find((q) => q.id === t.channel);
  return [
    h('header', { class: 'pane-head sub' }, h('h2', null, 'Thread'), h('p', null, c ? `#${c.name}` : 'Direct messages'),
      h('button', { class: 'btn square quiet', type: 'button', 'aria-label': 'Close the thread', title: 'Close', onclick: closeThread }, icon('close'))),
    h('div', { class: 'scroll', key: `thread ${t.ts}`, tabindex: '0', role: 'region', 'aria-label': 'Thread', ...sticky('') },
      h('ol', { class: 'messages' }, root ? message(root, 't', false) : h('li', { class: 'intro' }, h('p', null, 'The message was deleted.')),
        replies.length ? h('li', { key: 'count', class: 'day' }, h('span', null, `${replies.length} ${replies.length === 1 ? 'reply' : 'replies'}`)) : null,
        replies.map((m) => message(m, 't', false)))),
    root ? composer(t.channel, t.ts) : null,
  ];
}

// ---- the composer

// offers are what may come next for what was typed: commands, then the names of apps.
function offers(text, inThread) {
  if (inThread || !text.startsWith('/')) return [];
  const usage = state.setup.commands;
  const low = text.toLowerCase();
  const verb = /^(\/\S+\s+\S+)\s+(\S*)$/.exec(text);
  if (verb) {
    const known = usage.find((c) => c.usage.toLowerCase().startsWith(verb[1].toLowerCase()) && /<app>|\bAPP\b|app/.test(c.usage.slice(verb[1].length)));
    if (!known) return [];
    const apps = state.fleet.world?.apps ?? [];
    const want = verb[2].toLowerCase();
    const rank = (name) => (name.startsWith(want) ? 0 : name.includes(want) ? 1 : 2);
    return apps.filter((a) => rank(a) < 2 && a !== want).sort((a, b) => rank(a) - rank(b)).slice(0, 8).map((a) => ({ full: `${verb[1]} ${a}`, label: a, detail: '' }));
  }
  return usage.filter((c) => c.usage.toLowerCase().startsWith(low) || low.length < 2).slice(0, 12)
    .map((c) => ({ full: c.usage.replace(/\s*[<[(|].*$/, '') + (/[<[(]/.test(c.usage) ? ' ' : ''), label: c.usage, detail: c.summary })).filter((o) => o.full.trim() !== text.trim() || o.full !== text);
}

function composer(channel, ts) {
  const key = `${state.me} ${channel} ${ts}`;
  const id = ts ? 'thread-composer' : 'composer';
  const c = state.place.channels.find((q) => q.id === channel);
  const draft = state.drafts[key] ?? '';
  const where = ts ? 'Reply' : c ? `Message #${c.name}` : 'Message zdd';
  const open = ui.open?.id === id ? ui.open : null;
  const list = open ? offers(draft, Boolean(ts)) : [];
  const at = open ? Math.min(open.at, list.length - 1) : -1;

  const enter = (text) => change(() => {
    state.drafts[key] = text;
    ui.open = offers(text, Boolean(ts)).length ? { id, at: -1 } : ui.open?.id === id ? null : ui.open;
  });
  const take = (o) => {
    const box = document.getElementById(id);
    box.value = o.full; // at once, for those who type on before the page is drawn again
    enter(o.full);
    box.focus();
  };
  const send = async () => {
    const text = (state.drafts[key] ?? '').trim();
    if (!text) return;
    document.getElementById(id).value = ''; // at once: it may be sent before it was drawn
    change(() => { state.drafts[key] = ''; ui.open = null; state.sent[state.me] = text; });
    const said = await type(channel, ts, text);
    if (!said) change(() => { state.drafts[key] ||= text; });
  };
  const keys = (e) => {
    if (e.isComposing) return;
    if (list.length && (e.key === 'ArrowDown' || e.key === 'ArrowUp')) {
      e.preventDefault();
      const n = list.length;
      change(() => { open.at = e.key === 'ArrowDown' ? (at + 1) % n : (Math.max(at, 0) - 1 + n) % n; });
    } else if (list.length && e.key === 'Tab' && !e.shiftKey && draft.trim().length > 1) {
      e.preventDefault();
      take(list[Math.max(at, 0)]);
    } else if (e.key === 'Enter' && !e.shiftKey) {
      e.preventDefault();
      if (at >= 0) take(list[at]);
      else send();
    } else if (e.key === 'ArrowUp' && !draft && state.sent[state.me]) {
      e.preventDefault(); // what was sent last, as a terminal does
      change(() => { state.drafts[key] = state.sent[state.me]; });
    } else if (e.key === 'Escape' && open) {
      e.preventDefault();
      change(() => { ui.open = null; });
    }
  };
  return h('form', { class: 'composer', key: `composer ${channel} ${ts}`, onsubmit: (e) => { e.preventDefault(); send(); } },
    list.length ? h('div', { class: 'offers', id: `${id}-list`, role: 'listbox', 'aria-label': 'Suggestions', onmousedown: (e) => e.preventDefault() },
      list.map((o, i) => h('div', {
        key: o.full, id: `${id}-o${i}`, role: 'option', 'aria-selected': i === at ? 'true' : 'false', class: `option ${i === at ? 'at' : ''}`, onclick: () => take(o),
        drawn: i === at ? (el) => el.scrollIntoView({ block: 'nearest' }) : null,
      }, h('span', null, o.label), o.detail ? h('small', null, o.detail) : null))) : null,
    h('label', { class: 'hidden', for: id }, where),
    h('textarea', {
      id, rows: '1', placeholder: ts ? 'Reply…' : `${where}, or type /zdd`, value: draft, autocomplete: 'off', spellcheck: 'false',
      'aria-autocomplete': 'list', 'aria-haspopup': 'listbox', 'aria-controls': list.length ? `${id}-list` : null,
      'aria-activedescendant': at >= 0 ? `${id}-o${at}` : null,
      oninput: (e) => enter(e.target.value), onkeydown: keys, onfocus: (e) => enter(e.target.value),
      onblur: () => setTimeout(() => { if (ui.open?.id === id) change(() => { ui.open = null; }); }, 120),
      drawn: (el) => { el.style.setProperty('height', 'auto'); el.style.setProperty('height', `${Math.min(el.scrollHeight, 160)}px`); },
    }),
    h('button', { class: 'btn square primary', type: 'submit', 'aria-label': 'Send', title: 'Send', disabled: draft.trim() ? null : true }, icon('send')));
}
