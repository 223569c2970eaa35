import { maxSequenceNumber } from '../core/counter-word.js';
import type { CompleteMark } from '../core/ledger.js';
import { TidemarkError } from '../errors.js';

/** Refuses complete marks that no ledger could give back as they are. Throws `invalid_argument`. */
export function checkCompleteMarks(marks: readonly CompleteMark[]): void {
  for (const { conversation, completeUpTo } of marks) {
    if (isCompleteUpTo(completeUpTo)) continue;
    const text = `completeUpTo must be a whole number of 0 to ${maxSequenceNumber}, got ${String(completeUpTo)}`;
    throw new TidemarkError('invalid_argument', text, { conversation });
  }
}

/** True for what a complete mark can be. */
export function isCompleteUpTo(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= maxSequenceNumber;
}
