// Differences between publications, as the stock JavaScript client makes publications of them.
// REALTIME_URL is the service's HTTP address; its namespace "match" has delta = true.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const url = process.env.REALTIME_URL;
const endpoint = url.replace('http', 'ws') + '/connection/websocket';

// What came over the wire, to see that differences were among it.
const frames = [];
class Spied extends WebSocket {
  constructor(...args) {
    super(...args);
    this.addEventListener('message', ({ data }) => frames.push(data));
  }
}

const documentOf = (minute) => ({
  teams: ['Malmö', '東京 🎈'],
  rows: [...Array(60).keys()].map((row) => (row === minute ? `${row} – ü` : row)),
  minute,
});

async function publish(data) {
  const response = await fetch(`${url}/v1/channels/match:1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ data }),
  });
  assert.equal(response.status, 200);
}

test('differences become the publications that they were made of', async () => {
  const client = new Centrifuge(endpoint, { websocket: Spied });
  const sub = client.newSubscription('match:1', { delta: 'fossil' });
  const seen = [];
  const all = new Promise((resolve) =>
    sub.on('publication', ({ data }) => seen.push(data) === 10 && resolve())
  );
  sub.subscribe();
  client.connect();
  await sub.ready(5000);
  const sent = [...Array(10).keys()].map(documentOf);
  for (const data of sent) await publish(data);
  await all;
  client.disconnect();
  assert.deepEqual(seen, sent);
  assert.ok(frames.join('').split('"delta":true').length > 5);
});
