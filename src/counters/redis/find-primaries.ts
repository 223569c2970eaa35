import { askViews, prevailing } from './cluster-view.js';
import { explainClusterTrouble } from './failures.js';
import { addressText, type NodeSettings } from './node-settings.js';
import type { RedisSettings } from './options.js';
import { Sentinels } from './sentinels.js';

/**
 * The servers that hold the words now, for whoever wants to look at them: one, or all primaries of a cluster.
 *
 * @throws TidemarkError `counter_unavailable`, `counter_unsupported`
 */
export async function findPrimaries({ target }: RedisSettings): Promise<readonly NodeSettings[]> {
  if (target.kind === 'standalone') return [target.node];
  if (target.kind === 'sentinel') {
    const sentinels = new Sentinels(target);
    try {
      return [target.nodeAt(await sentinels.findPrimary())];
    } finally {
      sentinels.close();
    }
  }
  const sources = target.seeds.map((address) => ({ address, connection: undefined }));
  const answers = await askViews(target, sources);
  const found = prevailing(answers);
  if (found === undefined) {
    const failure = answers.find((answer) => 'failure' in answer);
    throw explainClusterTrouble(target.endpoint, failure?.failure);
  }
  const primaries = new Map(found.view.ranges.map(({ address }) => [addressText(address), address]));
  return [...primaries.values()].map((address) => target.nodeAt(address));
}
