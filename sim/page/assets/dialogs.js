// What stands before everything: the app's modals, and the questions before a button acts.

import { h, icon } from './dom.js';
import { plain, text } from './mrkdwn.js';
import { closeView, change, names, state, submit } from './app.js';
import { viewBlocks } from './talk.js';

// dialog is a native one: the browser keeps the focus in it and the rest out of reach.
function dialog(props, ...kids) {
  return h('dialog', {
    ...props,
    mounted: (el) => { el.back = document.activeElement; el.showModal(); props.opened?.(el); },
    gone: (el) => { el.close(); if (el.back?.isConnected) el.back.focus(); },
    opened: null,
  }, kids);
}

export function dialogs() {
  const v = state.modals.at(-1);
  const out = [];
  if (v) out.push(modal(v));
  if (state.confirm) out.push(confirm(state.confirm));
  return h('div', { class: 'dialogs' }, out);
}

// missing are the inputs that must be filled in and are not.
function missing(v) {
  return (v.blocks ?? []).filter((b) => {
    if (b.type !== 'input' || b.optional) return false;
    const values = state.forms[v.id]?.[b.block_id]?.[b.element.action_id] ?? valueOf(v.state?.values?.[b.block_id]?.[b.element.action_id]);
    return !values.some((x) => x !== '');
  }).map((b) => b.block_id);
}

function valueOf(s) {
  if (!s) return [];
  if (s.selected_options) return s.selected_options.map((o) => o.value);
  const one = s.selected_option?.value ?? s.selected_date ?? s.selected_time ?? s.selected_user ?? s.selected_channel ?? s.selected_conversation ?? s.value;
  return one === undefined || one === null ? [] : [String(one)];
}

function modal(v) {
  const title = plain(v.title);
  const sending = state.sending === v.id;
  const wrong = Object.keys(v.errors ?? {}).length;
  const shut = () => closeView(v);
  const back = state.modals.length > 1;
  return dialog({
    key: v.id, class: 'modal', 'aria-labelledby': `title-${v.id}`, 'data-view': v.callback_id ?? '',
    oncancel: (e) => { e.preventDefault(); shut(); },
    opened: (el) => (el.querySelector('.sheet :is(input, textarea, select, button, a)') ?? el.querySelector('footer button'))?.focus(),
  },
  h('form', {
    method: 'dialog', novalidate: true,
    onsubmit: (e) => {
      e.preventDefault();
      if (!v.submit || sending) return;
      const none = missing(v);
      submit(v, none);
      if (none.length) setTimeout(() => document.querySelector(`[data-block="${CSS.escape(none[0])}"] :is(input, textarea)`)?.focus(), 60);
    },
  },
  h('header', null, h('h2', { id: `title-${v.id}` }, title), h('button', { class: 'btn square quiet', type: 'button', 'aria-label': 'Close', title: 'Close', onclick: shut }, icon('close'))),
  h('div', { class: 'sheet scroll', tabindex: '0', role: 'group', 'aria-label': title }, viewBlocks(v, 'v')),
  h('p', { class: 'hidden', role: 'alert' }, wrong ? `${wrong === 1 ? 'One field is' : `${wrong} fields are`} not right yet.` : ''),
  v.submit || v.close || back ? h('footer', null,
    h('button', { class: 'btn', type: 'button', onclick: shut }, v.close ? plain(v.close) : back ? 'Back' : 'Close'),
    v.submit ? h('button', { class: `btn primary ${sending ? 'busy' : ''}`, type: 'submit', 'aria-busy': sending ? 'true' : null, disabled: v.submit_disabled || null }, plain(v.submit)) : null) : null));
}

function confirm(c) {
  const done = (f) => { change(() => { state.confirm = null; }); f(); };
  return dialog({
    key: 'confirm', class: 'modal ask', 'aria-labelledby': 'ask-title', 'aria-describedby': 'ask-text', role: 'alertdialog',
    oncancel: (e) => { e.preventDefault(); done(c.drop); },
    opened: (el) => el.querySelector('.yes').focus(),
  },
  h('header', null, h('h2', { id: 'ask-title' }, plain(c.title))),
  h('div', { class: 'sheet b-text', id: 'ask-text' }, text(c.text, names())),
  h('footer', null,
    h('button', { class: 'btn', type: 'button', onclick: () => done(c.drop) }, plain(c.deny)),
    h('button', { class: `btn yes ${c.style === 'danger' ? 'danger' : 'primary'}`, type: 'button', onclick: () => done(c.run) }, plain(c.confirm))));
}
