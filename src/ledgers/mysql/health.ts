import type { LedgerNotice } from '../../core/ledger.js';
import type { FailureReach } from './server-errors.js';

/**
 * Whether the ledger works, told to one listener at every change.
 *
 *     working ──a call cannot reach the server──▶ unreachable ──any call succeeds────▶ working
 *     working ──the server refuses to write─────▶ readOnly ────a write succeeds──────▶ working
 */
export class Health {
  #state: 'working' | 'unreachable' | 'readOnly' = 'working';
  #cause: unknown;
  #listener: ((notice: LedgerNotice) => void) | undefined;
  readonly #risks = new Map<string, LedgerNotice & { status: 'not_durable' }>();

  /** Replaces the listener. What is wrong already is told to it right after this turn. */
  listen(listener: (notice: LedgerNotice) => void): void {
    this.#listener = listener;
    queueMicrotask(() => {
      if (this.#listener !== listener) return;
      for (const risk of this.#risks.values()) listener(risk);
      if (this.#state !== 'working') listener({ status: 'down', cause: this.#cause });
    });
  }

  succeeded(kind: 'read' | 'write'): void {
    if (this.#state === 'working' || (this.#state === 'readOnly' && kind === 'read')) return;
    this.#state = 'working';
    this.#cause = undefined;
    this.#listener?.({ status: 'up' });
  }

  failed(cause: unknown, reach: FailureReach): void {
    if (reach === 'call') return;
    const wasWorking = this.#state === 'working';
    this.#state = reach === 'connection' ? 'unreachable' : 'readOnly';
    this.#cause = cause;
    if (wasWorking) this.#listener?.({ status: 'down', cause });
  }

  /** Tells a risky setting once, and again when its value has changed. */
  risk(notice: LedgerNotice & { status: 'not_durable' }): void {
    if (this.#risks.get(notice.setting)?.value === notice.value) return;
    this.#risks.set(notice.setting, notice);
    this.#listener?.(notice);
  }

  /** A setting is as it should be, perhaps again. */
  safe(setting: string): void {
    this.#risks.delete(setting);
  }
}
