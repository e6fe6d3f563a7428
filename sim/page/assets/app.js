// What the page knows, how it hears of changes, and what a person can do. Everything on the
// page is drawn from state; change() is the one way to have it drawn again.

import { ui } from './controls.js';

export const state = {
  setup: { people: [], commands: [], try: '' },
  person: '', // the script name of who one is
  me: '', // their id
  boot: '', // tells this demo from the one before
  place: null, // people, channels and what else is around
  messages: new Map(), // by channel/ts, in order
  home: null, modals: [],
  online: false, // the stream is open
  room: '', // a channel's id, or "home"
  thread: null, // {channel, ts}
  pane: 'fleet', // fleet, thread or wire
  look: 'talk', // which of rooms, talk and side is shown where there is room for one
  land: '', // the id of what gets the focus once it is drawn
  homeAsked: 0, // when the Home tab was last asked for
  read: {}, // by person: by channel, the newest ts that was read
  drafts: {},
  sent: {}, // by person: what they typed last
  lost: 0, // since when the stream is gone
  forms: {}, // by view: by block: by action: values
  toasts: [],
  confirm: null, // a question before something is done
  sending: null, // the view that is being submitted
  asked: '', // the newest message when the person last asked for something
  fleet: { world: null, apps: new Map(), routed: {}, open: new Set(), touched: new Map(), filter: '', online: false, busy: new Set() },
  wire: { notes: [], open: new Set(), only: 'all', seen: new Set() },
  guide: { done: {}, begun: false, hidden: false, broken: null }, // broken: {app, since}
  theme: '',
};

let later = 0;
let paint = () => {};

// onDraw says what draws the page.
export function onDraw(f) {
  paint = f;
  ui.again = change;
}

// change has the page drawn again, once for however many changes there are in a moment.
export function change(f) {
  if (typeof f === 'function') f(state);
  if (later) return;
  const run = () => { later = 0; paint(); };
  later = document.hidden ? setTimeout(run, 50) : requestAnimationFrame(run);
}

// ---- keeping

function keep(where, name, value) {
  try { where.setItem(name, JSON.stringify(value)); } catch { /* private windows keep nothing */ }
}

function kept(where, name) {
  try { return JSON.parse(where.getItem(name)); } catch { return null; }
}

const forBoot = (name) => `zdd ${state.boot} ${name}`;

// recall brings back what this browser knows of this demo.
function recall() {
  state.read = kept(localStorage, forBoot('read')) ?? {};
  state.guide = kept(localStorage, forBoot('guide')) ?? { done: {}, begun: false, hidden: false };
  for (const name of Object.keys(localStorage)) { // those of demos before
    if (name.startsWith('zdd ') && !name.startsWith(`zdd ${state.boot} `) && name !== 'zdd theme') localStorage.removeItem(name);
  }
}

export function setTheme(theme) {
  state.theme = theme;
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  keep(localStorage, 'zdd theme', theme);
  change();
}

// ---- where one looks

// Narrow is where the conversation and what stands beside it take turns; slim is where the
// list of rooms does too. page.css has the same numbers.
const NARROW = matchMedia('(max-width: 1023px)');
const SLIM = matchMedia('(max-width: 699px)');

export const slim = () => SLIM.matches;

// turn has another part of the page shown where there is room for one. Land is the id of
// what then gets the focus: whoever stood in what is hidden now would stand nowhere.
export function turn(look, land) {
  change(() => {
    state.look = look;
    if (land && NARROW.matches) state.land = land;
  });
}

// inSight tells whether the person has a room before them.
export function inSight(room) {
  return room === state.room && (!NARROW.matches || state.look === 'talk');
}

// ---- names

let namesOf = { place: null, value: null };

// names is who and what ids mean to the person.
export function names() {
  if (namesOf.place === state.place && namesOf.value?.me === state.me) return namesOf.value;
  const p = state.place;
  const people = new Map(p.people.map((q) => [q.id, q]));
  const channels = new Map(p.channels.map((c) => [c.id, c]));
  const groups = new Map(p.groups.map((g) => [g.id, g]));
  const value = {
    me: state.me,
    tz: people.get(state.me)?.tz ?? 'UTC',
    people: p.people, channels: p.channels,
    who: (id) => people.get(id),
    person: (id, label) => {
      const q = people.get(id);
      return q ? (q.bot ? q.name : q.real_name) : label || id;
    },
    channel: (id, label) => channels.get(id)?.name ?? (label || 'private-channel'),
    group: (id, label) => groups.get(id)?.handle ?? (label || id),
    mine: (id) => groups.get(id)?.mine ?? false,
  };
  namesOf = { place: p, value };
  return value;
}

