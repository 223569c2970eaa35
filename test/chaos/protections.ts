/**
 * Protections that can be switched off one by one, to see that the judge finds it out. Each is a change of one place in a copy
 * of the compiled tree.
 */

import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { compiledFile, repositoryRoot } from '../support/compiled.js';
import type { FaultName } from './fault-kinds.js';
import type { Workload } from './schedule.js';

export interface Protection {
  readonly name: string;
  /** See ARCHITECTURE.md. */
  readonly invariant: string;
  readonly what: string;
  /** Below the compiled tree. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** How many schedules the simulation may need to find out; it cannot where this is missing. */
  readonly simulatedRuns?: number;
  /** With faults that show it sooner; any faults where this is missing. See simulation/plan.ts. */
  readonly simulatedFamily?: string;
  /** How many runs on real servers may be needed, with which faults; they cannot where this is missing. */
  readonly campaign?: {
    readonly runs: number;
    readonly faults: readonly FaultName[];
    readonly workload?: Partial<Workload>;
  };
}

const recovery = 'src/core/recovery.js';
const reservations = 'src/core/reservations.js';
const gapRecorder = 'src/core/gap-recorder.js';
const takeScript = 'src/counters/redis/scripts/take.lua';
const simulatedStore = 'test/support/simulated-counter-store.js';
const losing: readonly FaultName[] = ['restart-counters', 'flush'];

