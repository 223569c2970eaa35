import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Client, ClientAnswer, ClientCommand, ClientRun, ClientSetup } from './messages.js';

/** Longest that a client may take beyond the seconds that it was asked to run. */
const patienceMs = 600_000;
const closePatienceMs = 30_000;

/** A client process, seen from the benchmark. */
export class ClientProcess implements Client {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(setup: ClientSetup): Promise<ClientProcess> {
    const program = fileURLToPath(new URL('./client.js', import.meta.url));
    const child = fork(program, [JSON.stringify(setup)], { execArgv: ['--expose-gc'] });
    const client = new ClientProcess(child);
    await client.#answer(patienceMs);
    return client;
  }

  async run(command: ClientCommand): Promise<ClientRun> {
    const seconds = 'seconds' in command ? command.seconds : 0;
    this.#child.send(command);
    const answer = await this.#answer(seconds * 1_000 + patienceMs);
    if (answer.status !== 'done') throw new Error(`a client answered ${answer.status} to ${command.command}`);
    return answer.run;
  }

  /** Closes the peer and waits until the process has ended. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.send({ command: 'close' });
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), closePatienceMs);
    await ended;
    clearTimeout(kill);
  }

  #answer(timeoutMs: number): Promise<ClientAnswer> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#child.off('message', onMessage);
        this.#child.off('exit', onExit);
        settle();
      };
      const timer = setTimeout(
        () => finish(() => reject(new Error(`a client did not answer within ${timeoutMs} ms`))),
        timeoutMs,
      );
      const onMessage = (answer: ClientAnswer) =>
        finish(() => (answer.status === 'failed' ? reject(new Error(answer.message)) : resolve(answer)));
      const onExit = (code: number | null) =>
        finish(() => reject(new Error(`a client ended with status ${code}`)));
      this.#child.once('message', onMessage);
      this.#child.once('exit', onExit);
    });
  }
}