// firstName is what people call somebody.
export function firstName(id) {
  const p = state.place?.people.find((q) => q.id === id || q.name === id);
  return p ? p.real_name.split(' ')[0] : id;
}

// ---- streams

// A browser opens six connections to one host, in all of its windows. So a page has two
// streams, asks for the wire on them only while somebody looks at it, and lets go of both
// while nobody looks at the page at all.
const HIDDEN = 15000; // ms
const wired = () => (state.pane === 'wire' ? '?wire' : '');
let source = null;
let fleetSource = null;

// become opens the page of a person.
export function become(person) {
  if (state.person !== person) hush();
  state.person = person;
  state.online = false;
  ui.open = null;
  state.confirm = null;
  keep(sessionStorage, 'zdd person', person);
  listen();
  change();
}

// listen opens the person's stream anew.
function listen() {
  source?.close();
  const mine = (source = new EventSource(`/slack/_control/page/${encodeURIComponent(state.person)}${wired()}`));
  const on = (kind, f) => mine.addEventListener(kind, (e) => { if (mine === source) { f(JSON.parse(e.data)); change(); } });
  mine.onopen = () => change(() => { if (mine === source) { state.online = true; state.lost = 0; } });
  mine.onerror = () => change(() => {
    if (mine !== source) return;
    state.online = false;
    state.lost ||= Date.now();
    setTimeout(change, 4100);
  });
  on('snapshot', snapshot);
  on('place', (p) => { state.place = p; });
  on('views', setViews);
  on('message', (m) => { put(m); heard(m); });
  on('gone', (m) => { state.messages.delete(`${m.channel}/${m.ts}`); });
  on('notice', (n) => toast({ kind: n.kind === 'timeout' ? 'wrong' : 'plain', title: n.kind === 'timeout' ? 'zdd did not answer' : 'Slack tells you', text: n.text }));
  on('elsewhere', elsewhere);
  on('note', (n) => passed('slack', n.seq, n));
}

function snapshot(s) {
  const before = state.me;
  const again = state.boot === s.boot;
  state.boot = s.boot;
  if (!again) recall();
  state.me = s.me;
  state.place = s.place;
  state.messages = new Map();
  for (const m of s.messages) put(m);
  setViews(s.views);
  state.online = true;
  const rooms = s.place.channels.filter((c) => c.member && !c.archived);
  const here = state.room === 'home' || state.room === 'dm' || rooms.some((c) => c.id === state.room);
  if (!here) state.room = rooms[0]?.id ?? 'dm';
  if (before && before !== s.me) state.homeAsked = 0;
  if (state.thread && !state.messages.has(`${state.thread.channel}/${state.thread.ts}`)) closeThread();
  if (state.room === 'home' && !state.homeAsked) openHome();
}

function setViews(v) {
  const top = state.modals.at(-1);
  state.home = v.home;
  state.modals = v.modals;
  const now = v.modals.at(-1);
  if (now?.hash !== top?.hash || now?.errors) state.sending = null;
  const alive = new Set([...v.modals.map((m) => m.id), v.home?.id]);
  for (const id of Object.keys(state.forms)) if (!alive.has(id)) delete state.forms[id];
}

function put(m) {
  const key = `${m.channel}/${m.ts}`;
  m.room = m.channel.startsWith('D') ? 'dm' : m.channel;
  if (!state.guide.begun) {
    state.guide.begun = true;
    keep(localStorage, forBoot('guide'), state.guide);
  }
  state.messages.set(key, m);
  took(m);
}

// heard announces a new message to those who do not see it come.
function heard(m) {
  if (m.edited || m.user === state.me) return;
  if (m.room === state.room && !(m.thread_ts && m.thread_ts !== m.ts)) {
    say(`${m.user === state.place.bot ? 'zdd' : firstName(m.user)}${m.ephemeral ? ', only to you' : ''}: ${m.text.slice(0, 200)}`);
  }
}

let saying = 0;

