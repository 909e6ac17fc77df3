// The stock JavaScript client against a running service: REALTIME_URL is its HTTP address.
// Every promise here is the client's own; nothing knows the protocol underneath.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const url = process.env.REALTIME_URL;
const endpoint = url.replace('http', 'ws') + '/connection/websocket';

const sockets = [];
class Remembered extends WebSocket {
  constructor(...args) {
    super(...args);
    sockets.push(this);
  }
}

const clients = [];
after(() => clients.forEach((client) => client.disconnect()));

function newClient(options = {}) {
  const client = new Centrifuge(endpoint, {
    websocket: Remembered,
    minReconnectDelay: 1,
    maxReconnectDelay: 50,
    ...options,
  });
  clients.push(client);
  return client;
}

async function connected(options) {
  const client = newClient(options);
  client.connect();
  await client.ready(5000);
  return client;
}

async function subscribed(client, channel, options) {
  const sub = client.newSubscription(channel, options);
  sub.subscribe();
  await sub.ready(5000);
  return sub;
}

// The events of one kind, in order, to be awaited one by one.
function events(emitter, kind) {
  const seen = [];
  const waiting = [];
  emitter.on(kind, (ctx) => (waiting.length ? waiting.shift()(ctx) : seen.push(ctx)));
  return () => (seen.length ? Promise.resolve(seen.shift()) : new Promise((r) => waiting.push(r)));
}

async function post(path, body) {
  const headers = { 'content-type': 'application/json' };
  const request = { method: 'POST', headers, body: JSON.stringify(body) };
  const response = await fetch(url + path, request);
  assert.equal(response.status, 200);
  return response.json();
}

const publish = (channel, data) =>
  post(`/v1/channels/${encodeURIComponent(channel)}/messages`, { data });

async function refused(promise, code) {
  await assert.rejects(promise, (error) => error.code === code);
}

test('connects, and learns who it is', async () => {
  const client = newClient();
  client.connect();
  const [ctx] = await once(client, 'connected');
  assert.match(ctx.client, /^[0-9a-f-]{36}$/);
  assert.equal(ctx.transport, 'websocket');
});

test('subscribes before it is connected, to many channels at once', async () => {
  const client = newClient();
  const subs = Array.from({ length: 100 }, (_, n) => client.newSubscription(`js:many:${n}`));
  subs.forEach((sub) => sub.subscribe());
  client.connect();
  await Promise.all(subs.map((sub) => sub.ready(5000)));
});

test('receives what is published over HTTP and over WebSocket', async () => {
  const client = await connected();
  const sub = await subscribed(client, 'js:news');
  const next = events(sub, 'publication');
  const { offset } = await publish('js:news', { text: 'über\nHTTP' });
  const first = await next();
  assert.deepEqual(first.data, { text: 'über\nHTTP' });
  assert.equal(first.offset, offset);
  assert.equal(first.info, undefined);
  const writer = await connected();
  await writer.publish('js:news', [1, null, 'ü']);
  const second = await next();
  assert.deepEqual(second.data, [1, null, 'ü']);
  assert.equal(second.info.client, writer._client);
  await sub.publish('its own');
  assert.equal((await next()).data, 'its own');
});

test('reads history, forward and back', async () => {
  for (let n = 1; n <= 5; n++) await publish('js:history', n);
  const client = await connected();
  const all = await client.history('js:history', { limit: 10 });
  assert.deepEqual(all.publications.map((p) => p.data), [1, 2, 3, 4, 5]);
  const { epoch } = all;
  const rest = await client.history('js:history', { limit: 10, since: { offset: 3, epoch } });
  assert.deepEqual(rest.publications.map((p) => p.data), [4, 5]);
  const back = await client.history('js:history', { limit: 2, reverse: true });
  assert.deepEqual(back.publications.map((p) => p.data), [5, 4]);
  const position = await client.history('js:history');
  assert.deepEqual([position.publications.length, position.offset], [0, 5]);
  await refused(client.history('js:history', { since: { offset: 1, epoch: 'no' } }), 112);
});

test('sees who is present', async () => {
  const [one, two] = [await connected(), await connected()];
  assert.equal((await one.presenceStats('js:room')).numClients, 0);
  await subscribed(one, 'js:room');
  await subscribed(two, 'js:room');
  const { clients: present } = await one.presence('js:room');
  assert.deepEqual(Object.keys(present).sort(), [one._client, two._client].sort());
  assert.equal((await two.presenceStats('js:room')).numClients, 2);
  two.disconnect();
  while ((await one.presenceStats('js:room')).numClients !== 1);
});

