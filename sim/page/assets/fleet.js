// The Heroku dashboard: each app with its dynos, features, price and release, and what one
// can do to it behind the bot's back; and how well Heroku's API answers.

import { h, icon } from './dom.js';
import { ago } from './mrkdwn.js';
import { change, demand, goTo, heroku, state } from './app.js';

const TOUCHED = 6000; // ms for which a card says that it has changed
const SLOW = '3s';
const MOST = 150; // cards at once: nobody scrolls through more, and each is drawn anew as it changes

// money is cents a month in dollars.
function money(cents) {
  if (cents === null || cents === undefined) return 'price unknown';
  return `$${(cents / 100).toLocaleString('en-US', { minimumFractionDigits: cents % 100 ? 2 : 0, maximumFractionDigits: 2 })}`;
}

export function fleet() {
  const f = state.fleet;
  if (!f.world) return h('div', { class: 'empty' }, h('p', null, 'Looking at Heroku…'));
  const all = f.world.apps.map((name) => f.apps.get(name)).filter(Boolean);
  const want = f.filter.trim().toLowerCase();
  const fits = all.filter((a) => !want || a.name.includes(want) || a.team.includes(want) || a.stage.includes(want));
  const fresh = (a) => Date.now() - (f.touched.get(a.name) ?? 0) < TOUCHED;
  const sum = all.reduce((s, a) => s + (a.cents ?? 0), 0);
  return [
    h('h2', { class: 'hidden' }, 'Heroku'),
    h('div', { class: 'fleet-head' },
      h('p', null, h('strong', null, `${all.length} apps`), `, ${money(sum)} a month`, f.online ? null : h('span', { class: 'warn' }, ' · reconnecting…')),
      mood(f.world),
      h('div', { class: 'fleet-tools' },
        h('label', { class: 'find' }, icon('search'), h('span', { class: 'hidden' }, 'Find an app'),
          h('input', { type: 'search', class: 'text', placeholder: 'Find an app', value: f.filter, oninput: (e) => change(() => { f.filter = e.target.value; }) })),
        h('button', { class: 'btn', type: 'button', 'data-do': 'night', title: 'The bot reads the whole fleet and posts its digest, as it does each night', onclick: night }, icon('night'), 'Night now'))),
    h('div', { class: 'scroll', key: 'fleet', tabindex: '0', role: 'region', 'aria-label': 'Apps' },
      h('ul', { class: 'apps' }, fits.slice(0, MOST).map((a) => card(a, fresh(a)))),
      fits.length > MOST ? h('p', { class: 'more' }, `And ${(fits.length - MOST).toLocaleString('en-US')} more. Find an app by its name, team or stage.`) : null,
      fits.length ? null : h('div', { class: 'empty' }, h('p', null, all.length ? `No app is called “${f.filter}”.` : 'There are no apps.'))),
  ];
}

async function night() {
  const ops = state.place.channels.find((c) => c.name === 'ops' && c.member);
  if (await demand('night') && ops) goTo(ops.id);
}

// mood is how Heroku's API answers: well, slowly, or not at all.
function mood(world) {
  const slow = world.latency !== '0s';
  const down = world.faults.length > 0;
  const now = down ? 'failing' : slow ? 'slow' : 'well';
  const choose = async (to) => {
    await heroku('faults clear');
    await heroku(`latency ${to === 'slow' ? SLOW : 'off'}`);
    if (to === 'failing') await heroku('fault * /** 503json');
  };
  const option = (value, label, title) => h('label', { class: now === value ? 'on' : '', title },
    h('input', { type: 'radio', name: 'mood', value, checked: now === value, onchange: () => choose(value) }), label);
  return h('fieldset', { class: 'mood' }, h('legend', null, 'Heroku’s API'),
    option('well', 'Well', 'It answers at once'), option('slow', 'Slow', 'Each call takes three seconds'), option('failing', 'Failing', 'Each call is answered 503'));
}

const ACCESS = { 'forbidden': 'no access', 'two-factor': 'second factor', 'suspended': 'suspended', 'delinquent': 'unpaid' };

function card(a, fresh) {
  const f = state.fleet;
  const open = f.open.has(a.name);
  const web = a.procs.find((p) => p.type === 'web');
  const toggle = () => change(() => { if (!f.open.delete(a.name)) f.open.add(a.name); });
  const where = [a.space ? `${a.space} space` : a.team || 'personal', a.stage].filter(Boolean).join(' · ');
  const id = `app-${a.name}`;
  return h('li', { key: a.name, class: `app ${open ? 'open' : ''} ${fresh ? 'fresh' : ''}`, 'data-app': a.name },
    h('h3', null, h('button', { type: 'button', class: 'app-head', 'aria-expanded': open ? 'true' : 'false', 'aria-controls': id, onclick: toggle },
      icon(open ? 'down' : 'right'), h('span', { class: 'app-name', title: a.name }, a.name),
      dots(a),
      h('span', { class: 'app-price' }, money(a.cents)))),
    h('p', { class: 'app-facts' },
      h('span', null, web ? `${web.quantity} × ${web.size}` : a.procs.length ? 'no web' : 'never released'),
      h('span', { class: a.affinity ? 'on' : 'off' }, icon(a.affinity ? 'check' : 'close'), 'affinity', h('span', { class: 'hidden' }, a.affinity ? ' on' : ' off')),
      h('span', { class: a.preboot ? 'on' : 'off' }, icon(a.preboot ? 'check' : 'close'), 'preboot', h('span', { class: 'hidden' }, a.preboot ? ' on' : ' off')),
      condition(a), a.scaler ? h('span', { class: 'chip warn' }, `scales ${a.scaler}`) : null),
    routed(a.name),
    open ? h('div', { class: 'app-more', id },
      h('dl', null,
        h('dt', null, 'Where'), h('dd', null, where),
        h('dt', null, 'Dynos'), h('dd', null, dynos(a)),
        h('dt', null, 'Release'), h('dd', null, a.release ? `v${a.release}` : 'none', a.released ? `, ${ago(new Date(a.released))}` : '', a.description ? h('span', { class: 'soft' }, ` · ${a.description}`) : null),
        a.url ? [h('dt', null, 'Page'), h('dd', null, h('a', { href: a.url, target: '_blank', rel: 'noopener noreferrer' }, 'Open it', h('span', { class: 'hidden' }, ` (${a.name}, in a new window)`)))] : null,
        h('dt', null, 'Price'), h('dd', null, money(a.cents), a.cents === null ? '' : ' a month', a.procs.length > 1 ? h('span', { class: 'soft' }, ` · ${a.procs.map((p) => `${p.type} ${p.quantity} × ${p.size}`).join(', ')}`) : null),
        a.scaler ? [h('dt', null, 'Autoscaler'), h('dd', null, `${a.native ? 'Heroku’s own' : 'an add-on’s'}, ${a.scaler} web dynos`)] : null,
        a.handover ? [h('dt', null, 'Hand-over'), h('dd', null, `old dynos serve too, until ${ago(new Date(a.handover)).replace(/^in /, '')} from now`)] : null),
      deeds(a, web)) : null);
}

