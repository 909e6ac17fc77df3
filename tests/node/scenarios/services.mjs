// What becomes of clients when the service itself stops, starts, or loses something. Each is
// played once, by clients of all transports together: a service takes its time to start.

import { data, events, refused, same, truth, upTo } from '../play.mjs';

// Subscribed to a channel of their own, on a service of their own.
async function subscribers(plays, service, options = {}) {
  return Promise.all(
    plays.map(async (play) => {
      const client = await play.connected({ service, ...options });
      const sub = client.newSubscription(play.channel());
      const [next, subscribed] = [events(sub, 'publication'), events(sub, 'subscribed')];
      sub.subscribe();
      const first = await subscribed();
      return { play, client, sub, next, subscribed, epoch: first.streamPosition.epoch };
    }),
  );
}

const toEach = (all, deed) => Promise.all(all.map(deed));

export const services = {
  async 'loses nothing when a service is killed that keeps everything'(plays, stage, runner) {
    const name = `journal-${runner}`;
    await stage.serve(name, { keeps: true });
    const all = await subscribers(plays, name);
    // It is killed while others publish, one after the other, until they get no answer.
    const busy = all.map(({ sub }) => refused(stage.publish(sub.channel, upTo(100_000), name)));
    await toEach(all, async ({ next }) => same(await data(next, 20), upTo(20)));
    await stage.end(name, 'KILL');
    await Promise.all(busy);
    await stage.serve(name, { keeps: true });
    await toEach(all, async ({ sub, next, subscribed, epoch }) => {
      const ctx = await subscribed();
      same([ctx.wasRecovering, ctx.recovered, ctx.streamPosition.epoch], [true, true, epoch]);
      const { offset } = await stage.publish(sub.channel, ['the last'], name);
      const came = [];
      while (came.length < offset - 20) came.push(await next());
      same(came.map((item) => item.offset), upTo(offset).slice(20));
      same(came.map((item) => item.data), [...upTo(offset - 1).slice(20), 'the last']);
    });
    const told = all.map(({ client }) => events(client, 'connecting'));
    const stopped = stage.end(name, 'TERM');
    for (const gone of told) {
      const { code, reason } = await gone();
      same([code, reason], [3001, 'shutdown']);
    }
    same(await stopped, 0);
    await stage.serve(name, { keeps: true });
    await toEach(all, async ({ sub, next, subscribed, epoch }) => {
      const ctx = await subscribed();
      same([ctx.wasRecovering, ctx.recovered, ctx.streamPosition.epoch], [true, true, epoch]);
      await stage.publish(sub.channel, ['after'], name);
      same(await data(next, 1), ['after']);
      same(next.left, []);
    });
  },

  async 'leaves a service that says nothing, and recovers'(plays, stage, runner) {
    const name = `silent-${runner}`;
    await stage.serve(name, { options: ['--ws-ping-interval', '1', '--ws-pong-timeout', '1'] });
    const all = await subscribers(plays, name, { maxServerPingDelay: 1000 });
    await toEach(all, async ({ client, sub, next, subscribed }) => {
      const gone = events(client, 'connecting');
      await stage.hold(client.wire);
      await stage.publish(sub.channel, upTo(3), name);
      same((await gone()).code, 2); // the client's own word: no ping
      await stage.carry(client.wire);
      same((await subscribed()).recovered, true);
      same(await data(next, 3), upTo(3));
    });
  },

  async 'falls back to the next transport'(plays, stage, runner) {
    const [play] = plays;
    const wire = await stage.wire('main');
    const http = `http://127.0.0.1:${wire}`;
    const client = await play.client();
    const other = new play.world.Centrifuge(
      [
        { transport: 'websocket', endpoint: `ws://127.0.0.1:${wire}/nowhere` },
        { transport: 'http_stream', endpoint: `${http}/nowhere` },
        { transport: 'sse', endpoint: `${http}/connection/sse` },
      ],
      { ...play.world.options, token: client._token, emulationEndpoint: `${http}/emulation` },
    );
    play.clients.push(other);
    const [failed, opened] = [events(other, 'error'), events(other, 'connected')];
    other.connect();
    same((await failed()).transport, 'websocket');
    same((await failed()).transport, 'http_stream');
    same((await opened()).transport, 'sse');
    const sub = await play.subscribed(other, `fallen-back-${runner}`);
    const next = events(sub, 'publication');
    await stage.publish(sub.channel, ['as well']);
    same(await data(next, 1), ['as well']);
  },
};

