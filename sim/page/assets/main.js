// The page: a workspace on the left, a Heroku on the right, and whatever is before them.

import { draw, h } from './dom.js';
import { closeOpen, ui } from './controls.js';
import { change, firstName, inSight, onDraw, rewire, start, state, turn, unread } from './app.js';
import { guide, rail, toasts, top, turns } from './frame.js';
import { conversation, thread } from './talk.js';
import { dialogs } from './dialogs.js';
import { fleet } from './fleet.js';
import { wire } from './wire.js';

const PANES = { fleet: 'Heroku', thread: 'Thread', wire: 'Wire' };

function side() {
  const panes = Object.keys(PANES).filter((p) => p !== 'thread' || state.thread);
  const show = (pane) => change(() => {
    const before = state.pane;
    state.pane = pane;
    if (pane === 'wire' || before === 'wire') rewire();
  });
  const keys = (e) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!move) return;
    e.preventDefault();
    const to = panes[(panes.indexOf(state.pane) + move + panes.length) % panes.length];
    show(to);
    setTimeout(() => document.getElementById(`tab-${to}`)?.focus(), 40);
  };
  return h('section', { class: 'side', 'aria-label': 'Heroku, threads and traffic', id: 'side', tabindex: '-1' },
    h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'What is shown beside the conversation', onkeydown: keys },
      panes.map((p) => h('button', {
        key: p, id: `tab-${p}`, type: 'button', role: 'tab', 'aria-selected': state.pane === p ? 'true' : 'false', 'aria-controls': 'pane',
        tabindex: state.pane === p ? '0' : '-1', onclick: () => show(p),
      }, PANES[p]))),
    h('div', { class: 'pane', id: 'pane', role: 'tabpanel', 'aria-labelledby': `tab-${state.pane}` },
      state.pane === 'thread' && state.thread ? thread() : state.pane === 'wire' ? wire() : fleet()));
}

// land brings the person to an element, and what it is in before them.
function land(to) {
  const el = document.getElementById(to);
  el?.focus();
  if (!el || document.activeElement === el) return;
  state.land = to;
  turn(to === 'side' ? 'side' : 'talk');
}

function skip(to, label) {
  return h('a', { class: 'skip', href: `#${to}`, onclick: (e) => { e.preventDefault(); land(to); } }, label);
}

function page() {
  if (!state.place) return h('p', { class: 'boot' }, 'Connecting to the demo…');
  const { rings } = [...state.place.channels.map((c) => c.id), 'dm'].reduce((sum, room) => ({ rings: sum.rings + (inSight(room) ? 0 : unread(room).rings) }), { rings: 0 });
  document.title = `${rings ? `(${rings}) ` : ''}${state.place.workspace} · zdd demo`;
  return h('div', { class: 'page', 'data-look': state.look, 'data-who': firstName(state.me) },
    skip(state.room === 'home' ? 'talk' : 'composer', 'Skip to the conversation'), skip('side', 'Skip to Heroku'),
    top(), rail(),
    h('main', null, h('div', { class: 'middle' }, guide(), conversation()), side()),
    turns(PANES[state.pane]), toasts(), dialogs());
}

onDraw(() => {
  draw(document.getElementById('app'), page());
  if (state.land) document.getElementById(state.land)?.focus({ preventScroll: true });
  state.land = '';
});

// A click elsewhere closes what is open; so does leaving the window.
addEventListener('pointerdown', (e) => {
  if (ui.open && !e.target.closest('.menu, .select, .composer')) closeOpen();
});
// A slash begins a command wherever one stands, as long as it is not typed into something.
addEventListener('keydown', (e) => {
  if (e.key !== '/' || e.ctrlKey || e.metaKey || e.altKey || e.target.closest('input:not([type=radio], [type=checkbox]), textarea, dialog')) return;
  land('composer');
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', change);

start().catch((e) => {
  document.querySelector('.boot').textContent = `The page could not be started: ${e.message}. Is the demo still running?`;
});
