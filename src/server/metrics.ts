/** What the server counts. The only file that knows prom-client; docs/server.md lists every name, and a test compares. */

import { Counter, collectDefaultMetrics, Gauge, Histogram, type Metric, Registry } from 'prom-client';
import type { CounterStore } from '../core/counter-store.js';
import type { TidemarkEvent } from '../core/events.js';
import type { Ledger } from '../core/ledger.js';
import { CallMeter } from './call-meter.js';
import { DurationMetric } from './durations.js';

/** A way in. */
export type Door = 'resp' | 'http' | 'grpc';

/** Types of conversations that are counted by name; further ones are `other`, so that clients cannot make series at will. */
const maxTypes = 50;
const callSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const batchSizes = [1, 2, 5, 10, 25, 50, 100, 250];

/** What a metric is called, and means. */
export interface MetricDescription {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

export class ServerMetrics {
  readonly #registry = new Registry();
  /** Every metric of Tidemark's own. */
  readonly described: MetricDescription[] = [];
  readonly #issued = this.#counter(
    'tidemark_numbers_issued_total',
    'Numbers issued, by type of conversation',
    ['type'],
  );
  readonly #calls = this.#counter('tidemark_calls_total', 'Calls that ended, by door, method and outcome', [
    'door',
    'method',
    'code',
  ]);
  readonly #durations = this.#durationMetric('tidemark_call_duration_seconds', 'How long calls took', [
    'door',
    'method',
  ]);
  readonly #inFlight = this.#gauge('tidemark_calls_in_flight', 'Calls under way', ['door']);
  readonly #connections = this.#gauge('tidemark_connections', 'Open connections', ['door']);
  readonly #refused = this.#counter(
    'tidemark_connections_refused_total',
    'Connections that were closed for what they sent, or for want of room',
    ['door', 'reason'],
  );
  readonly #takeSize = this.#histogram(
    'tidemark_take_conversations',
    'Conversations that one take of the counter store named',
    batchSizes,
  );
  readonly #storeSeconds = this.#histogram(
    'tidemark_store_call_duration_seconds',
    'How long calls of the stores took',
    callSeconds,
    ['store', 'operation'],
  );
  readonly #storeFailures = this.#counter(
    'tidemark_store_failures_total',
    'Calls of the stores that failed',
    ['store', 'operation'],
  );
  readonly #storeUp = this.#gauge('tidemark_store_up', '1 while the store is reached, 0 while it is not', [
    'store',
  ]);
  readonly #generation = this.#gauge('tidemark_generation', 'Newest generation in use');
  readonly #unbacked = this.#gauge(
    'tidemark_unbacked_conversations',
    'Conversations whose words reach further than the ledger knows',
  );
  readonly #notDurable = this.#gauge(
    'tidemark_ledger_not_durable',
    '1 when the ledger may lose what it has acknowledged',
  );
  readonly #gapNumbers = this.#counter('tidemark_gap_numbers_total', 'Numbers in gaps that were recorded', [
    'reason',
  ]);
  readonly #events: Partial<Record<TidemarkEvent['type'], Counter>> = {
    takeover: this.#counter('tidemark_takeovers_total', 'Lost or stale counter words that were replaced'),
    fenced: this.#counter('tidemark_fenced_total', 'Times that a newer generation was found'),
    refill_late: this.#counter('tidemark_refills_late_total', 'Times that callers waited for a block'),
    ledger_healed: this.#counter('tidemark_ledger_healed_total', 'Ledger entries raised past their words'),
    receipt_lost: this.#counter('tidemark_receipts_lost_total', 'Message ids that got a second number'),
    idle_failed: this.#counter('tidemark_idle_failures_total', 'Looks for idle words that failed'),
  };
  readonly #restored = this.#counter('tidemark_receipts_restored_total', 'Receipts that were put back');
  readonly #drained = this.#counter(
    'tidemark_drained_numbers_total',
    'Unused numbers that went back to the ledger',
  );
  readonly #swept = this.#counter(
    'tidemark_swept_words_total',
    'Words of earlier generations that were deleted',
  );
  /** Events that say more than that they happened. */
  readonly #reactions: { [Type in TidemarkEvent['type']]?: (event: TidemarkEvent & { type: Type }) => void } =
    {
      gap: ({ reason, first, last }) => this.#gapNumbers.labels(reason).inc(last - first + 1),
      generation: ({ generation }) => this.#generation.set(generation),
      unbacked: ({ conversation }) => this.#unbacked.set(this.#unbackedKeys.add(conversation).size),
      backed: ({ conversation }) => {
        this.#unbackedKeys.delete(conversation);
        this.#unbacked.set(this.#unbackedKeys.size);
      },
      store: ({ store, status }) => this.#storeUp.labels(store).set(status === 'up' ? 1 : 0),
      not_durable: () => this.#notDurable.set(1),
      receipts_restored: ({ receipts }) => this.#restored.inc(receipts),
      drained: ({ numbers }) => this.#drained.inc(numbers),
      swept: ({ words }) => this.#swept.inc(words),
    };
  readonly #meters = new Map<Door, Map<string, CallMeter>>();
  /** Numbers issued since somebody read the metrics, by type. */
  readonly #numbers = new Map<string, { issued: number }>();
  readonly #unbackedKeys = new Set<string>();

  readonly #ready = this.#gauge('tidemark_ready', '1 while numbers can be issued, as /readyz says');
  readonly #isReady: () => boolean;

  /** @param isReady - asked whenever somebody reads the metrics */
  constructor(isReady: () => boolean = () => true) {
    this.#isReady = isReady;
    collectDefaultMetrics({ register: this.#registry });
    for (const store of ['counters', 'ledger']) this.#storeUp.labels(store).set(1);
    for (const door of ['resp', 'http', 'grpc']) this.#connections.labels(door).set(0);
  }

  /** What measures the calls of a method through a door. */
  meter(door: Door, method: string): CallMeter {
    let byMethod = this.#meters.get(door);
    if (byMethod === undefined) {
      byMethod = new Map();
      this.#meters.set(door, byMethod);
    }
    let meter = byMethod.get(method);
    if (meter === undefined) {
      const calls = (code: string) => this.#calls.labels(door, method, code);
      meter = new CallMeter(this.#durations.of({ door, method }), calls);
      byMethod.set(method, meter);
    }
    return meter;
  }

  issued(type: string, numbers: number): void {
    const known = this.#numbers.get(type);
    if (known !== undefined) known.issued += numbers;
    else if (this.#numbers.size < maxTypes || type === 'other') this.#numbers.set(type, { issued: numbers });
    else this.issued('other', numbers);
  }

  connected(door: Door): void {
    this.#connections.labels(door).inc();
  }

  disconnected(door: Door): void {
    this.#connections.labels(door).dec();
  }

  /** @param reason - one of a few fixed words */
  refused(door: Door, reason: string): void {
    this.#refused.labels(door, reason).inc();
  }

  /** For the generator's `onEvent`. */
  event(event: TidemarkEvent): void {
    this.#events[event.type]?.inc();
    const react = this.#reactions[event.type] as ((event: TidemarkEvent) => void) | undefined;
    react?.(event);
  }

  /** Measures the calls of the stores that numbers are made of. */
  watch(counters: CounterStore, ledger: Ledger): void {
    const take = this.#timed('counters', 'take', counters.take.bind(counters));
    counters.take = (epoch, requests) => {
      this.#takeSize.observe(requests.length);
      return take(epoch, requests);
    };
    counters.grant = this.#timed('counters', 'grant', counters.grant.bind(counters));
    ledger.reserve = this.#timed('ledger', 'reserve', ledger.reserve.bind(ledger));
    ledger.recordGaps = this.#timed('ledger', 'record_gaps', ledger.recordGaps.bind(ledger));
  }

  /** Everything, as Prometheus reads it. */
  async text(): Promise<{ readonly contentType: string; readonly text: string }> {
    this.#ready.set(this.#isReady() ? 1 : 0);
    this.#settle();
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #timed<Args extends unknown[], Result>(
    store: string,
    operation: string,
    work: (...args: Args) => Promise<Result>,
  ): (...args: Args) => Promise<Result> {
    const seconds = this.#storeSeconds.labels(store, operation);
    const failures = this.#storeFailures.labels(store, operation);
    return async (...args) => {
      const startedAtMs = performance.now();
      try {
        return await work(...args);
      } catch (error) {
        failures.inc();
        throw error;
      } finally {
        seconds.observe((performance.now() - startedAtMs) / 1_000);
      }
    };
  }

  /** What was counted by the million since the last time. */
  #settle(): void {
    for (const [type, numbers] of this.#numbers) {
      this.#issued.labels(type).inc(numbers.issued);
      numbers.issued = 0;
    }
    for (const [door, byMethod] of this.#meters) {
      let inFlight = 0;
      for (const meter of byMethod.values()) inFlight += meter.settle();
      this.#inFlight.labels(door).set(inFlight);
    }
  }

  #counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    this.described.push({ name, help, labels: labelNames });
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, labelNames: readonly string[] = []): Gauge {
    this.described.push({ name, help, labels: labelNames });
    return new Gauge({ name, help, labelNames, registers: [this.#registry] });
  }

  #durationMetric(name: string, help: string, labelNames: readonly string[]): DurationMetric {
    this.described.push({ name, help, labels: labelNames });
    const metric = new DurationMetric(name, help, callSeconds);
    this.#registry.registerMetric(metric as unknown as Metric);
    return metric;
  }

  #histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: readonly string[] = [],
  ): Histogram {
    this.described.push({ name, help, labels: labelNames });
    return new Histogram({ name, help, buckets: [...buckets], labelNames, registers: [this.#registry] });
  }
}
