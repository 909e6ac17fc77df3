// What clients do in channels. Each scenario is played on every transport.

import { data, events, refused, same, truth, upTo } from '../play.mjs';

export const channels = {
  async 'connects, and learns who it is'(play) {
    const client = await play.client({ data: { from: 'a test' } });
    const next = events(client, 'connected');
    client.connect();
    const ctx = await next();
    truth(/^[0-9a-f-]{36}$/.test(ctx.client), 'the client is told its id');
    same(ctx.transport, play.transport);
  },

  async 'subscribes to a hundred channels at once'(play) {
    const client = await play.client();
    const names = upTo(100).map((n) => play.channel(`${n}-`));
    const subs = names.map((name) => client.newSubscription(name));
    subs.forEach((sub) => sub.subscribe());
    client.connect();
    await Promise.all(subs.map((sub) => sub.ready(60_000)));
    const next = events(subs.at(-1), 'publication');
    await play.stage.publish(names.at(-1), ['for the last of them']);
    same(await data(next, 1), ['for the last of them']);
  },

  async 'receives what is published'(play) {
    const [reader, writer] = [await play.connected(), await play.connected({ user: 'bob' })];
    const sub = await play.subscribed(reader, play.channel());
    const next = events(sub, 'publication');
    const { offset } = await play.stage.publish(sub.channel, [{ text: 'über\r\nHTTP\u2028' }]);
    const first = await next();
    same([first.data, first.offset, first.info], [{ text: 'über\r\nHTTP\u2028' }, offset, undefined]);
    await writer.publish(sub.channel, [1, null, 'ü']);
    const second = await next();
    same([second.data, second.offset], [[1, null, 'ü'], offset + 1]);
    same([second.info.user, second.info.client], ['bob', writer._client]);
    await sub.publish('its own');
    same((await next()).data, 'its own');
  },

  async 'keeps the order of many publications'(play) {
    const [reader, writer] = [await play.connected(), await play.connected()];
    const next = events(await play.subscribed(reader, play.channel()), 'publication');
    writer.startBatching();
    const sent = upTo(300).map((n) => writer.publish(play.channel(), n));
    writer.stopBatching();
    same(await data(next, 300), upTo(300));
    await Promise.all(sent);
  },

  async 'reads history page by page, and back'(play) {
    const { epoch } = await play.stage.publish(play.channel(), upTo(25));
    const client = await play.connected();
    const found = [];
    let since = { offset: 0, epoch };
    for (let page = 1; page <= 3; page++) {
      const { publications, offset } = await client.history(play.channel(), { limit: 10, since });
      same(offset, 25);
      found.push(...publications.map((item) => item.data));
      since = { offset: publications.at(-1).offset, epoch };
    }
    same(found, upTo(25));
    const back = await client.history(play.channel(), { limit: 2, reverse: true });
    same(back.publications.map((item) => item.data), [25, 24]);
    const position = await client.history(play.channel());
    same([position.publications.length, position.offset, position.epoch], [0, 25, epoch]);
    const elsewhere = { since: { offset: 1, epoch: 'another' } };
    await refused(client.history(play.channel(), elsewhere), 112);
  },

  async 'sees who is present'(play) {
    const one = await play.connected({ claims: { info: { name: 'Ada' } } });
    const two = await play.connected({ user: 'bob' });
    same(await one.presenceStats(play.channel()), { numClients: 0, numUsers: 0 });
    await play.subscribed(one, play.channel());
    const sub = await play.subscribed(two, play.channel());
    same(await two.presenceStats(play.channel()), { numClients: 2, numUsers: 2 });
    const { clients } = await two.presence(play.channel());
    same(Object.keys(clients).sort(), [one._client, two._client].sort());
    same([clients[one._client].user, clients[one._client].connInfo], ['ada', { name: 'Ada' }]);
    one.disconnect();
    while ((await sub.presenceStats()).numClients !== 1);
  },

  async 'sees others join and leave'(play) {
    const watcher = await play.connected();
    const sub = watcher.newSubscription(play.channel(), { joinLeave: true });
    const [joined, left] = [events(sub, 'join'), events(sub, 'leave')];
    sub.subscribe();
    same((await joined()).info.client, watcher._client);
    const other = await play.connected({ user: 'bob', claims: { info: 'B' } });
    const { user, client, connInfo } =
      (await play.subscribed(other, play.channel()), (await joined()).info);
    same([user, client, connInfo], ['bob', other._client, 'B']);
    const id = other._client;
    other.disconnect();
    same((await left()).info.client, id);
  },

  async 'gets nothing once it has left, and catches up when it is back'(play) {
    const client = await play.connected();
    const sub = await play.subscribed(client, play.channel());
    const next = events(sub, 'publication');
    await play.stage.publish(sub.channel, [1]);
    same(await data(next, 1), [1]);
    sub.unsubscribe();
    while ((await client.presenceStats(sub.channel)).numClients);
    await play.stage.publish(sub.channel, [2, 3]);
    await client.history(sub.channel);
    same(next.left, []);
    const again = events(sub, 'subscribed');
    sub.subscribe();
    const ctx = await again();
    same([ctx.wasRecovering, ctx.recovered], [true, true]);
    same(await data(next, 2), [2, 3]);
  },

  async 'watches many channels by one subscription'(play) {
    const client = await play.connected();
    const topic = play.channel().replaceAll('.', '-');
    const all = await play.subscribed(client, 'orders.*');
    const some = await play.subscribed(client, `orders.${topic}.eu.*`);
    const [next, nextOfSome] = [events(all, 'publication'), events(some, 'publication')];
    // The stock client does not say which channel it was, and others play here, too.
    const publish = (name) => play.stage.publish(`orders.${topic}.${name}`, [`${topic} ${name}`]);
    const mine = async (heard) => {
      const [text] = await data(heard, 1);
      return text.startsWith(topic) ? text.slice(topic.length + 1) : mine(heard);
    };
    await publish('us.1');
    await publish('eu.1');
    same([await mine(next), await mine(next)], ['us.1', 'eu.1']);
    same(await mine(nextOfSome), 'eu.1');
    await play.interrupt(client, async () => {
      await publish('us.2');
      await publish('eu.2');
    });
    same([await mine(next), await mine(next)], ['us.2', 'eu.2']);
    same(await mine(nextOfSome), 'eu.2');
    same(nextOfSome.left, []);
  },

  async 'takes differences'(play) {
    const client = await play.connected();
    const sub = await play.subscribed(client, play.channel('delta:'), { delta: 'fossil' });
    const next = events(sub, 'publication');
    const text = 'Everything but a number stays as it was, and it is quite long. '.repeat(8);
    const states = upTo(12).map((n) => ({ n, text, ü: `${n}€` }));
    await play.stage.publish(sub.channel, states.slice(0, 4));
    same(await data(next, 4), states.slice(0, 4));
    await play.interrupt(client, () => play.stage.publish(sub.channel, states.slice(4, 8)));
    same(await data(next, 4), states.slice(4, 8));
    await play.stage.publish(sub.channel, states.slice(8));
    same(await data(next, 4), states.slice(8));
    const { numDeltaPayloads, compressionRatio } = sub.deltaStats();
    truth(numDeltaPayloads >= 6, `differences came: ${numDeltaPayloads}`);
    truth(compressionRatio > 0.4, `they are shorter: ${compressionRatio}`);
  },

  async 'watches a leaderboard'(play) {
    const board = play.channel().replaceAll(' ', '-');
    const scores = `/v1/leaderboards/${board}/scores`;
    await play.stage.call(scores, { member: 'ada', score: 10 });
    const client = await play.connected({ claims: { scopes: ['leaderboards:read'] } });
    const sub = client.newSubscription(`leaderboard:${board}`);
    const next = events(sub, 'publication');
    sub.subscribe();
    const first = (await next()).data;
    same(first.entries, [{ rank: 1, member: 'ada', score: 10 }]);
    await play.stage.call(scores, { member: 'bob', score: 20 });
    const second = (await next()).data;
    same(second.entries.map((entry) => entry.member), ['bob', 'ada']);
    truth(second.version > first.version, 'versions grow');
  },

  async 'watches a member of a leaderboard'(play) {
    const board = `${play.channel().replaceAll(' ', '-')}%:1`;
    const scores = `/v1/leaderboards/${encodeURIComponent(board)}/scores`;
    const written = board.replaceAll('%', '%25').replaceAll(':', '%3A');
    const client = await play.connected({ claims: { scopes: ['leaderboards:read'] } });
    const sub = client.newSubscription(`leaderboard:${written}:ada`);
    const next = events(sub, 'publication');
    sub.subscribe();
    let version = 0;
    const shows = async (rank, score, ...previous) => {
      const { data } = await next();
      same([data.board, data.member, data.rank, data.score], [board, 'ada', rank, score]);
      same('previous_rank' in data ? [data.previous_rank] : [], previous);
      truth(Number.isSafeInteger(data.version) && data.version > version, 'versions grow');
      version = data.version;
    };
    await shows(null, null);
    await play.stage.call(scores, { member: 'ada', score: 10 });
    await shows(1, 10, null);
    await play.stage.call(scores, { member: 'bob', score: 20 });
    await shows(2, 10, 1);
  },

  async 'does by rpc what HTTP does'(play) {
    const board = play.channel();
    const client = await play.connected({ claims: { scopes: ['leaderboards:*'] } });
    const path = `/v1/leaderboards/${board}/scores`;
    const done = await client.rpc(`POST ${path}`, { member: 'ada', score: 3 });
    same([done.data.rank, done.data.score], [1, 3]);
    const again = await client.rpc(`POST ${path}`, { member: 'ada', score: 3 });
    same(again.data, await play.stage.call(path, { member: 'ada', score: 3 }));
    const top = await client.rpc(`GET /v1/leaderboards/${board}`, null);
    same(top.data, await play.stage.call(`/v1/leaderboards/${board}`, null, 'main', 'GET'));
    await refused(client.rpc('GET /v1/counters/c', null), 103);
    await refused(client.rpc('anything', {}), 104);
  },

  async 'is refused with the numbers of the protocol'(play) {
    const client = await play.connected();
    await refused(client.publish('leaderboard:js', 1), 103);
    await refused(client.publish(`#bob`, 1), 103);
    await refused(client.publish('x'.repeat(256), 1), 107);
    await refused(client.history('leaderboard:js', { limit: 1 }), 108);
    const sub = client.newSubscription('y'.repeat(256));
    const ended = events(sub, 'unsubscribed');
    sub.subscribe();
    same((await ended()).code, 107);
    const closed = client.newSubscription(play.channel('news:'));
    const denied = events(closed, 'unsubscribed');
    closed.subscribe();
    same((await denied()).code, 103);
    same(client.state, 'connected');
  },
};
