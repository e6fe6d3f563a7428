// What stands around the conversation: the bar with the people one can be, the rail with
// the rooms, the suggestions for a first visit, and what pops up at the edge.

import { h, icon } from './dom.js';
import { become, dismiss, firstName, goTo, hideGuide, setTheme, state, unread } from './app.js';
import { demand, heroku, tick, type } from './app.js';

const HUES = 6;

// avatar is a person's mark: their initials on a colour of their own.
export function avatar(id, real, bot) {
  if (bot) return h('span', { class: 'avatar bot', 'aria-hidden': 'true' }, h('svg', { viewBox: '0 0 32 32' }, h('path', { d: 'M9 10h14l-11.5 12H23' })));
  const hue = Math.max(0, state.place.people.filter((p) => !p.bot).findIndex((p) => p.id === id));
  const initials = real.split(/\s+/).map((w) => w[0]).slice(0, 2).join('');
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
      state.guide.hidden ? h('button', { class: 'btn quiet', type: 'button', onclick: () => hideGuide(false) }, 'What to try') : null,
      h('button', { class: 'btn square quiet', type: 'button', 'aria-label': `${label} colours`, title: `${label} colours`, onclick: () => setTheme(next) }, icon(face))));
}

// rail lists the rooms.
export function rail() {
  const bot = state.place.people.find((p) => p.id === state.place.bot);
  const rooms = state.place.channels.filter((c) => c.member && !c.archived);
  const entry = (room, face, name, kind) => {
    const { fresh, rings } = room === state.room ? { fresh: 0, rings: 0 } : unread(room);
    const tell = rings ? `, ${rings} that ring you` : fresh ? `, ${fresh} new` : '';
    const said = (words) => h('span', { class: 'hidden' }, words);
    return h('li', { key: room }, h('button', {
      class: `room ${room === state.room ? 'on' : ''} ${fresh ? 'fresh' : ''}`, type: 'button', 'data-room': room, 'aria-current': room === state.room ? 'page' : null,
      onclick: () => goTo(room),
    }, icon(face), h('span', { class: 'name' }, kind ? said(`${kind} `) : null, name, tell ? said(tell) : null),
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

// guide suggests three things to try, and ticks off what was done.
export function guide() {
  const app = state.setup.try;
  if (!app || state.guide.hidden) return null;
  const { done } = state.guide;
  const people = state.setup.people;
  const [asker, decider] = people;
  const ops = state.place.channels.find((c) => c.name === 'ops');
  const general = state.place.channels.find((c) => c.member && !c.archived);
  const pending = [...state.messages.values()].some((m) => m.channel === ops?.id && m.blocks?.some((b) => b.elements?.some((el) => /^approve/i.test(el.text?.text ?? ''))));
  const other = ['checkout', 'loyalty'].find((name) => state.fleet.apps.get(name)?.preboot) ?? 'checkout';
  const steps = [
    {
      id: 'status', title: `Ask about an app`, text: ['Type ', h('code', null, `/zdd status ${app}`), ' in any channel. The answer is for you alone.'],
      label: 'Ask now', run: () => { if (general && (state.room === 'home')) goTo(general.id); type(state.room === 'home' ? general.id : state.room === 'dm' ? state.place.dm : state.room, '', `/zdd status ${app}`); },
    },
    {
      id: 'approve', title: 'Have it fixed, by two people',
      text: pending ? `The request waits in #ops. ${firstName(decider.name)} decides: somebody else than who asked.` : ['Press “Fix it” below the answer: that asks for it. Then be ', firstName(decider.name), ' and approve it in #ops.'],
      label: pending ? `Be ${firstName(decider.name)} in #ops` : 'Ask for it',
      run: () => {
        if (pending) { goTo(ops.id); become(decider.name); return; }
        if (state.person !== asker.name) become(asker.name);
        const room = general?.id ?? state.place.dm;
        goTo(room);
        setTimeout(() => type(room, '', `/zdd enable ${app}`), 300);
      },
    },
    {
      id: 'night', title: 'Break something, and let the night come',
      text: [`Switch preboot off for ${other} in the Heroku pane, behind the bot’s back, and press “Night now”. The digest comes in #ops.`],
      label: 'Do both', run: async () => {
        await heroku(`set ${other} preboot=off`);
        if (ops?.member) goTo(ops.id);
        if (await demand('night')) tick('night');
      },
    },
  ];
  const next = steps.find((s) => !done[s.id]);
  const begun = state.guide.begun || steps.some((s) => done[s.id]);
  const go = (s) => h('button', { class: `btn small ${s === next && begun ? 'primary' : ''}`, type: 'button', onclick: s.run }, s.label);
  const mark = (s, i) => h('span', { class: 'step', 'aria-hidden': 'true' }, done[s.id] ? icon('check') : i + 1);
  const title = (s) => [s.title, done[s.id] ? h('span', { class: 'hidden' }, ' (done)') : null];
  return h('section', { class: `guide ${begun ? 'begun' : ''}`, 'aria-label': 'Things to try' },
    h('header', null, h('h2', null, next ? 'Three things to try' : 'That was the tour'),
      h('button', { class: 'btn square quiet', type: 'button', 'aria-label': 'Hide the suggestions', title: 'Hide', onclick: () => hideGuide(true) }, icon('close'))),
    begun ? null : h('p', null, 'A simulated Slack on the left, a simulated Heroku on the right, and the real bot between them. Nothing leaves this machine.'),
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