// routed is what the router answered to those who asked for an app in the last minute.
export function routed(name) {
  const r = state.fleet.routed[name];
  if (!r) return null;
  const most = Math.max(...r.cells.map(([ok, failed]) => ok + failed));
  const high = 16;
  const tall = (n) => (n ? Math.max(2, (n / most) * high) : 0);
  return h('p', { class: 'routed' },
    h('svg', { viewBox: `0 0 ${r.cells.length * 4} ${high}`, 'aria-hidden': 'true', focusable: 'false' }, r.cells.map(([ok, failed], i) => [
      h('rect', { key: `bad ${i}`, class: 'bad', x: i * 4, width: 3, y: high - tall(failed), height: tall(failed) }),
      h('rect', { key: `ok ${i}`, class: 'ok', x: i * 4, width: 3, y: high - tall(failed) - Math.min(high - tall(failed), tall(ok)), height: Math.min(high - tall(failed), tall(ok)) }),
    ])),
    h('span', null, `${r.ok.toLocaleString('en-US')} ok`), r.failed ? h('strong', null, `${r.failed.toLocaleString('en-US')} failed`) : h('span', null, 'none failed'),
    h('span', null, 'last minute'));
}

// condition is what stands out about an app, if anything does.
function condition(a) {
  if (a.access !== 'open') return h('span', { class: 'chip warn' }, ACCESS[a.access] ?? a.access);
  if (a.maintenance) return h('span', { class: 'chip warn' }, 'maintenance');
  if (a.deploying) return h('span', { class: 'chip now' }, 'deploying');
  return a.handover ? h('span', { class: 'chip now' }, 'handing over') : null;
}

// dots are the web dynos at a glance.
function dots(a) {
  const web = a.dynos.filter((d) => d.name.startsWith('web.'));
  if (!web.length) return null;
  const up = web.filter((d) => d.state === 'up' && d.listed).length;
  const said = `${up} of ${web.filter((d) => d.listed).length} web dynos up`;
  return h('span', { class: 'dots', role: 'img', 'aria-label': said, title: said }, web.slice(0, 10).map((d) => h('i', { key: d.id, class: d.listed ? d.state : 'old' })), web.length > 10 ? '…' : null);
}

function dynos(a) {
  const shown = a.dynos.filter((d) => d.listed || d.serves);
  if (!shown.length) return h('span', { class: 'soft' }, 'none');
  return h('ul', { class: 'dynos' }, shown.map((d) => h('li', { key: d.id, class: d.listed ? d.state : 'old' }, h('i', { class: d.listed ? d.state : 'old' }), d.name, h('small', null, d.listed ? d.state : 'old, serves', ` · v${d.release}`))));
}

// deeds are what anybody with access could do, without asking the bot.
function deeds(a, web) {
  const f = state.fleet;
  const deed = (label, line, danger) => h('button', {
    class: `btn small ${danger ? 'danger' : ''}`, type: 'button', 'data-do': line, disabled: f.busy.has(a.name) || null, 'aria-label': `${label}: ${a.name}`,
    onclick: async () => {
      f.busy.add(a.name);
      change();
      await heroku(line);
      f.busy.delete(a.name);
      change();
    },
  }, label);
  const victim = a.dynos.find((d) => d.listed && d.name.startsWith('web.') && d.state === 'up');
  const kind = a.can_scale ? 'autoscaler' : 'scaler';
  return h('div', { class: 'deeds', role: 'group', 'aria-label': `What you can do to ${a.name}, behind the bot’s back` },
    deed('Deploy', `deploy ${a.name}`),
    victim ? deed(`Crash ${victim.name}`, `crash ${a.name} ${victim.name}`, true) : null,
    a.space ? null : deed(a.preboot ? 'Preboot off' : 'Preboot on', `set ${a.name} preboot=${a.preboot ? 'off' : 'on'}`),
    a.space ? null : deed(a.affinity ? 'Affinity off' : 'Affinity on', `set ${a.name} affinity=${a.affinity ? 'off' : 'on'}`),
    web && web.quantity > 0 ? deed(a.scaler ? 'Autoscaler off' : 'Autoscaler on', `set ${a.name} ${a.scaler ? (a.native ? 'autoscaler' : 'scaler') : kind}=${a.scaler ? 'off' : '1..4'}`) : null);
}
