/** The server: one generator behind up to three doors. */

import type { Logger } from 'pino';
import { conversation } from '../core/conversation.js';
import type { CounterStore } from '../core/counter-store.js';
import type { TidemarkEvent } from '../core/events.js';
import type { Ledger } from '../core/ledger.js';
import { TidemarkError } from '../errors.js';
import type { TuningOptions } from '../open.js';
import { SequenceGenerator } from '../sequence-generator.js';
import { Access, type ClientOptions } from './access.js';
import type { DoorContext, DoorLimits, Listen, OpenDoor, TlsMaterial } from './door.js';
import { openGrpcDoor } from './grpc/grpc-door.js';
import { Health } from './health.js';
import { openHttpDoor } from './http/http-door.js';
import { logEvent } from './log.js';
import { type Door, ServerMetrics } from './metrics.js';
import { openRespDoor } from './resp/resp-door.js';
import { Service } from './service.js';

/** What a server is made of. */
export interface ServerOptions {
  readonly counters: CounterStore;
  readonly ledger: Ledger;
  readonly tuning: TuningOptions;
  /** Where each door listens; doors that are missing stay shut. */
  readonly doors: Readonly<Partial<Record<Door, Listen>>>;
  /** Undefined: everybody may do everything. */
  readonly clients: readonly ClientOptions[] | undefined;
  readonly tls: TlsMaterial | undefined;
  readonly limits: DoorLimits;
  readonly keyPrefix: string;
  readonly version: string;
  readonly log: Logger;
}

const openers: Readonly<Record<Door, (context: DoorContext, listen: Listen) => Promise<OpenDoor>>> = {
  resp: openRespDoor,
  http: openHttpDoor,
  grpc: openGrpcDoor,
};
/** How often a server that has not reached its stores yet tries again, in milliseconds. */
const probeEveryMs = 500;
const probeTimeoutMs = 2_000;

/** A server that listens. */
export class Server {
  readonly doors: readonly OpenDoor[];
  readonly #sequences: SequenceGenerator;
  readonly #access: Access;
  readonly #health: Health;
  readonly #log: Logger;
  #probe: NodeJS.Timeout | undefined;
  #isStopping = false;

  private constructor(
    doors: readonly OpenDoor[],
    sequences: SequenceGenerator,
    access: Access,
    health: Health,
    log: Logger,
  ) {
    this.doors = doors;
    this.#sequences = sequences;
    this.#access = access;
    this.#health = health;
    this.#log = log;
  }

  /**
   * Opens the doors. The stores may still be out of reach: the server is not ready then, and calls wait for them.
   *
   * @throws TidemarkError `invalid_argument` for an address that cannot be used, or options of the generator
   */
  static async start(options: ServerOptions): Promise<Server> {
    const { counters, ledger, tuning, log } = options;
    const access = new Access(options.clients);
    const health = new Health({
      goesOnWithoutLedger: !counters.traits.private && tuning.ledgerOutage !== 'refuse',
    });
    const metrics = new ServerMetrics(() => health.readiness.ready);
    metrics.watch(counters, ledger);
    const onEvent = (event: TidemarkEvent) => {
      metrics.event(event);
      health.event(event);
      logEvent(log, event);
    };
    const sequences = new SequenceGenerator({ ...tuning, counters, ledger, onEvent });
    const { tls, limits, keyPrefix, version } = options;
    const service = new Service(sequences, metrics);
    const context = { service, access, metrics, health, log, tls, limits, keyPrefix, version };
    const doors: OpenDoor[] = [];
    try {
      for (const [door, listen] of Object.entries(options.doors) as [Door, Listen][])
        doors.push(await openers[door](context, listen));
    } catch (error) {
      for (const door of doors) door.destroy();
      await sequences.close().catch(() => undefined);
      throw error;
    }
    const server = new Server(doors, sequences, access, health, log);
    await server.#reachStores();
    return server;
  }

  /** Replaces the clients. Connections that are open keep theirs. */
  reload(clients: readonly ClientOptions[]): void {
    this.#access.replace(clients);
  }

  /**
   * Accepts nothing new, answers what is under way, and closes the generator, which hands its blocks back where the words
   * would end with the process. What is not done by the deadline is cut.
   *
   * @returns true when everything was answered in time
   */
  async stop(timeoutMs: number): Promise<boolean> {
    if (this.#isStopping) return true;
    this.#isStopping = true;
    clearTimeout(this.#probe);
    this.#health.stopping();
    let deadline: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      deadline = setTimeout(() => resolve('late'), timeoutMs);
    });
    const answered = Promise.all(this.doors.map((door) => door.close())).then(() => 'answered' as const);
    const first = await Promise.race([answered, late]);
    clearTimeout(deadline);
    if (first === 'late') {
      this.#log.warn({ timeoutMs }, 'calls are cut: they were not answered before the deadline');
      for (const door of this.doors) door.destroy();
    }
    await this.#sequences.close();
    return first === 'answered';
  }

  /** Looks a conversation up that nobody uses, until the stores answer: this changes nothing. */
  async #reachStores(): Promise<void> {
    if (this.#isStopping) return;
    try {
      await this.#sequences.current(conversation('tidemark', 'probe'), { timeoutMs: probeTimeoutMs });
      this.#health.started();
    } catch (error) {
      this.#health.notStarted(error instanceof TidemarkError ? error.code : 'internal');
      this.#log.warn({ error: String(error) }, 'the stores are not reached yet');
      if (!this.#isStopping) this.#probe = setTimeout(() => void this.#reachStores(), probeEveryMs);
    }
  }
}
