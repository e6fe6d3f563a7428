// The bot's job for a moment, done with Slack's own Bolt: the benchmark of the
// acknowledgements runs it beside the bot. `status APP` is acknowledged, reads from Heroku
// what the bot reads, as parallel, and answers; people who ask about an app that is being
// read share that reading, as with the bot. `enable APP` is written to disk before it is
// acknowledged, and then asked about in the approval channel. It is written as well as the
// job can be with Bolt's documented means, and is no straw man.
'use strict';

const fs = require('node:fs/promises');
const http = require('node:http');
const { App } = require('@slack/bolt');

const app = new App({
  token: process.env.SLACK_BOT_TOKEN,
  appToken: process.env.SLACK_APP_TOKEN,
  socketMode: true,
  clientOptions: { slackApiUrl: process.env.SLACK_API_URL },
});

const agent = new http.Agent({ keepAlive: true });

const get = (base, path) =>
  new Promise((resolve, reject) => {
    const headers = { Accept: 'application/vnd.heroku+json; version=3', Authorization: `Bearer ${process.env.HEROKU_API_KEY}` };
    const req = http.get(base + path, { agent, headers }, (res) => {
      const parts = [];
      res.on('data', (part) => parts.push(part));
      res.on('error', reject);
      res.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (res.statusCode === 404) {
          resolve(null);
        } else if (res.statusCode >= 300) {
          reject(new Error(`${path}: ${res.statusCode} ${text}`));
        } else {
          resolve(JSON.parse(text));
        }
      });
    });
    req.on('error', reject);
  });

const heroku = (path) => get(process.env.HEROKU_API_URL, path);
let sizes; // kept, as the bot does
const reading = new Map();

async function readApp(name) {
  sizes ??= heroku('/dyno-sizes');
  const [info, formation, features, coupling, releases, dynos, addons, buildpacks] = await Promise.all(
    ['', '/formation', '/features', '/pipeline-couplings', '/releases', '/dynos', '/addons', '/buildpack-installations']
      .map((part) => heroku(`/apps/${name}${part}`)),
  );
  await sizes;
  const monitors = await get(process.env.HEROKU_METRICS_URL, `/apps/${info.id}/formation/web/monitors`);
  return { info, formation, features, coupling, releases, dynos, addons, buildpacks, monitors };
}

function shared(name) {
  const now = Date.now();
  const one = reading.get(name);
  if (one && now - one.began < 2000) {
    return one.app;
  }
  const fresh = { began: now, app: readApp(name) };
  reading.set(name, fresh);
  const gone = () => reading.get(name) === fresh && reading.delete(name);
  fresh.app.then(gone, gone);
  return fresh.app;
}

const section = (text) => ({ type: 'section', text: { type: 'mrkdwn', text } });

function judge({ info, formation, features, monitors }) {
  const web = formation.find((p) => p.type === 'web');
  const on = (name) => features.some((f) => f.name === name && f.enabled);
  const scaled = monitors.find((m) => m.action_type === 'scale' && m.is_active);
  const checks = [
    ['Dyno tier', !['Eco', 'Basic'].includes(web.size)],
    ['Session affinity', on('http-session-affinity')],
    ['Web dynos', (scaled ? scaled.min_quantity : web.quantity) >= 2],
    ['Preboot', on('preboot')],
  ];
  const ready = checks.every(([, good]) => good);
  const heading = `${info.name}: ${ready ? 'ready' : 'not ready'}`;
  return {
    text: heading,
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: heading } },
      ...checks.map(([title, good]) => section(`${good ? ':white_check_mark:' : ':x:'} *${title}*`)),
    ],
  };
}

let journal;

app.command('/zdd', async ({ command, ack, respond, client }) => {
  const [verb, name] = command.text.split(' ');
  if (verb === 'status') {
    await ack();
    await respond(judge(await shared(name)));
    return;
  }
  await journal.appendFile(`${JSON.stringify({ id: command.trigger_id, user: command.user_id, text: command.text })}\n`);
  await journal.datasync();
  await ack();
  await respond(`asked in <#C0OPS>`);
  const approve = { type: 'button', text: { type: 'plain_text', text: 'Approve' }, action_id: 'approve', value: name };
  await client.chat.postMessage({
    channel: 'C0OPS',
    text: `${verb} ${name}?`,
    blocks: [section(`<@${command.user_id}> asks to ${verb} *${name}*`), { type: 'actions', elements: [approve] }],
  });
});

app.error(async (err) => {
  console.error('listener failed:', err);
});

(async () => {
  journal = await fs.open(process.env.JOURNAL, 'a', 0o600);
  await app.start();
  process.on('SIGTERM', async () => {
    await app.stop();
    process.exit(0);
  });
})();
