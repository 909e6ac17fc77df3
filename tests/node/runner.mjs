// Plays scenarios and reports what has come of each, in Node and in a browser alike.

import { Play, stageAt } from './play.mjs';
import { channels } from './scenarios/channels.mjs';
import { comingBack } from './scenarios/coming-back.mjs';
import { embedded, services, stored } from './scenarios/services.mjs';
import { sockets } from './scenarios/sockets.mjs';
import { tokens } from './scenarios/tokens.mjs';

const TRANSPORTS = ['websocket', 'http_stream', 'sse'];
const LIMIT = 80_000; // milliseconds, for one scenario: a machine may be slow

// Whatever happens, it is reported; so is that a scenario takes too long.
async function played(scenario, transport, deed, plays) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error('it took too long')), LIMIT);
  });
  try {
    await Promise.race([deed(), late]);
    return { scenario, transport, error: null };
  } catch (error) {
    return { scenario, transport, error: String(error.stack ?? error.message ?? error) };
  } finally {
    clearTimeout(timer);
    plays.forEach((play) => play.end());
  }
}

// Those of `together` are played once, by clients of all transports.
const GROUPS = { channels, comingBack, tokens, sockets, services, embedded, stored };
const TOGETHER = [services, embedded, stored];
const ONE_BY_ONE = [channels, comingBack];

// `world`: {name, Centrifuge, WebSocket, options, scenarios}, what there is to play with; the
// scenarios are more than those that are played everywhere. `only`: names of groups and of
// scenarios. `report(result)` is called as each ends.
export async function run(world, url, report, only) {
  const stage = stageAt(url);
  const groups = { ...GROUPS, [world.name]: world.scenarios ?? {} };

  const each = async (transports, name, deed) => {
    const one = async (transport) => {
      const play = new Play(world, stage, name, transport);
      await report(await played(name, transport, () => deed(play), [play]));
    };
    await Promise.all(transports.map(one));
  };

  const together = async (name, deed) => {
    const plays = TRANSPORTS.map((transport) => new Play(world, stage, name, transport));
    await report(await played(name, 'all', () => deed(plays, stage, world.name), plays));
  };

  const chosen = Object.entries(groups).flatMap(([group, scenarios]) =>
    Object.entries(scenarios)
      .filter(([name]) => only.includes(group) || only.includes(name))
      .map(([name, deed]) => ({ group: scenarios, name, deed })),
  );
  const quick = chosen.filter(({ group }) => ONE_BY_ONE.includes(group));
  const slow = chosen.filter(({ group }) => ![...ONE_BY_ONE, stored].includes(group));

  const oneByOne = async () => {
    for (const { name, deed } of quick) await each(TRANSPORTS, name, deed);
  };
  // The others wait most of the time.
  await Promise.all([
    oneByOne(),
    ...slow.map(({ group, name, deed }) =>
      TOGETHER.includes(group)
        ? together(name, deed)
        : each(group === sockets ? ['websocket'] : TRANSPORTS, name, deed),
    ),
  ]);
  // These disturb everybody.
  for (const { group, name, deed } of chosen) if (group === stored) await together(name, deed);
}
