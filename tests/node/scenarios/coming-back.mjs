// What becomes of clients when their connection breaks. Each is played on every transport.

import { data, events, same, truth, upTo } from '../play.mjs';

export const comingBack = {
  async 'recovers what it missed while its connection was cut'(play) {
    const client = await play.connected();
    const sub = await play.subscribed(client, play.channel());
    const [next, again] = [events(sub, 'publication'), events(sub, 'subscribed')];
    await play.stage.publish(sub.channel, [0]);
    same(await data(next, 1), [0]);
    await play.stage.cut(client.wire);
    await play.stage.publish(sub.channel, upTo(20));
    const ctx = await again();
    same([ctx.wasRecovering, ctx.recovered], [true, true]);
    same(await data(next, 20), upTo(20));
  },

  async 'is told when it cannot recover'(play) {
    const client = await play.connected();
    const sub = await play.subscribed(client, play.channel());
    const [next, again] = [events(sub, 'publication'), events(sub, 'subscribed')];
    await play.interrupt(client, () => play.stage.publish(sub.channel, upTo(101))); // 100 are kept
    const ctx = await again();
    same([ctx.wasRecovering, ctx.recovered, ctx.streamPosition.offset], [true, false, 101]);
    await play.stage.publish(sub.channel, ['after']);
    same(await data(next, 1), ['after']);
  },

  async 'fetches its state anew when it cannot recover'(play) {
    const client = await play.connected();
    const fetched = [];
    const getState = async () => {
      const { offset, epoch } = await client.history(play.channel());
      fetched.push(offset);
      return { offset, epoch };
    };
    await play.stage.publish(play.channel(), upTo(3));
    const sub = await play.subscribed(client, play.channel(), { getState });
    const next = events(sub, 'publication');
    await play.interrupt(client, () => play.stage.publish(sub.channel, [4]));
    same(await data(next, 1), [4]);
    same(fetched, [3]);
    await play.interrupt(client, () => play.stage.publish(sub.channel, upTo(101))); // 100 are kept
    await sub.ready(60_000);
    await play.stage.publish(sub.channel, ['after']);
    same(await data(next, 1), ['after']);
    same(fetched, [3, 105]);
  },

  async 'gets the newest alone where that is all'(play) {
    await play.stage.publish(play.channel('state:'), upTo(3));
    const client = await play.connected();
    const sub = client.newSubscription(play.channel('state:'));
    const [next, subscribed] = [events(sub, 'publication'), events(sub, 'subscribed')];
    sub.subscribe();
    await subscribed();
    same(await data(next, 1), [3]);
    await play.interrupt(client, () => play.stage.publish(sub.channel, [4, 5, 6]));
    same((await subscribed()).recovered, true);
    same(await data(next, 1), [6]);
    await play.stage.publish(sub.channel, [7]);
    same(await data(next, 1), [7]);
  },

  async 'recovers on channels that the service has put it in'(play) {
    const name = play.channel();
    const claims = {
      channels: [`${name}-1`],
      subs: { [`${name}-2`]: { data: { hello: 'you' }, info: { as: 'guest' } } },
    };
    const user = play.channel('user-');
    const client = await play.client({ user, claims });
    const [subscribed, next] = [events(client, 'subscribed'), events(client, 'publication')];
    client.connect();
    const begun = [await subscribed(), await subscribed(), await subscribed()];
    same(begun.map((ctx) => ctx.channel).sort(), [`#${user}`, `${name}-1`, `${name}-2`]);
    same(begun.map((ctx) => ctx.recoverable), [true, true, true]);
    same(begun.find((ctx) => ctx.channel === `${name}-2`).data, { hello: 'you' });
    const { clients } = await client.presence(`${name}-2`);
    same(clients[client._client].chanInfo, { as: 'guest' });
    const heard = async (count) => {
      const found = [];
      while (found.length < count) {
        const ctx = await next();
        found.push(`${ctx.channel} ${ctx.data}`);
      }
      return found.sort();
    };
    for (const channel of [`${name}-1`, `#${user}`]) await play.stage.publish(channel, [1]);
    same(await heard(2), [`#${user} 1`, `${name}-1 1`]);
    await play.interrupt(client, async () => {
      for (const { channel } of begun) await play.stage.publish(channel, [2, 3]);
    });
    const back = [await subscribed(), await subscribed(), await subscribed()];
    same(back.map((ctx) => [ctx.wasRecovering, ctx.recovered]), Array(3).fill([true, true]));
    const expected = begun.flatMap(({ channel }) => [`${channel} 2`, `${channel} 3`]);
    same(await heard(6), expected.sort());
  },

  async 'does not come back when its user is shut out'(play) {
    const user = play.channel('user-');
    const client = await play.connected({ user });
    const gone = events(client, 'disconnected');
    await play.stage.call('/v1/tokens/revoke', { user });
    same((await gone()).code, 3500);
    client.connect();
    same((await gone()).code, 3500);
  },

  async 'does not come back with a wrong token'(play) {
    const client = await play.client({ token: 'no.such.token' });
    const gone = events(client, 'disconnected');
    client.connect();
    const { code, reason } = await gone();
    same([code, reason], [3500, 'invalid token']);
  },

  async 'does not come back after what is no command'(play) {
    const client = await play.connected();
    const gone = events(client, 'disconnected');
    client._transport.send('{"id":', client._session, client._node);
    same((await gone()).code, 3501);
  },

  async 'goes where the service sends it'(play) {
    const user = play.channel('user-');
    const client = await play.connected({ user });
    const api = async (method, body) => {
      const answer = await play.stage.call(`/api/${method}`, { user, ...body });
      same(answer, { result: {} });
    };
    const [entered, left] = [events(client, 'subscribed'), events(client, 'unsubscribed')];
    const next = events(client, 'publication');
    await api('subscribe', { channel: play.channel('news:'), data: { hello: 'you' } });
    let ctx = await entered();
    if (ctx.channel.startsWith('#')) ctx = await entered(); // its own, since it has connected
    same([ctx.channel, ctx.data], [play.channel('news:'), { hello: 'you' }]);
    await play.stage.publish(play.channel('news:'), ['news']);
    same(await data(next, 1), ['news']);
    await api('unsubscribe', { channel: play.channel('news:') });
    same((await left()).channel, play.channel('news:'));

    const sub = await play.subscribed(client, play.channel());
    const ended = events(sub, 'unsubscribed');
    await api('unsubscribe', { channel: sub.channel });
    same((await ended()).code, 2000);

    const [back, gone] = [events(client, 'connecting'), events(client, 'disconnected')];
    await api('disconnect', { disconnect: { code: 4000, reason: 'again, please' } });
    const { code, reason } = await back();
    same([code, reason], [4000, 'again, please']);
    await client.ready(60_000);
    await api('disconnect');
    same((await gone()).code, 3503);
  },
};
