import type { Epoch } from '../../core/counter-store.js';
import type { RedisConnection } from './connection.js';
import { closed, hasCertainlyNotRun } from './failures.js';
import { failureOf, type Primaries } from './primaries.js';
import type { ScriptName, Scripts } from './scripts.js';

/** What a script would say on a server that has another history. Which one, is only known where the slot is now. */
const moved: readonly unknown[] = ['STALE', 'unknown'];

/** Runs scripts, and whatever else there is to do, on the primary that serves a slot. */
export class ScriptCalls {
  readonly #primaries: Primaries;
  readonly #scripts: () => Scripts;
  #isClosed = false;

  /** @param scripts - asked only when there is a connection */
  constructor(primaries: Primaries, scripts: () => Scripts) {
    this.#primaries = primaries;
    this.#scripts = scripts;
  }

  /** Lets no more calls begin. */
  close(): void {
    this.#isClosed = true;
  }

  /** @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed` */
  async connection(slot: number): Promise<RedisConnection> {
    if (this.#isClosed) throw closed();
    return this.#primaries.connection(slot);
  }

  /** Runs a script that may be run again at any time: after an error the caller looks again. */
  async run(...call: Parameters<ScriptCalls['attempt']>): Promise<unknown> {
    const outcome = await this.attempt(...call);
    if ('lost' in outcome) throw outcome.lost;
    return outcome.reply;
  }

  /**
   * Runs a script.
   *
   * @param conversation - leads to the slot, which all others of the call share; undefined when there are none
   * @returns the reply; or `lost`, the error, when it may have run
   * @throws TidemarkError when it has certainly not run
   */
  async attempt(
    name: ScriptName,
    epoch: Epoch,
    conversation: string | undefined,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<{ readonly reply: unknown } | { readonly lost: Error }> {
    const slot = conversation === undefined ? 0 : this.#primaries.slotOf(conversation);
    const connection = await this.connection(slot);
    const script = this.#scripts()[name];
    const command = ['EVALSHA', script.sha, String(keys.length), ...keys, epoch.history, ...args];
    const sentAtMs = performance.now();
    try {
      const reply = await connection.runScript(script, command);
      if (Array.isArray(reply) && reply[0] === 'DONE') connection.server.done(epoch.history, sentAtMs);
      return { reply };
    } catch (error) {
      if (this.#primaries.moved(slot, connection, error)) return { reply: moved };
      const failure = failureOf(this.#primaries, connection, error);
      if (hasCertainlyNotRun(error)) throw failure;
      return { lost: failure };
    }
  }
}
