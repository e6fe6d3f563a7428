// What stands around the conversation: the bar with the people one can be, the rail with
// the rooms, the suggestions for a first visit, and what pops up at the edge.

import { h, icon } from './dom.js';
import { become, demand, dismiss, firstName, goTo, headline, heroku, hideGuide, inSight, setTheme, slim, state, turn, type, unread, watchOf } from './app.js';

const HUES = 6;

// avatar is a person's mark: their initials on a colour of their own.
export function avatar(id, real, bot) {
  if (bot) return h('span', { class: 'avatar bot', 'aria-hidden': 'true' }, h('svg', { viewBox: '0 0 32 32' }, h('path', { d: 'M9 10h14l-11.5 12H23' })));
  const hue = Math.max(0, state.place.people.filter((p) => !p.bot).findIndex((p) => p.id === id));
  const short = (name) => name.split(/\s+/).map((w) => w[0]).slice(0, 2).join('');
  const alike = state.place.people.some((p) => !p.bot && p.id !== id && short(p.real_name) === short(real));
  const initials = alike ? real.slice(0, 2) : short(real);
  return h('span', { class: `avatar hue${hue % HUES}`, 'aria-hidden': 'true' }, initials);
}

// top is the bar above everything.
export function top() {
  const themes = { '': ['dark', 'Dark', 'moon'], dark: ['light', 'Light', 'sun'], light: ['dark', 'Dark', 'moon'] };
  const dark = state.theme ? state.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  const [next, label, face] = dark ? themes.dark : themes.light;
  return h('header', { class: 'top' },
    h('div', { class: 'brand' }, h('img', { src: '/assets/icon.svg', alt: '' }), h('h1', null, state.place.workspace), h('span', { class: 'tag' }, 'demo')),
    h('fieldset', { class: 'people' }, h('legend', null, 'You are'),
      state.setup.people.map((p) => {
        const known = state.place.people.find((q) => q.name === p.name);
        if (!known) return null;
        const on = state.person === p.name;
        return h('label', { key: p.name, class: on ? 'on' : '', 'data-person': p.name },
          h('input', { type: 'radio', name: 'person', value: p.name, checked: on, onchange: () => become(p.name) }),
          avatar(known.id, known.real_name), h('span', null, h('strong', null, firstName(known.id)), h('small', null, p.does)));
      })),
    h('div', { class: 'tools' },
      state.guide.hidden ? h('button', { class: 'btn quiet', type: 'button', onclick: () => hideGuide(false) }, icon('check'), h('span', { class: 'words' }, 'What to try')) : null,
      h('button', { class: 'btn square quiet', type: 'button', 'aria-label': `${label} colours`, title: `${label} colours`, onclick: () => setTheme(next) }, icon(face))));
}

// named is one text for those who hear the page, and another for those who see it.
function named(heard, seen) {
  return [h('span', { class: 'hidden' }, heard), h('span', { class: 'name', 'aria-hidden': 'true' }, seen)];
}

// rail lists the rooms.
export function rail() {
  const bot = state.place.people.find((p) => p.id === state.place.bot);
  const rooms = state.place.channels.filter((c) => c.member && !c.archived);
  const entry = (room, face, name, kind) => {
    const { fresh, rings } = inSight(room) ? { fresh: 0, rings: 0 } : unread(room);
    const tell = rings ? `, ${rings} that ${rings === 1 ? 'rings' : 'ring'} you` : fresh ? `, ${fresh} new` : '';
    return h('li', { key: room }, h('button', {
      class: `room ${room === state.room ? 'on' : ''} ${fresh ? 'fresh' : ''}`, type: 'button', 'data-room': room, 'aria-current': room === state.room ? 'page' : null,
      onclick: () => goTo(room),
    }, icon(face), ...named(`${kind ? `${kind} ` : ''}${name}${tell}`, name),
    rings ? h('span', { class: 'badge', 'aria-hidden': 'true' }, rings) : fresh ? h('span', { class: 'dot' }) : null));
  };
  return h('nav', { class: 'rail', 'aria-label': 'Workspace' },
    h('h2', null, 'Channels'),
    h('ul', null, rooms.map((c) => entry(c.id, c.private ? 'lock' : 'hash', c.name, c.private ? 'private channel' : 'channel'))),
    rooms.length ? null : h('p', { class: 'none' }, 'You are in no channel.'),
    h('h2', null, bot?.real_name && bot.real_name.length <= 24 ? bot.real_name : 'App'),
    h('ul', null,
      state.place.home ? entry('home', 'home', 'Home') : null,
      entry('dm', 'chat', 'Messages')),
    h('p', { class: `link ${state.online && state.place.connected ? 'up' : 'down'}`, role: 'status' }, h('span', { class: 'lamp' }),
      !state.online ? 'Reconnecting…' : state.place.connected ? `${bot?.name ?? 'The bot'} is connected` : `${bot?.name ?? 'The bot'} is not connected`));
}

