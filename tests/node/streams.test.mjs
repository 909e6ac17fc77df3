// The stock JavaScript client over HTTP, where WebSocket does not get through, and an EventSource
// without any client. REALTIME_URL is the service's HTTP address; REALTIME_OTHER_URL, if it is
// set, that of another process on the same store. To be run with --experimental-eventsource.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import { Centrifuge } from 'centrifuge';

const url = process.env.REALTIME_URL;
const other = process.env.REALTIME_OTHER_URL || url;

const clients = [];
after(() => clients.forEach((client) => client.disconnect()));

const sources = [];
class RememberedSource extends EventSource {
  constructor(...args) {
    super(...args);
    sources.push(this);
  }
}

// How a network breaks a stream off.
const cuts = {
  http_stream: (client) => client._transport._abortController.abort(),
  sse: () => sources.at(-1).dispatchEvent(new Event('error')),
};

function newClient(transport, options = {}) {
  const endpoint = `${url}/connection/${transport}`;
  const client = new Centrifuge([{ transport, endpoint }], {
    emulationEndpoint: `${other}/emulation`,
    eventsource: RememberedSource,
    minReconnectDelay: 1,
    maxReconnectDelay: 50,
    ...options,
  });
  clients.push(client);
  return client;
}

async function connected(transport, options) {
  const client = newClient(transport, options);
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

async function publish(channel, data) {
  const path = `/v1/channels/${encodeURIComponent(channel)}/messages`;
  const headers = { 'content-type': 'application/json' };
  const request = { method: 'POST', headers, body: JSON.stringify({ data }) };
  const response = await fetch(url + path, request);
  assert.equal(response.status, 200);
  return response.json();
}

for (const transport of ['http_stream', 'sse']) {
  const channel = (name) => `js:${transport}:${name}`;

  describe(transport, () => {
    test('connects, and learns who it is', async () => {
      const client = newClient(transport);
      client.connect();
      const [ctx] = await once(client, 'connected');
      assert.match(ctx.client, /^[0-9a-f-]{36}$/);
      assert.equal(ctx.transport, transport);
    });

    test('subscribes before it is connected, to many channels at once', async () => {
      const client = newClient(transport);
      const subs = Array.from({ length: 50 }, (_, n) => client.newSubscription(channel(n)));
      subs.forEach((sub) => sub.subscribe());
      client.connect();
      await Promise.all(subs.map((sub) => sub.ready(5000)));
    });

    test('publishes, and receives what is published', async () => {
      const [reader, writer] = [await connected(transport), await connected(transport)];
      const sub = await subscribed(reader, channel('news'));
      const next = events(sub, 'publication');
      await publish(channel('news'), { text: 'über\r\nHTTP' });
      assert.deepEqual((await next()).data, { text: 'über\r\nHTTP' });
      await writer.publish(channel('news'), [1, null, 'ü']);
      const second = await next();
      assert.deepEqual(second.data, [1, null, 'ü']);
      assert.equal(second.info.client, writer._client);
      const { publications } = await writer.history(channel('news'), { limit: 10 });
      assert.equal(publications.length, 2);
      assert.equal((await writer.presenceStats(channel('news'))).numClients, 1);
    });

    test('keeps the order of many publications', async () => {
      const reader = await connected(transport);
      const sub = await subscribed(reader, channel('order'));
      const next = events(sub, 'publication');
      for (let n = 0; n < 100; n++) await publish(channel('order'), n);
      for (let n = 0; n < 100; n++) assert.equal((await next()).data, n);
    });

    test('leaves channels, and may come back', async () => {
      const client = await connected(transport);
      const sub = await subscribed(client, channel('quiet'));
      const got = [];
      sub.on('publication', (ctx) => got.push(ctx.data));
      sub.unsubscribe();
      await client.history(channel('quiet'));
      while ((await client.presenceStats(channel('quiet'))).numClients);
      await publish(channel('quiet'), 'unheard');
      await client.history(channel('quiet'));
      assert.deepEqual(got, []);
      const next = events(sub, 'publication');
      sub.subscribe();
      assert.equal((await next()).data, 'unheard');
    });

    test('recovers what it missed while its stream was gone', async () => {
      const client = await connected(transport);
      const sub = await subscribed(client, channel('recover'));
      const next = events(sub, 'publication');
      await publish(channel('recover'), 0);
      assert.equal((await next()).data, 0);
      const [again, gone] = [once(sub, 'subscribed'), once(client, 'connecting')];
      cuts[transport](client);
      await gone;
      for (let n = 1; n <= 20; n++) await publish(channel('recover'), n);
      const [ctx] = await again;
      assert.deepEqual([ctx.wasRecovering, ctx.recovered], [true, true]);
      for (let n = 1; n <= 20; n++) assert.equal((await next()).data, n);
    });

    test('comes back when the service no longer knows its session', async () => {
      const client = await connected(transport);
      const gone = once(client, 'connecting');
      const back = once(client, 'connected');
      client._session = 'A'.repeat(24);
      client.history(channel('any')).catch(() => {});
      await gone;
      await back;
      assert.equal((await client.presenceStats(channel('any'))).numClients, 0);
    });

    test('is sent away for good after what is no command', async () => {
      const client = await connected(transport);
      const ended = once(client, 'disconnected');
      client._transport.send('{"id":', client._session, client._node);
      const [ctx] = await ended;
      assert.equal(ctx.code, 3501);
    });
  });
}

test('falls back to the next transport', async () => {
  const client = new Centrifuge(
    [
      { transport: 'http_stream', endpoint: `${url}/nowhere` },
      { transport: 'sse', endpoint: `${url}/connection/sse` },
    ],
    { emulationEndpoint: `${other}/emulation` },
  );
  clients.push(client);
  const [failed, opened] = [events(client, 'error'), events(client, 'connected')];
  client.connect();
  assert.equal((await failed()).transport, 'http_stream');
  assert.equal((await opened()).transport, 'sse');
});

test('an EventSource needs no client', async () => {
  const source = new EventSource(`${url}/v1/channels/js%3Aevents/events`);
  const seen = [];
  const waiting = [];
  source.onmessage = (event) => (waiting.length ? waiting.shift()(event) : seen.push(event));
  const next = () =>
    seen.length ? Promise.resolve(seen.shift()) : new Promise((resolve) => waiting.push(resolve));
  await new Promise((resolve) => (source.onopen = resolve));
  const { offset, epoch } = await publish('js:events', { text: 'hello' });
  const event = await next();
  assert.deepEqual(JSON.parse(event.data), { data: { text: 'hello' }, offset });
  assert.equal(event.lastEventId, `${offset}.${epoch}`);
  source.close();
});
