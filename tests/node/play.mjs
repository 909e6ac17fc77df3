// How a scenario acts and what it sees, in Node and in a browser alike.
//
// What happens to services, wires and tokens is asked of the stage (tests/stage.py): STAGE is
// where it listens. Whatever a scenario waits for, it waits for as long as its runner lets it.

const SECONDS = 1000;
const PATIENCE = 60 * SECONDS;

export function stageAt(url) {
  const ask = async (deed, body) => {
    const request = { method: 'POST', body: JSON.stringify(body) };
    const response = await fetch(`${url}/stage/${deed}`, request);
    if (!response.ok) throw new Error(`${deed}: ${await response.text()}`);
    return response.json();
  };
  return {
    serve: (name, how = {}) => ask('serve', { name, ...how }), // {options, keeps, page}
    wire: (name) => ask('wire', { name }),
    cut: (port) => ask('cut', { port }),
    hold: (port) => ask('hold', { port }),
    carry: (port) => ask('carry', { port }),
    end: (name, number = 'KILL') => ask('end', { name, number }),
    interrupt: (how = {}) => ask('interrupt', how),
    call: (path, body, name = 'main', method = 'POST') => ask('call', { path, body, name, method }),
    publish: (channel, data, name = 'main') => ask('publish', { channel, data, name }),
    token: (claims, ttl = null) => ask('token', { claims, ttl }),
    report: (result) => ask('report', result),
  };
}

// The events of one kind, in order, to be awaited one by one.
export function events(emitter, kind) {
  const seen = [];
  const waiting = [];
  emitter.on(kind, (ctx) => (waiting.length ? waiting.shift()(ctx) : seen.push(ctx)));
  const next = () =>
    seen.length ? Promise.resolve(seen.shift()) : new Promise((done) => waiting.push(done));
  next.left = seen; // what nobody has awaited yet
  return next;
}

const sorted = (value) =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort())
    : value;

const shown = (value) => JSON.stringify(value, (_, inner) => sorted(inner));

export function same(actual, expected) {
  if (shown(actual) !== shown(expected)) {
    throw new Error(`expected ${shown(expected)}, not ${shown(actual)}`);
  }
}

export function truth(holds, what) {
  if (!holds) throw new Error(`it is not so that ${what}`);
}

// Without a code any error will do.
export async function refused(promise, code) {
  const error = await promise.then(
    () => null,
    (reason) => reason,
  );
  truth(error !== null, 'it is refused');
  if (code !== undefined) same(error.code, code);
}

export const upTo = (last) => Array.from({ length: last }, (_, n) => n + 1);

// The data of the next publications.
export async function data(next, count) {
  const found = [];
  while (found.length < count) found.push((await next()).data);
  return found;
}

// What one scenario does over one transport.
export class Play {
  constructor(world, stage, scenario, transport) {
    Object.assign(this, { world, stage, scenario, transport });
    this.clients = [];
  }

  // A name that no other scenario uses, and no other transport.
  channel(name = '') {
    return `${name}${this.scenario}.${this.transport}`.replaceAll(' ', '-');
  }

  // A client that has not connected. `user` and `claims` make its token; `service` is whom it
  // talks to. Its wire, to be cut or held, is `client.wire`.
  async client({ user = 'ada', claims = {}, service = 'main', ...options } = {}) {
    const wire = await this.stage.wire(service);
    const token =
      options.getToken || options.token
        ? {}
        : { token: await this.stage.token({ sub: user, ...claims }) };
    const client = new this.world.Centrifuge(this.endpoints(wire), {
      ...this.world.options,
      emulationEndpoint: `http://127.0.0.1:${wire}/emulation`,
      minReconnectDelay: 1,
      maxReconnectDelay: 50,
      timeout: PATIENCE,
      maxServerPingDelay: PATIENCE,
      ...token,
      ...options,
    });
    client.wire = wire;
    this.clients.push(client);
    return client;
  }

  endpoints(wire) {
    const scheme = this.transport === 'websocket' ? 'ws' : 'http';
    const endpoint = `${scheme}://127.0.0.1:${wire}/connection/${this.transport}`;
    return [{ transport: this.transport, endpoint }];
  }

  async connected(options) {
    const client = await this.client(options);
    client.connect();
    await client.ready(PATIENCE);
    return client;
  }

  async subscribed(client, channel, options) {
    const sub = client.newSubscription(channel, options);
    sub.subscribe();
    await sub.ready(PATIENCE);
    return sub;
  }

  // Cut the client's wire, and do something before it is back.
  async interrupt(client, meanwhile) {
    const gone = events(client, 'connecting');
    await this.stage.cut(client.wire);
    await gone();
    client.disconnect();
    await meanwhile();
    client.connect();
  }

  end() {
    this.clients.forEach((client) => client.disconnect());
  }
}