test('sees others join and leave', async () => {
  const watcher = await connected();
  const sub = watcher.newSubscription('js:lobby', { joinLeave: true });
  const [joined, left] = [events(sub, 'join'), events(sub, 'leave')];
  sub.subscribe();
  assert.equal((await joined()).info.client, watcher._client);
  const other = await connected();
  const otherSub = await subscribed(other, 'js:lobby');
  assert.equal((await joined()).info.client, other._client);
  otherSub.unsubscribe();
  assert.equal((await left()).info.client, other._client);
});

test('gets nothing after it has unsubscribed, and may come back', async () => {
  const client = await connected();
  const sub = await subscribed(client, 'js:quiet');
  const got = [];
  sub.on('publication', (ctx) => got.push(ctx.data));
  sub.unsubscribe();
  await client.history('js:quiet'); // answered after the unsubscribe before it
  await publish('js:quiet', 'unheard');
  await client.history('js:quiet');
  assert.deepEqual(got, []);
  const next = events(sub, 'publication');
  sub.subscribe();
  assert.equal((await next()).data, 'unheard');
});

test('recovers what it missed while its socket was gone', async () => {
  const client = await connected();
  const socket = sockets.at(-1);
  const sub = await subscribed(client, 'js:recover');
  const next = events(sub, 'publication');
  await publish('js:recover', 0);
  assert.equal((await next()).data, 0);
  const again = once(sub, 'subscribed');
  socket.terminate();
  for (let n = 1; n <= 20; n++) await publish('js:recover', n);
  const [ctx] = await again;
  assert.deepEqual([ctx.wasRecovering, ctx.recovered], [true, true]);
  for (let n = 1; n <= 20; n++) assert.equal((await next()).data, n);
});

test('is told when it cannot recover', async () => {
  const client = await connected();
  const socket = sockets.at(-1);
  const sub = await subscribed(client, 'js:lost');
  const again = once(sub, 'subscribed');
  const gone = once(client, 'connecting');
  socket.terminate();
  await gone;
  client.disconnect();
  for (let n = 1; n <= 120; n++) await publish('js:lost', n); // 100 are kept
  client.connect();
  const [ctx] = await again;
  assert.deepEqual([ctx.wasRecovering, ctx.recovered], [true, false]);
  assert.equal(ctx.streamPosition.offset, 120);
});

test('keeps the order of a thousand publications', async () => {
  const [writer, reader] = [await connected(), await connected()];
  const sub = await subscribed(reader, 'js:order');
  const next = events(sub, 'publication');
  const sent = Array.from({ length: 1000 }, (_, n) => writer.publish('js:order', n));
  for (let n = 0; n < 1000; n++) assert.equal((await next()).data, n);
  await Promise.all(sent);
});

test('watches a leaderboard', async () => {
  await post('/v1/leaderboards/js/scores', { member: 'ada', score: 10 });
  const client = await connected();
  const sub = client.newSubscription('leaderboard:js');
  const next = events(sub, 'publication');
  sub.subscribe();
  const first = (await next()).data;
  assert.deepEqual(first.entries, [{ rank: 1, member: 'ada', score: 10 }]);
  await post('/v1/leaderboards/js/scores', { member: 'bob', score: 20 });
  const second = (await next()).data;
  assert.deepEqual(second.entries.map((entry) => entry.member), ['bob', 'ada']);
  assert.ok(second.version > first.version);
});

test('is refused with the numbers of the protocol', async () => {
  const client = await connected();
  await refused(client.rpc('anything', {}), 108);
  await refused(client.publish('leaderboard:js', 1), 103);
  await refused(client.publish('x'.repeat(256), 1), 107);
  await refused(client.history('leaderboard:js', { limit: 1 }), 108);
  const sub = client.newSubscription('y'.repeat(256));
  sub.subscribe();
  const [ctx] = await once(sub, 'unsubscribed');
  assert.equal(ctx.code, 107);
});

test('is sent away for good after a message too large', async () => {
  const client = await connected();
  client.publish('js:large', 'x'.repeat(70_000)).catch(() => {});
  const [ctx] = await once(client, 'disconnected');
  assert.equal(ctx.code, 3); // the client's own word for 1009: message size limit
});