// Where the service holds the data itself.
export const embedded = {
  async 'is told that all is lost when a service without one is killed'(plays, stage, runner) {
    const name = `memory-${runner}`;
    await stage.serve(name);
    const all = await subscribers(plays, name);
    await toEach(all, async ({ sub, next }) => {
      await stage.publish(sub.channel, upTo(3), name);
      same(await data(next, 3), upTo(3));
    });
    await stage.end(name, 'KILL');
    await stage.serve(name);
    await toEach(all, async ({ sub, next, subscribed, epoch }) => {
      const ctx = await subscribed();
      same([ctx.wasRecovering, ctx.recovered], [true, false]);
      truth(ctx.streamPosition.epoch !== epoch, 'the epoch is another');
      const { offset } = await stage.publish(sub.channel, ['a new life'], name);
      const item = await next();
      same([item.data, item.offset, offset], ['a new life', 1, 1]);
      same(next.left, []);
    });
  },

  async 'recovers when everything went back to a backup'(plays, stage, runner) {
    const name = `backup-${runner}`;
    await stage.serve(name, { keeps: true });
    const all = await subscribers(plays, name);
    await toEach(all, ({ sub }) => stage.publish(sub.channel, [1, 2], name));
    const backup = await stage.call('/v1/admin/backups', null, name);
    await toEach(all, async ({ sub, next }) => {
      same(await data(next, 2), [1, 2]);
      await stage.publish(sub.channel, ['taken back'], name);
      same(await data(next, 1), ['taken back']);
    });
    const told = all.map(({ client }) => events(client, 'connecting'));
    await stage.call(`/v1/admin/backups/${backup.name}/restore`, null, name);
    for (const gone of told) same((await gone()).code, 3010);
    await toEach(all, async ({ sub, next, subscribed }) => {
      const ctx = await subscribed();
      same([ctx.wasRecovering, ctx.recovered, ctx.streamPosition.offset], [true, false, 2]);
      await stage.publish(sub.channel, ['instead'], name);
      same(await data(next, 1), ['instead']);
    });
  },
};

// Where a store holds the data, and the way to it may break.
export const stored = {
  async 'notices nothing when the way to the store is interrupted'(plays, stage) {
    const all = await subscribers(plays, 'main');
    const away = all.map(({ sub }) => events(sub, 'subscribing'));
    await stage.interrupt();
    await toEach(all, async ({ sub, next }, n) => {
      await stage.publish(sub.channel, upTo(10));
      same(await data(next, 10), upTo(10));
      same(away[n].left, []);
    });
  },

  async 'subscribes anew to what the store has lost, and stays connected'(plays, stage) {
    const nobody = { user: '', claims: { scopes: ['channels:read'] } }; // without a channel of theirs
    const all = await subscribers(plays, 'main', nobody);
    await toEach(all, async ({ sub, next }) => {
      await stage.publish(sub.channel, [1]);
      same(await data(next, 1), [1]);
    });
    const [told, away] = [
      all.map(({ sub }) => events(sub, 'subscribing')),
      all.map(({ client }) => events(client, 'connecting')),
    ];
    await stage.interrupt({ forgetting: true });
    for (const [n, { sub, next, subscribed, epoch }] of all.entries()) {
      const { code, reason } = await told[n]();
      same([code, reason], [2500, 'insufficient state']);
      const ctx = await subscribed();
      same([ctx.wasRecovering, ctx.recovered], [true, false]);
      truth(ctx.streamPosition.epoch !== epoch, 'the epoch is another');
      await stage.publish(sub.channel, [2]);
      same(await data(next, 1), [2]);
      same(away[n].left, []);
    }
  },

  async 'reconnects for what the store has lost where the service has put it'(plays, stage) {
    const all = await Promise.all(
      plays.map(async (play) => {
        const client = await play.client({ user: play.channel() });
        const [away, subscribed] = [events(client, 'connecting'), events(client, 'subscribed')];
        const next = events(client, 'publication');
        client.connect();
        await away();
        await subscribed();
        return { channel: `#${play.channel()}`, next, subscribed, away };
      }),
    );
    await stage.interrupt({ forgetting: true });
    for (const { channel, next, subscribed, away } of all) {
      same((await away()).code, 3010);
      same((await subscribed()).recovered, false);
      await stage.publish(channel, ['still']);
      same(await data(next, 1), ['still']);
    }
  },
};
