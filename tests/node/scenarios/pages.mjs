// What only browsers do: they tell which page it is that connects.

import { data, events, same } from '../play.mjs';

export const pages = {
  async 'is let in nowhere but where its page may'(play) {
    const name = play.channel('strict-');
    await play.stage.serve(name, { page: 'https://example.com' });
    const client = await play.client({ service: name });
    const [failed, connected] = [events(client, 'error'), events(client, 'connected')];
    client.connect();
    same((await failed()).type, 'transport');
    await failed();
    same([client.state, connected.left], ['connecting', []]);
  },

  async 'recovers over a network that comes back'(play) {
    const inner = await page(); // of its own, since everybody in a page hears of its network
    play.world = { ...play.world, Centrifuge: inner.Centrifuge };
    const client = await play.connected();
    const sub = await play.subscribed(client, play.channel());
    const [next, again] = [events(sub, 'publication'), events(sub, 'subscribed')];
    const gone = events(client, 'connecting');
    inner.dispatchEvent(new Event('offline')); // as a browser does that has lost its network
    same((await gone()).code, 1);
    await play.stage.publish(sub.channel, [1, 2, 3]);
    inner.dispatchEvent(new Event('online'));
    same((await again()).recovered, true);
    same(await data(next, 3), [1, 2, 3]);
  },

  async 'lives no longer than its page'(play) {
    const watcher = await play.connected({ user: 'bob' });
    const sub = await play.subscribed(watcher, play.channel(), { joinLeave: true });
    const [joined, left] = [events(sub, 'join'), events(sub, 'leave')];
    await joined(); // its own
    const inner = await page();
    play.world = { ...play.world, Centrifuge: inner.Centrifuge };
    const client = await play.connected();
    await play.subscribed(client, play.channel());
    same((await joined()).info.user, 'ada');
    inner.frameElement.remove();
    same((await left()).info.user, 'ada');
  },
};

// The window of a page in this one, with a client of its own.
async function page() {
  const frame = document.createElement('iframe');
  document.body.append(frame);
  const script = frame.contentDocument.createElement('script');
  script.src = '/centrifuge.js';
  const loaded = new Promise((done, fail) => Object.assign(script, { onload: done, onerror: fail }));
  frame.contentDocument.head.append(script);
  await loaded;
  return frame.contentWindow;
}
