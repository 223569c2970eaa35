/** The client processes of a run: started, killed and replaced, suspended, asked whether they get numbers. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compiledFile } from '../support/compiled.js';
import { LogWatch } from '../support/load-log.js';
import type { ClientMessage, ClientOptions } from './client-process.js';

const pollMs = 20;
const maxPrinted = 2_000;
/** Clients that do not end by then are killed. */
const endTimeoutMs = 30_000;

/** One that is running, in the place of others before it. */
export interface RunningClient {
  readonly child: ChildProcess;
  readonly file: string;
  readonly ended: Promise<unknown>;
  readonly watch: LogWatch;
}

export type ClientPlan = Omit<ClientOptions, 'file' | 'seed' | 'stores'> & {
  readonly seed: number;
  readonly storesFor: (slot: number) => ClientOptions['stores'];
  /** The folder that gets the histories. */
  readonly folder: string;
  /** The compiled program; that of this tree unless it is another one's. */
  readonly program?: string;
};

export class Clients {
  /** What those printed that ended by themselves, as if something were wrong. */
  readonly crashes: string[] = [];
  readonly slots: RunningClient[];
  #started = 0;

  constructor(private readonly plan: ClientPlan) {
    this.slots = Array.from({ length: plan.workload.clients }, (_, slot) => this.#start(slot));
  }

  /** Ends a client at once, and starts another in its place after a while. */
  async replace(slot: number, signal: 'SIGKILL' | 'stop', awayMs: number): Promise<void> {
    const client = this.slots[slot]!;
    if (signal === 'stop') send(client.child, { stop: true });
    else client.child.kill(signal);
    await endOf(client);
    await sleep(awayMs);
    this.slots[slot] = this.#start(slot);
  }

  async pause(slot: number, durationMs: number): Promise<void> {
    const { child } = this.slots[slot]!;
    child.kill('SIGSTOP');
    await sleep(durationMs);
    child.kill('SIGCONT');
  }

  turnClock(slot: number, turnClockMs: number): void {
    send(this.slots[slot]!.child, { turnClockMs });
  }

  /** Waits until every client has had so many more numbers; tells whether they had them in time. */
  async running(replies: number, timeoutMs: number): Promise<boolean> {
    const deadlineMs = performance.now() + timeoutMs;
    const wanted = this.slots.map(({ watch }) => watch.count('E') + replies);
    const isSlow = () => this.slots.some(({ watch }, slot) => watch.count('E') < wanted[slot]!);
    while (isSlow()) {
      if (performance.now() > deadlineMs || this.slots.some(({ child }) => hasEnded(child))) return false;
      await sleep(pollMs);
    }
    return true;
  }

  /** Lets all clients finish what they began; tells which did not. */
  async finish(): Promise<string[]> {
    for (const { child } of this.slots) send(child, { stop: true });
    return (await Promise.all(this.slots.map(endOf))).flat();
  }

  kill(): void {
    for (const { child } of this.slots) child.kill('SIGKILL');
  }

  #start(slot: number): RunningClient {
    const { storesFor, folder, program, ...options } = this.plan;
    const number = this.#started;
    this.#started += 1;
    const file = path.join(folder, `client-${number}.log`);
    const all: ClientOptions = {
      ...options,
      stores: storesFor(slot),
      seed: options.seed * 1_000 + number,
      file,
    };
    const child = spawn(
      process.execPath,
      [program ?? compiledFile('test/chaos/client-process.ts'), JSON.stringify(all)],
      { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] },
    );
    let printed = '';
    child.stderr!.on('data', (chunk) => {
      printed = (printed + String(chunk)).slice(-maxPrinted);
    });
    child.once('close', (status) => {
      if (status !== 0 && status !== null) this.crashes.push(`${path.basename(file)} crashed: ${printed}`);
    });
    return { child, file, ended: once(child, 'close'), watch: new LogWatch(file) };
  }
}

/** Waits for the end of a client, and says so if it had to be killed. */
async function endOf({ child, ended, file }: RunningClient): Promise<string[]> {
  const inTime = await Promise.race([ended.then(() => true), sleep(endTimeoutMs, false, { ref: false })]);
  if (inTime) return [];
  child.kill('SIGKILL');
  await ended;
  return [`${path.basename(file)} did not end within ${endTimeoutMs} ms`];
}

function send(child: ChildProcess, message: ClientMessage): void {
  if (child.connected) child.send(message, () => undefined);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