export const protections: readonly Protection[] = [
  {
    name: 'fence',
    invariant: 'I6',
    what: 'the ledger refuses those who come with an older generation',
    file: recovery,
    find: 'if (entry !== undefined && entry.generation > generation) {',
    replace: 'if (false) {',
    simulatedRuns: 3_000,
    simulatedFamily: 'isolated nodes',
    campaign: {
      runs: 10,
      faults: ['split-brain', 'split-brain'],
      workload: { clients: 4, conversations: 200, skew: 1, firstBlock: 4, fenceCheckMs: 1_000 },
    },
  },
  {
    name: 'history-of-takes',
    invariant: 'I4',
    what: 'a take touches nothing in another history than it believes in',
    file: takeScript,
    find: "if history ~= ARGV[1] then return {'STALE', history} end",
    replace: '',
    campaign: { runs: 5, faults: ['promote-lagging-replica', 'restore-old-counters'] },
  },
  {
    name: 'history-of-simulated-takes',
    invariant: 'I4',
    what: 'the same, of the simulated store',
    file: simulatedStore,
    find: '        if (epoch.history !== redis.history)\n            return this.#stale(redis);\n        const results = requests',
    replace: '        const results = requests',
    simulatedRuns: 500,
    simulatedFamily: 'split brains',
  },
  {
    name: 'words-of-older-generations',
    invariant: 'I6',
    what: 'a word of a new generation takes the place of the older ones of its slot',
    file: simulatedStore,
    find: 'redis.words.delete(wordKey(conversation, { ...epoch, generation }));',
    replace: '{}',
    simulatedRuns: 1_000,
    simulatedFamily: 'moved slots',
  },
  {
    name: 'gap-of-takeovers',
    invariant: 'I7',
    what: 'what a takeover skips is recorded',
    file: recovery,
    find: "const gap = kind === 'takeover' ? takeoverGap(entry, request) : undefined;",
    replace: 'const gap = undefined;',
    simulatedRuns: 200,
    campaign: { runs: 5, faults: losing },
  },
  {
    name: 'gap-of-lost-replies',
    invariant: 'I7',
    what: 'what a lost reply may have taken is recorded before its conversation goes on',
    file: gapRecorder,
    find: 'if (gaps.length > 0)\n                    await this.#ledger.recordGaps(gaps);',
    replace: '',
    simulatedRuns: 200,
  },
  {
    name: 'gap-of-callers-that-gave-up',
    invariant: 'I7',
    what: 'numbers whose callers gave up are recorded',
    file: gapRecorder,
    find: '                await this.#ledger.recordGaps(gaps);\n                failures = 0;',
    replace: '                failures = 0;',
    simulatedRuns: 1_000,
    campaign: {
      runs: 5,
      faults: ['counter-latency'],
      workload: { mix: { many: 0.2, messageIds: 0, tracked: 0, impatient: 0.5 } },
    },
  },
  {
    name: 'extend-rule',
    invariant: 'I5',
    what: 'a block extends only the word that ends where it begins',
    file: simulatedStore,
    find: 'if (word === undefined || word.last + word.remaining !== block.start)',
    replace: 'if (word === undefined)',
    simulatedRuns: 700,
    simulatedFamily: 'lost words',
  },
  {
    name: 'install-rule',
    invariant: 'I5',
    what: 'a block is installed only over a lower word',
    file: simulatedStore,
    find: "if (mode === 'install' && (word === undefined || word.last + word.remaining < block.start)) {",
    replace: "if (mode === 'install') {",
    simulatedRuns: 1_500,
    simulatedFamily: 'lost entries',
  },
  {
    name: 'install-expiry',
    invariant: 'I8',
    what: 'an install that is late is refused',
    file: simulatedStore,
    find: "if (mode === 'install' && this.#timeOf(redis) > expiresAtStoreTimeMs)\n            return false;",
    replace: '',
    simulatedRuns: 1_000,
    simulatedFamily: 'late installs',
  },
  {
    name: 'receipts',
    invariant: 'I10',
    what: 'the receipt of a message id is kept in the step that takes its number',
    file: takeScript,
    find: "local kept = isTaken and pcall('SET', receipt, string.format('%d', taken % UNIT), 'PX', ttl, 'NX')",
    replace: "local kept = isTaken and {ok = 'OK'}",
    campaign: {
      runs: 3,
      faults: ['cut-counters'],
      workload: { conversations: 5, mix: { many: 0, messageIds: 0.8, tracked: 0, impatient: 0 } },
    },
  },
  {
    name: 'refill-order',
    invariant: 'I1',
    what: 'a word is extended after the ledger says that it may be',
    file: reservations,
    find: 'return this.outage.trouble === undefined ? this.#reserve(fresh) : this.#extendAllUnbacked(fresh);',
    replace:
      "return this.#options.ledgerOutage === 'refuse' || fresh.some(({ look }) => look.saw === undefined) ? this.#reserve(fresh) : this.#extendAllUnbacked(fresh);",
    simulatedRuns: 500,
    simulatedFamily: 'losses, unbacked if need be',
    campaign: {
      runs: 10,
      faults: ['restart-counters', 'kill-client', 'kill-client', 'kill-client', 'kill-client'],
      workload: { ledgerOutage: 'continue', firstBlock: 8 },
    },
  },
  {
    name: 'commit',
    invariant: 'I1',
    what: 'a reservation is committed before it is used',
    file: 'src/ledgers/mysql/transaction.js',
    find: "'COMMIT'",
    replace: "'ROLLBACK'",
    campaign: { runs: 3, faults: losing },
  },
  {
    name: 'takeover-above-ceiling',
    invariant: 'I2',
    what: 'a takeover begins above every number that may have been issued',
    file: recovery,
    find: 'const { conversation, generation, saw } = request;',
    replace:
      "const { conversation, generation, saw } = request; if (kind === 'takeover') start = entry.floor;",
    simulatedRuns: 200,
    campaign: { runs: 5, faults: losing },
  },
];

/** Makes a compiled tree in which a protection is switched off, and returns its folder. */
export function withoutProtection({ name, file, find, replace }: Protection): string {
  const compiled = compiledFile('');
  const folder = path.join(repositoryRoot, '.cache', `without-${name}-${process.pid}`);
  // A copy belongs to the process that made it.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const text = readFileSync(path.join(compiled, file), 'utf8');
  if (text.split(find).length !== 2)
    throw new Error(`what is to be switched off for ${name} is in ${file} not exactly once`);
  for (const part of ['src', 'test'])
    cpSync(path.join(compiled, part), path.join(folder, part), { recursive: true });
  writeFileSync(
    path.join(folder, file),
    text.replace(find, () => replace),
  );
  return folder;
}

export function protectionCalled(name: string): Protection {
  const found = protections.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no protection ${name}`);
  return found;
}