// turns is how one gets from one part of the page to another where there is room for one.
export function turns(side) {
  const rooms = [...state.place.channels.filter((c) => c.member && !c.archived).map((c) => c.id), 'dm'];
  const { fresh, rings } = rooms.filter((room) => !inSight(room)).map(unread)
    .reduce((sum, u) => ({ fresh: sum.fresh + u.fresh, rings: sum.rings + u.rings }), { fresh: 0, rings: 0 });
  const one = (look, face, label, more) => h('button', {
    class: `turn to-${look}`, type: 'button', 'aria-current': state.look === look ? 'true' : null, onclick: () => turn(look),
  }, icon(face), ...named(more ? `${label}, ${more}` : label, label), look !== 'rooms' ? null : rings ? h('span', { class: 'badge', 'aria-hidden': 'true' }, rings) : fresh ? h('span', { class: 'dot' }) : null);
  return h('nav', { class: 'turns', 'aria-label': 'Parts of the page' },
    one('rooms', 'hash', 'Channels', rings ? `${rings} that ${rings === 1 ? 'rings' : 'ring'} you` : fresh ? `${fresh} new` : ''),
    one('talk', 'chat', 'Conversation'), one('side', 'list', side));
}

// guide suggests four things to try, and ticks off what was done.
export function guide() {
  const app = state.setup.try;
  if (!app || state.guide.hidden) return null;
  const { done } = state.guide;
  const people = state.setup.people;
  const [asker, decider] = people;
  const ops = state.place.channels.find((c) => c.name === 'ops');
  const general = state.place.channels.find((c) => c.member && !c.archived);
  const inOps = [...state.messages.values()].filter((m) => m.channel === ops?.id);
  const pending = inOps.some((m) => m.blocks?.some((b) => b.elements?.some((el) => /^approve/i.test(el.text?.text ?? ''))));
  const decides = pending && state.person === decider.name && inSight(ops.id);
  const runs = inOps.some((m) => /^T-\d+ .*: (approved|under way)/.test(headline(m)));
  const other = ['checkout', 'loyalty'].find((name) => state.fleet.apps.get(name)?.preboot) ?? 'checkout';
  const broken = state.fleet.apps.get(state.guide.broken?.app)?.preboot ? null : state.guide.broken; // somebody may have mended it
  const steps = [
    {
      id: 'status', title: `Ask about an app`, text: ['Type ', h('code', null, `/zdd status ${app}`), ' in any channel. The answer is for you alone.'],
      label: 'Ask now', run: () => { if (general && (state.room === 'home')) goTo(general.id); type(state.room === 'home' ? general.id : state.room === 'dm' ? state.place.dm : state.room, '', `/zdd status ${app}`); },
    },
    {
      id: 'approve', title: 'Have it fixed, by two people',
      text: runs ? 'It was approved, and is carried out now, step by step, in #ops.'
        : decides ? 'The request waits here for you: approve it, and watch it done.'
        : pending ? `The request waits in #ops. ${firstName(decider.name)} decides: somebody else than who asked.`
          : `Press “Fix it” below the answer: that asks for it. Then be ${firstName(decider.name)} and approve it in #ops.`,
      label: decides || runs && inSight(ops.id) ? '' : runs ? 'Watch it in #ops' : pending ? `Be ${firstName(decider.name)} in #ops` : 'Ask for it',
      run: () => {
        if (runs) { goTo(ops.id); return; }
        if (pending) { goTo(ops.id); become(decider.name); return; }
        if (state.person !== asker.name) become(asker.name);
        const room = general?.id ?? state.place.dm;
        goTo(room);
        setTimeout(() => type(room, '', `/zdd enable ${app}`), 300);
      },
    },
    {
      id: 'night', title: 'Break something',
      text: broken ? `Preboot of ${broken.app} is off. The bot’s watch tells of it in #ops within about a minute; “Night now” has it read the whole fleet at once.`
        : `Switch preboot off for ${other} in the Heroku pane, as anybody with access could. The bot’s watch tells of it in #ops within about a minute.`,
      label: !broken ? 'Break it' : ops?.member && !inSight(ops.id) ? 'Look in #ops' : 'Night now',
      run: async () => {
        if (broken && (!ops?.member || inSight(ops.id))) { await demand('night'); return; }
        if (ops?.member) goTo(ops.id);
        if (!broken) await heroku(`set ${other} preboot=off`);
      },
    },
  ];
  const target = 'checkout';
  const last = [...state.messages.values()].map((m) => watchOf(m)).filter((w) => w?.app === target).at(-1);
  const bare = last?.state === 'failed' && state.fleet.apps.get(target)?.preboot === false;
  const says = (line) => {
    const room = [ops, general].find((c) => c?.id === state.room) ?? general;
    if (room) goTo(room.id);
    setTimeout(() => type(room?.id ?? state.place.dm, '', line), 300);
  };
  steps.push({
    id: 'watch', title: 'Watch a deploy',
    text: last?.state === 'begins' ? 'The watch begins within seconds.' : last?.state === 'running' ? last.deployed ? `${target} was deployed, and is asked on until its old dynos must be gone. Then comes the verdict.` : `${target} is asked ten times a second now. Deploy it, and see whether anybody would notice.`
      : last?.state === 'failed' ? bare ? 'Visitors would have noticed, and the verdict says why. Have that fixed.' : 'Visitors would have noticed. Watch the next deploy: does it go better?'
        : ['Settings that look right are no proof. ', h('code', null, `/zdd watch ${target}`), ' asks it ten times a second while you deploy.'],
    label: last?.state === 'begins' ? '' : last?.state === 'running' ? last.deployed ? '' : `Deploy ${target}` : bare ? 'Have it fixed' : last ? 'Watch again' : `Watch ${target}`,
    run: () => (last?.state === 'running' ? heroku(`deploy ${target}`) : says(`/zdd ${bare ? 'enable' : 'watch'} ${target}`)),
  });
  const next = last && !done.watch ? steps.at(-1) : steps.find((s) => !done[s.id]);
  const begun = state.guide.begun || slim() || steps.some((s) => done[s.id]);
  const go = (s) => s.label && h('button', { class: `btn small ${s === next && begun ? 'primary' : ''}`, type: 'button', onclick: s.run }, s.label);
  const mark = (s, i) => h('span', { class: 'step', 'aria-hidden': 'true' }, done[s.id] ? icon('check') : i + 1);
  const title = (s) => [s.title, done[s.id] ? h('span', { class: 'hidden' }, ' (done)') : null];
  return h('section', { class: `guide ${begun ? 'begun' : ''}`, 'aria-label': 'Things to try' },
    h('header', null, h('h2', null, next ? 'Four things to try' : 'That was the tour'),
      h('button', { class: 'btn square quiet', type: 'button', 'aria-label': 'Hide the suggestions', title: 'Hide', onclick: () => hideGuide(true) }, icon('close'))),
    begun && (state.guide.begun || !slim()) ? null : h('p', null, 'A simulated Slack on the left, a simulated Heroku on the right, and the real bot between them. Nothing leaves this machine.'),
    h('ol', null, steps.map((s, i) => h('li', { key: s.id, class: done[s.id] ? 'done' : s === next ? 'next' : '', 'aria-current': s === next ? 'step' : null },
      mark(s, i), h('div', null, h('h3', null, title(s)), begun ? null : [h('p', null, s.text), go(s)])))),
    begun && next ? h('div', { class: 'now' }, h('p', null, next.text), go(next)) : null,
    next ? null : h('p', null, 'Now do what you would do: Home shows what is yours, and ', h('code', null, '/zdd help'), ' lists every command.'));
}

// toasts tell of what happens elsewhere.
export function toasts() {
  return h('div', { class: 'toasts', role: 'region', 'aria-label': 'Notifications' }, h('div', { 'aria-live': 'polite' }, state.toasts.map((t) =>
    h('div', { key: t.id, class: `toast ${t.kind}`, 'data-toast': t.id, role: t.kind === 'wrong' ? 'alert' : null },
      h('div', null, h('strong', null, t.title), h('p', null, t.text.split('\n')[0])),
      t.action ? h('button', { class: 'btn small', type: 'button', onclick: () => { dismiss(t.id); t.action.run(); } }, t.action.label) : null,
      h('button', { class: 'btn square quiet', type: 'button', 'aria-label': 'Dismiss', onclick: () => dismiss(t.id) }, icon('close'))))));
}
