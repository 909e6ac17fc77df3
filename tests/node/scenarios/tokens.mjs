// Tokens that end and are replaced. Each is played on every transport. They wait for seconds to
// pass, since the time in tokens is in whole ones, so they are played side by side.

import { data, events, same, truth } from '../play.mjs';

const SHORT = 5; // seconds; whoever needs longer to show a token has one that has expired

export const tokens = {
  async 'replaces its tokens before they expire'(play) {
    const asked = { connection: 0, subscription: 0 };
    const client = await play.client({
      getToken: () => (asked.connection++, play.stage.token({ sub: 'ada' }, SHORT)),
    });
    const channel = play.channel('secret:');
    const sub = client.newSubscription(channel, {
      getToken: ({ channel }) => (
        asked.subscription++, play.stage.token({ sub: 'ada', channel }, SHORT)
      ),
    });
    const trouble = [client, sub].map((one) => events(one, 'error'));
    const gone = [events(client, 'connecting'), events(sub, 'subscribing')];
    const next = events(sub, 'publication');
    sub.subscribe();
    client.connect();
    await sub.ready(60_000);
    const id = client._client;
    while (asked.connection < 2 || asked.subscription < 2) {
      await play.stage.publish(channel, ['still here']);
      same(await data(next, 1), ['still here']);
    }
    await sub.publish('it may');
    same([client._client, client.state, sub.state], [id, 'connected', 'subscribed']);
    same(trouble.flatMap((one) => one.left), []);
    same(gone.map((one) => one.left.length), [1, 1]); // the first time
  },

  async 'fetches a new token when its own has expired'(play) {
    let asked = 0;
    const client = await play.client({
      token: await play.stage.token({ sub: 'ada' }, -10),
      getToken: () => (asked++, play.stage.token({ sub: 'ada' }, 600)),
    });
    const waiting = client.newSubscription(play.channel()); // sent along with the first attempt
    waiting.subscribe();
    client.connect();
    await waiting.ready(60_000);
    same(asked, 1);
    let askedForChannel = 0;
    const channel = play.channel('secret:');
    const sub = await play.subscribed(client, channel, {
      token: await play.stage.token({ sub: 'ada', channel }, -10),
      getToken: () => (askedForChannel++, play.stage.token({ sub: 'ada', channel }, 600)),
    });
    same([askedForChannel, sub.state, client.state], [1, 'subscribed', 'connected']);
  },

  async 'leaves when it gets no new token'(play) {
    let asked = 0;
    const client = await play.client({
      getToken: async () => (asked++ ? '' : play.stage.token({ sub: 'ada' }, SHORT)),
    });
    const gone = events(client, 'disconnected');
    client.connect();
    same((await gone()).code, 1); // the client's own word: unauthorized
    same(asked, 2);
  },

  async 'leaves a channel when it gets no new token for it'(play) {
    const client = await play.connected();
    const channel = play.channel('secret:');
    const tokens = [await play.stage.token({ sub: 'ada', channel }, SHORT), ''];
    const sub = client.newSubscription(channel, { getToken: async () => tokens.shift() });
    const ended = events(sub, 'unsubscribed');
    sub.subscribe();
    await sub.ready(60_000);
    same((await ended()).code, 1); // the client's own word: unauthorized
    same([client.state, sub.state], ['connected', 'unsubscribed']);
  },

  async 'is sent away for the token of somebody else'(play) {
    const client = await play.connected();
    const gone = events(client, 'disconnected');
    const channel = play.channel('secret:');
    const stolen = await play.stage.token({ sub: 'bob', channel });
    client.newSubscription(channel, { token: stolen }).subscribe();
    same((await gone()).code, 3500);
  },

  async 'is let into no channel without its token'(play) {
    const client = await play.connected();
    const sub = client.newSubscription(play.channel('secret:'));
    const ended = events(sub, 'unsubscribed');
    sub.subscribe();
    same((await ended()).code, 103);
    truth(client.state === 'connected', 'the connection lives on');
  },
};
