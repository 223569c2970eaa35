/** Redis loses everything; then every conversation that had numbers gets one. */

import { startMariaDb, temporaryFolder } from '../../test/support/servers.js';
import type { BenchOptions } from '../options.js';
import type { Step } from '../results.js';
import { mariaDbArgs } from '../servers/meters.js';
import { line, type Report, stepOf } from './calls.js';
import { Measured } from './measured.js';

export async function measureColdStart(options: BenchOptions, report: Report): Promise<Step[]> {
  const { conversations, underWay, seed } = options;
  const folder = await temporaryFolder();
  const mariaDb = await startMariaDb({ args: mariaDbArgs });
  const setup = { conversations, distribution: 'uniform', batch: 1, seed, mariaDb } as const;
  const peer = await Measured.start({
    name: 'tidemark',
    ...setup,
    folder: folder.path,
    profileFile: undefined,
  });
  try {
    report(`${peer.title}: ${conversations} conversations are brought into use`);
    await peer.fill();
    peer.forget();
    for (let round = 1; round <= options.rounds; round += 1) {
      // Nothing is persisted: the server that comes back is empty and has another history.
      await peer.servers.redis[0]!.kill();
      await peer.servers.redis[0]!.start();
      const figures = await peer.round({ command: 'pass', first: 0, count: conversations, underWay });
      const first = figures.first1000Ms === undefined ? '' : `, the first 1,000 in ${figures.first1000Ms} ms`;
      report(line(peer, `round ${round}`, figures) + first);
    }
    return [stepOf([peer], conversations, underWay, 0)];
  } finally {
    await peer.stop();
    await mariaDb.stop();
    await folder.remove();
  }
}
