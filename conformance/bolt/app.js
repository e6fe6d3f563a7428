// A small Bolt app in Socket Mode. It does each thing once that the simulated Slack has to
// get right for Slack's own client: a slash command, answers by acknowledgement and by
// response URL, buttons, modals with errors, searches and previews, every answer to a
// submission, a shortcut on a message, the Home tab, changed messages,
// mentions in threads, direct messages, metadata, an upload, and look-ups.
'use strict';

const { App } = require('@slack/bolt');

const app = new App({
  token: process.env.SLACK_BOT_TOKEN,
  appToken: process.env.SLACK_APP_TOKEN,
  socketMode: true,
  clientOptions: { slackApiUrl: process.env.SLACK_API_URL, retryConfig: { retries: 2, minTimeout: 100 } },
});

const plain = (text) => ({ type: 'plain_text', text });
const mrkdwn = (text) => ({ type: 'mrkdwn', text });
const button = (label, action, more) => ({ type: 'button', text: plain(label), action_id: action, value: 'T-1', ...more });

app.command('/zdd', async ({ command, ack, respond, client }) => {
  switch (command.text) {
    case 'quick':
      await ack({ response_type: 'ephemeral', text: 'in the *acknowledgement*' });
      return;
    case 'who': {
      await ack();
      const { user } = await client.users.info({ user: command.user_id });
      const { usergroups } = await client.usergroups.list({ include_users: true });
      const finops = usergroups.find((g) => g.handle === 'finops');
      await respond(`you are ${user.real_name} of ${user.team_id}; finops are ${finops.users.map((u) => `<@${u}>`).join(' ')}`);
      return;
    }
    case 'upload': {
      await ack();
      await client.filesUploadV2({ channel_id: 'C0OPS', file: Buffer.from('a,b\n1,2\n'), filename: 'report.csv', title: 'Report', initial_comment: 'the *report*' });
      return;
    }
    case 'found': {
      await ack();
      const { messages } = await client.conversations.history({ channel: 'C0OPS', include_all_metadata: true, limit: 50 });
      const mine = messages.find((m) => m.metadata && m.metadata.event_type === 'ticket');
      await respond(`found ticket ${mine.metadata.event_payload.id}: ${mine.text}`);
      return;
    }
    case 'wrong': {
      await ack();
      try {
        await client.chat.postMessage({ channel: 'C0OPS', text: 'x', blocks: [{ type: 'header', text: mrkdwn('not plain') }] });
      } catch (err) {
        await respond(`refused: ${err.data.error} ${err.data.response_metadata.messages.join('; ')}`);
      }
      return;
    }
    case 'pick': {
      await ack();
      await client.views.open({ trigger_id: command.trigger_id, view: picker() });
      return;
    }
    default:
      await ack();
      await respond({
        text: 'a question',
        blocks: [
          { type: 'section', text: mrkdwn(`*T-1* ${command.text}`) },
          {
            type: 'actions',
            block_id: 'decide',
            elements: [
              button('Approve', 'approve', {
                style: 'primary',
                confirm: { title: plain('Sure?'), text: plain('It costs money.'), confirm: plain('Yes'), deny: plain('No') },
              }),
              button('Edit', 'edit'),
            ],
          },
        ],
      });
  }
});

// A modal with a search, a date, and a field that tells at once what was picked.
const picker = (app) => ({
  type: 'modal',
  callback_id: 'picked',
  private_metadata: app ? app.value : '',
  title: plain('Pick'),
  submit: plain('Go on'),
  blocks: [
    {
      type: 'input',
      block_id: 'app',
      dispatch_action: true,
      label: plain('App'),
      element: { type: 'external_select', action_id: 'app', min_query_length: 0, ...(app && { initial_option: app }) },
    },
    { type: 'input', block_id: 'day', optional: true, label: plain('Until'), element: { type: 'datepicker', action_id: 'date' } },
    { type: 'section', text: mrkdwn(app ? `of *${app.text.text}*` : 'nothing picked') },
  ],
});

const option = (name) => ({ text: plain(name), value: `id-${name}`, description: plain('acme') });

app.options('app', async ({ options, ack }) => {
  const found = ['shop', 'shop-api', 'billing'].filter((name) => name.includes(options.value));
  await (options.value === 'bill' ? ack({ options: found.map(option) }) : ack({ option_groups: [{ label: plain('Apps'), options: found.map(option) }] }));
});

