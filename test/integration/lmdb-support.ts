import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { ReserveRequest } from '../../src/core/ledger.js';
import { compiledFile } from '../support/compiled.js';

/** A process of `lmdb-process.ts`, and what it has said. */
export class LedgerProcess {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(mode: 'hold' | 'reserve', folder: string) {
    this.#child = spawn(process.execPath, [compiledFile('test/integration/lmdb-process.ts'), mode, folder], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: this.#child.stdout! });
    lines.on('line', (line) => this.lines.push(line));
    this.#ended = Promise.all([once(this.#child, 'exit'), once(lines, 'close')]);
  }

  async said(count = 1): Promise<string> {
    const untilMs = Date.now() + 30_000;
    while (this.lines.length < count) {
      if (Date.now() > untilMs) throw new Error(`the process said only ${this.lines.length} lines`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.lines[count - 1]!;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Kills the process, and waits until everything that it has said has arrived. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** Lets the process close its ledger and end. */
  async finish(): Promise<void> {
    this.#child.stdin!.end();
    await this.#ended;
  }
}

export function request(
  conversation: string,
  generation = 1,
  more: Partial<ReserveRequest> = {},
): ReserveRequest {
  return { conversation, generation, saw: undefined, need: 1, policy: { kind: 'fixed', size: 10 }, ...more };
}
