// The scenarios with the stock client under Node: a line of JSON for each that has ended.
// usage: STAGE=http://127.0.0.1:… node --experimental-eventsource run.mjs GROUP|SCENARIO …

import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';
import { run } from './runner.mjs';

const world = {
  name: 'node',
  Centrifuge,
  WebSocket,
  options: { websocket: WebSocket, eventsource: EventSource },
};

await run(
  world,
  process.env.STAGE,
  (result) => process.stdout.write(`${JSON.stringify(result)}\n`),
  process.argv.slice(2),
);
process.exit(); // whatever a client that failed still waits for