app.action({ callback_id: 'picked', action_id: 'app' }, async ({ ack, action, body, client }) => {
  await ack();
  await client.views.update({ view_id: body.view.id, hash: body.view.hash, view: picker(action.selected_option) });
});

app.view('picked', async ({ ack, view }) => {
  const picked = view.state.values.app.app.selected_option.text.text;
  const day = view.state.values.day.date.selected_date;
  const said = { type: 'modal', title: plain('Picked'), close: plain('Back'), blocks: [{ type: 'section', text: mrkdwn(`${picked} until ${day}`) }] };
  if (picked !== view.private_metadata.slice(3)) {
    await ack({ response_action: 'errors', errors: { app: `the preview is of ${view.private_metadata}` } });
  } else if (!day) {
    await ack({ response_action: 'push', view: said });
  } else if (day === '2000-12-31') {
    await ack({ response_action: 'clear' });
  } else {
    await ack({ response_action: 'update', view: said });
  }
});

app.shortcut({ callback_id: 'zdd_check', type: 'message_action' }, async ({ ack, shortcut, client }) => {
  await ack();
  await client.views.open({
    trigger_id: shortcut.trigger_id,
    view: { type: 'modal', title: plain('Check'), blocks: [{ type: 'section', text: mrkdwn(`“${shortcut.message.text}” in <#${shortcut.channel.id}>, by <@${shortcut.message.user}>`) }] },
  });
});

app.action('approve', async ({ ack, body, respond, client }) => {
  await ack();
  await respond({ replace_original: true, text: 'asked in <#C0OPS>' });
  await client.chat.postMessage({
    channel: 'C0OPS',
    text: 'T-1 wants a decision',
    metadata: { event_type: 'ticket', event_payload: { id: 'T-1' } },
    blocks: [
      { type: 'section', text: mrkdwn(`<@${body.user.id}> asks for *T-1*`) },
      { type: 'actions', elements: [button('Done', 'done')] },
    ],
  });
});

app.action('done', async ({ ack, body, client }) => {
  await ack();
  await client.chat.update({ channel: body.channel.id, ts: body.message.ts, text: `T-1 done by <@${body.user.id}>` });
});

app.action('edit', async ({ ack, body, client }) => {
  await ack();
  await client.views.open({
    trigger_id: body.trigger_id,
    view: {
      type: 'modal',
      callback_id: 'edited',
      private_metadata: 'T-1',
      notify_on_close: true,
      title: plain('Edit T-1'),
      submit: plain('Save'),
      close: plain('Cancel'),
      blocks: [
        { type: 'input', block_id: 'count', label: plain('Dynos'), element: { type: 'plain_text_input', action_id: 'web' } },
        {
          type: 'input',
          block_id: 'why',
          optional: true,
          label: plain('Reason'),
          element: {
            type: 'static_select',
            action_id: 'reason',
            options: [
              { text: plain('Traffic'), value: 'traffic' },
              { text: plain('Money'), value: 'money' },
            ],
          },
        },
      ],
    },
  });
});

app.view('edited', async ({ ack, body, view, client }) => {
  const count = view.state.values.count.web.value;
  if (!/^\d+$/.test(count)) {
    await ack({ response_action: 'errors', errors: { count: 'must be a number' } });
    return;
  }
  await ack();
  const reason = view.state.values.why.reason.selected_option;
  await client.chat.postMessage({ channel: body.user.id, text: `${view.private_metadata}: ${count} dynos, ${reason ? reason.value : 'no reason'}` });
});

app.view({ callback_id: 'edited', type: 'view_closed' }, async ({ ack, body, client }) => {
  await ack();
  await client.chat.postMessage({ channel: body.user.id, text: 'not edited after all' });
});

app.event('app_home_opened', async ({ event, client }) => {
  await client.views.publish({
    user_id: event.user,
    view: { type: 'home', blocks: [{ type: 'header', text: plain('Tickets') }, { type: 'section', text: mrkdwn(`none for <@${event.user}>`) }] },
  });
});

app.event('app_mention', async ({ event, say }) => {
  await say({ text: `heard: ${event.text.replace(/^<@\w+>\s*/, '')}`, thread_ts: event.thread_ts || event.ts });
});

app.message(async ({ message, say }) => {
  if (message.channel_type === 'im' && !message.subtype) {
    await say(`you said: ${message.text}`);
  }
});

app.error(async (err) => {
  console.error('listener failed:', err);
});

(async () => {
  await app.start();
  console.log('bolt is up');
  process.on('SIGTERM', async () => {
    await app.stop();
    process.exit(0);
  });
})();