// say puts words into the region that screen readers read out.
export function say(words) {
  const region = document.getElementById('polite');
  clearTimeout(saying);
  region.textContent = '';
  saying = setTimeout(() => { region.textContent = words.replace(/<[^>]*>/g, '').replace(/[*_~`]/g, ''); }, 30);
}

// hush takes away what was told to one person before another looks.
function hush() {
  clearTimeout(saying);
  document.getElementById('polite').textContent = '';
  state.toasts = [];
}

// called puts the names that people read in place of those that scripts use.
function called(text) {
  return text.replace(/@([a-z0-9._-]+)/g, (all, name) => {
    const p = state.place.people.find((q) => q.name === name);
    return p && !p.bot ? `@${p.real_name}` : all;
  });
}

// elsewhere tells that somebody else is rung.
function elsewhere(e) {
  const playable = state.setup.people.map((p) => p.name);
  const others = e.to.map((id) => state.place.people.find((p) => p.id === id)).filter((p) => p && p.id !== state.me);
  const first = others.find((p) => playable.includes(p.name));
  if (!others.length || !first) return;
  const who = others.map((p) => firstName(p.id));
  const list = who.length > 2 ? `${who[0]} and ${who.length - 1} others` : who.join(' and ');
  const direct = e.channel.startsWith('D');
  toast({
    kind: 'ring', title: direct ? `${list} has a direct message` : `${list} ${who.length > 1 ? 'are' : 'is'} mentioned in #${e.channel_name}`, text: called(e.text),
    action: { label: `Be ${firstName(first.id)}`, run: () => { state.room = direct ? 'dm' : e.channel; become(first.name); } },
  });
}

// ---- toasts

let toastCount = 0;

export function toast(t) {
  if (state.toasts.some((o) => o.title === t.title && o.text === t.text)) return;
  const id = ++toastCount;
  state.toasts = [...state.toasts, { ...t, id }].slice(-4);
  const wait = t.kind === 'wrong' ? 15000 : 9000;
  const expire = () => {
    if (document.querySelector(`[data-toast="${id}"]:is(:hover, :focus-within)`)) setTimeout(expire, 2000);
    else dismiss(id);
  };
  setTimeout(expire, wait);
  change();
}

export function dismiss(id) {
  state.toasts = state.toasts.filter((t) => t.id !== id);
  change();
}

// ---- acts

async function post(path, body) {
  let res;
  try {
    res = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  } catch {
    throw new Error('The demo does not answer. Is it still running?');
  }
  const kind = res.headers.get('Content-Type') ?? '';
  const said = kind.startsWith('application/json') ? await res.json() : { error: (await res.text()).trim() };
  if (!res.ok) throw new Error(upper(said.error || `The demo answered ${res.status}.`));
  return said;
}

const upper = (s) => s.charAt(0).toUpperCase() + s.slice(1) + (/[.!?]$/.test(s) ? '' : '.');

// act does something as the person; what goes wrong is told them.
export async function act(what) {
  if (what.act === 'type' || what.act === 'press' || what.act === 'shortcut') state.asked = newest();
  try {
    return await post(`/slack/_control/page/${encodeURIComponent(state.person)}/act`, what);
  } catch (e) {
    toast({ kind: 'wrong', title: 'That did not work', text: e.message });
    return null;
  }
}

export function type(channel, thread, text) {
  return act({ act: 'type', channel, thread: thread ?? '', text });
}

// press tells the app of a button or a choice, after the question that comes before it.
// Begun is called once it is told.
export function press(at, block, el, values, begun) {
  const go = () => {
    begun?.();
    const what = { act: 'press', ...at, block_id: block.block_id, action_id: el.action_id, values };
    if (at.view) what.state = state.forms[at.view] ?? {};
    return act(what);
  };
  if (!el.confirm) return go();
  return new Promise((done) => {
    change(() => {
      state.confirm = { ...el.confirm, run: async () => done(await go()), drop: () => done(null) };
    });
  });
}

export async function search(at, block, el, text) {
  const what = { act: 'suggest', ...at, block_id: block.block_id, action_id: el.action_id, text };
  if (at.view) what.state = state.forms[at.view] ?? {};
  return post(`/slack/_control/page/${encodeURIComponent(state.person)}/act`, what);
}

// form is what a person has entered into a view so far.
export function form(view) {
  const server = view.state?.values ?? {};
  return {
    value: (block, el) => state.forms[view.id]?.[block.block_id]?.[el.action_id] ?? entered(server[block.block_id]?.[el.action_id]),
    enter: (block, el, values) => {
      const blocks = (state.forms[view.id] ??= {});
      (blocks[block.block_id] ??= {})[el.action_id] = values;
      change();
    },
  };
}

// entered reads a value of view.state; undefined where the view has none.
function entered(v) {
  if (!v) return undefined;
  if (v.selected_options) return v.selected_options.map((o) => o.value);
  const one = v.selected_option?.value ?? v.selected_date ?? v.selected_time ?? v.selected_user ?? v.selected_channel ?? v.selected_conversation ?? v.value;
  return one === undefined || one === null ? [] : [String(one)];
}

export async function submit(view, missing) {
  if (missing.length) {
    change(() => { view.errors = Object.fromEntries(missing.map((id) => [id, 'Please complete this required field.'])); });
    return;
  }
  change(() => { state.sending = view.id; view.errors = undefined; });
  const said = await act({ act: 'submit', view: view.id, state: state.forms[view.id] ?? {} });
  setTimeout(() => change(() => { if (state.sending === view.id) state.sending = null; }), said ? 3500 : 0);
}

export function closeView(view) {
  change(() => { state.modals = state.modals.filter((v) => v.id !== view.id); });
  act({ act: 'close', view: view.id });
}

export function openHome() {
  state.homeAsked = Date.now();
  act({ act: 'home' });
  setTimeout(change, 3200);
}

export function goTo(room) {
  turn('talk', 'talk');
  state.room = room;
  if (room === 'home') openHome();
}

export function openThread(m) {
  change(() => {
    state.thread = { channel: m.channel, ts: m.thread_ts ?? m.ts };
    state.pane = 'thread';
  });
  turn('side', 'side');
}

export function closeThread() {
  state.thread = null;
  if (state.pane !== 'thread') return;
  state.pane = 'fleet';
  turn('talk', 'talk');
}

// ---- reading

// unread counts what is new in a room, and how much of it rings the person.
export function unread(room) {
  const until = state.read[state.me]?.[room] ?? '';
  let fresh = 0;
  let rings = 0;
  for (const m of state.messages.values()) {
    if (m.room !== room || m.ts <= until || m.user === state.me) continue;
    fresh++;
    if (m.rings) rings++;
  }
  return { fresh, rings };
}

// markRead notes that the person has seen a room to its end.
export function markRead(room) {
  let newest = '';
  for (const m of state.messages.values()) if (m.room === room && m.ts > newest) newest = m.ts;
  const mine = (state.read[state.me] ??= {});
  if (!newest || mine[room] === newest) return;
  mine[room] = newest;
  keep(localStorage, forBoot('read'), state.read);
  change();
}

// ---- the guide

// headline is what a message of the app's begins with.
export const headline = (m) => m.blocks?.find((b) => b.type === 'header')?.text.text ?? '';

// took ticks off what a message shows to have happened: an app was looked at, a ticket that
// two people agreed on is done, what was broken is told of, a deploy was proved.
function took(m) {
  if (m.user !== state.place?.bot) return;
  const { broken } = state.guide;
  const head = headline(m);
  if (/^\S+: /.test(head)) tick('status');
  if (/^T-\d+ .*: done\b/.test(head)) tick('approve');
  if (watchOf(m)?.state === 'proved') tick('watch');
  const told = m.thread_ts && state.messages.get(`${m.channel}/${m.thread_ts}`);
  if (told && watchOf(told)) return; // a verdict, once more
  if (broken && !m.ephemeral && m.room !== 'dm' && m.ts > broken.since && !/^([TD]-\d+ |\S+: )/.test(head) && JSON.stringify(m.blocks ?? '').includes(broken.app)) tick('night');
}

// watchOf is the watch of a deploy that a message of the app's is about: of which app, how it
// stands, and whether a release was made since. Null: of none.
export function watchOf(m) {
  if (m.user !== state.place?.bot || !m.blocks) return null;
  const [, app, said] = /^D-\d+ · (\S+): (?:v\d+ )?(a watch begins|watching|proved|failed|inconclusive)/.exec(headline(m)) ?? [];
  if (!app) return null;
  const released = Date.parse(state.fleet.apps.get(app)?.released ?? '');
  return { app, state: said === 'a watch begins' ? 'begins' : said === 'watching' ? 'running' : said, deployed: released >= Math.floor(Number(m.ts)) * 1000 };
}

function tick(step) {
  if (state.guide.done[step]) return;
  state.guide.done[step] = true;
  keep(localStorage, forBoot('guide'), state.guide);
  change();
}

// newest is the ts of the newest message that the person has.
const newest = () => [...state.messages.values()].reduce((last, m) => (m.ts > last ? m.ts : last), '');

// spoils notes that an app is to lose, or to have again, what makes it ready.
function spoils(line) {
  const [, name, to] = /^set (\S+) preboot=(on|off)$/.exec(line) ?? [];
  const app = state.fleet.apps.get(name);
  if (to === 'off' && app?.preboot && app.affinity) state.guide.broken = { app: name, since: newest() };
  else if (to === 'on' && state.guide.broken?.app === name) state.guide.broken = null;
  else return;
  state.asked = newest();
  keep(localStorage, forBoot('guide'), state.guide);
}

export function hideGuide(hidden) {
  state.guide.hidden = hidden;
  keep(localStorage, forBoot('guide'), state.guide);
  change();
}

// ---- Heroku

export async function heroku(line) {
  spoils(line);
  try {
    const res = await fetch('/heroku/_control/do', { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: line });
    const text = (await res.text()).trim();
    if (!res.ok) throw new Error(upper(text.split('\n')[0]));
    return text;
  } catch (e) {
    toast({ kind: 'wrong', title: 'Heroku did not do that', text: e instanceof TypeError ? 'The demo does not answer. Is it still running?' : e.message });
    return null;
  }
}

export async function demand(verb) {
  state.asked = newest();
  try {
    await post('/do', { verb });
    return true;
  } catch (e) {
    toast({ kind: 'wrong', title: 'That did not work', text: e.message });
    return false;
  }
}

function watchFleet() {
  fleetSource?.close();
  const s = (fleetSource = new EventSource(`/heroku/_control/live${wired()}`));
  let first = true;
  s.onopen = () => change(() => { state.fleet.online = true; state.fleet.routed = {}; first = true; });
  s.onerror = () => change(() => { state.fleet.online = false; });
  s.addEventListener('world', (e) => change(() => {
    state.fleet.world = JSON.parse(e.data);
    const alive = new Set(state.fleet.world.apps);
    for (const name of state.fleet.apps.keys()) if (!alive.has(name)) state.fleet.apps.delete(name);
  }));
  s.addEventListener('apps', (e) => change(() => {
    for (const app of JSON.parse(e.data)) {
      const before = state.fleet.apps.get(app.name);
      state.fleet.apps.set(app.name, app);
      if (first || !before) continue;
      state.fleet.touched.set(app.name, Date.now());
    }
    first = false;
  }));
  s.addEventListener('routed', (e) => change(() => { state.fleet.routed = JSON.parse(e.data); }));
  s.addEventListener('call', (e) => change(() => passed('heroku', e.lastEventId, JSON.parse(e.data))));
}

// rewire opens the streams anew, with the wire or without.
export function rewire() {
  listen();
  watchFleet();
}

// passed notes what passed between the bot and a service.
function passed(from, n, note) {
  const id = `${from} ${n}`;
  if (state.wire.seen.has(id)) return;
  state.wire.seen.add(id);
  state.wire.notes = [...state.wire.notes, { ...note, from, id, kind: from === 'heroku' ? 'heroku' : note.kind }]
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at)).slice(-500);
}

let rest = 0;

function sleepAndWake() {
  clearTimeout(rest);
  if (document.hidden) {
    rest = setTimeout(() => { source.close(); fleetSource.close(); source = fleetSource = null; }, HIDDEN);
  } else if (!source) rewire();
}

// ---- start

export async function start() {
  setTheme(kept(localStorage, 'zdd theme') ?? '');
  const res = await fetch('/setup.json');
  state.setup = await res.json();
  const wanted = kept(sessionStorage, 'zdd person');
  become(state.setup.people.some((p) => p.name === wanted) ? wanted : state.setup.people[0].name);
  watchFleet();
  document.addEventListener('visibilitychange', sleepAndWake);
  setInterval(change, 20000); // "2 minutes ago" goes on
  addEventListener('resize', change);
}
