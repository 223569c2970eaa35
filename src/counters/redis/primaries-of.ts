import { ClusterPrimaries } from './cluster-primaries.js';
import type { Histories } from './histories.js';
import type { RedisSettings } from './options.js';
import { type Primaries, SinglePrimary } from './primaries.js';
import type { PrimaryOpener } from './primary-opener.js';
import { SentinelPrimary } from './sentinel-primary.js';

/** What the options point to. Connects to nothing yet. */
export function primariesOf(
  { target }: RedisSettings,
  opener: PrimaryOpener,
  histories: Histories,
): Primaries {
  if (target.kind === 'cluster') return new ClusterPrimaries(target, opener, histories);
  if (target.kind === 'sentinel') return new SentinelPrimary(target, opener);
  return new SinglePrimary(target.endpoint, (onEnd) => opener.open(target.node, 0, onEnd));
}
