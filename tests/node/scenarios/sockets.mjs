// What only a WebSocket has.

import { data, events, same, truth, upTo } from '../play.mjs';

export const sockets = {
  async 'sends a hundred subscribes in one frame'(play) {
    const client = await play.client({ websocket: counting(play.world.WebSocket) });
    const subs = upTo(100).map((n) => client.newSubscription(play.channel(`${n}-`)));
    subs.forEach((sub) => sub.subscribe());
    client.connect();
    await Promise.all(subs.map((sub) => sub.ready(60_000)));
    same(client._transport._transport.sent, 1); // and it has the connect command in it, too
  },

  async 'is sent away for good after a message too large'(play) {
    const client = await play.connected();
    const gone = events(client, 'disconnected');
    client.publish(play.channel(), 'x'.repeat(70_000)).catch(() => {});
    same((await gone()).code, 3); // the client's own word for 1009: message size limit
  },

  async 'is told to come back when it answers no ping'(play) {
    const name = play.channel('deaf-');
    await play.stage.serve(name, { options: ['--ws-ping-interval', '1', '--ws-pong-timeout', '0.5'] });
    const websocket = mute(play.world.WebSocket);
    const client = await play.connected({ service: name, websocket });
    const sub = await play.subscribed(client, play.channel());
    const [told, again] = [events(client, 'connecting'), events(sub, 'subscribed')];
    const { code, reason } = await told();
    same([code, reason], [3012, 'no pong']);
    same((await again()).recovered, true);
  },

  async 'reads what is compressed'(play) {
    const name = play.channel('deflating-');
    await play.stage.serve(name, { options: ['--ws-deflate', 'true', '--ws-deflate-bytes', '100'] });
    const [reader, other] = [
      await play.connected({ service: name }),
      await play.connected({ service: name, user: 'bob' }),
    ];
    truth(
      reader._transport._transport.extensions.includes('permessage-deflate'),
      'compression is negotiated',
    );
    const subs = await Promise.all(
      [reader, other].map((client) => play.subscribed(client, play.channel())),
    );
    const readers = subs.map((sub) => events(sub, 'publication'));
    const texts = upTo(40).map((n) => `${n} ü `.repeat(n * n));
    await play.stage.publish(play.channel(), texts.slice(0, 20), name);
    for (const next of readers) same(await data(next, 20), texts.slice(0, 20));
    await play.interrupt(reader, () => play.stage.publish(play.channel(), texts.slice(20), name));
    for (const next of readers) same(await data(next, 20), texts.slice(20));
    await subs[1].publish('x'.repeat(1000)); // the client compresses, too
    for (const next of readers) same(await data(next, 1), ['x'.repeat(1000)]);
  },
};

function counting(WebSocket) {
  return class extends WebSocket {
    sent = 0;

    send(...args) {
      this.sent += 1;
      super.send(...args);
    }
  };
}

// Sends everything but pongs.
function mute(WebSocket) {
  return class extends WebSocket {
    send(text) {
      if (text !== '{}') super.send(text);
    }
  };
}
