/** Checks of the config file: unknown keys and wrong values are refused, never ignored. */

import { maxFenceCheckMs, maxIdleMs, maxTimeoutMs } from '../core/options.js';
import { quote } from '../core/quote.js';
import { TidemarkError } from '../errors.js';
import type { ConfigFile, ServerSection } from './config.js';

type Check = (value: unknown) => string | undefined;

const text: Check = (value) =>
  typeof value === 'string' && value !== '' ? undefined : 'must be a text that is not empty';
const wholeNumber =
  (min: number, max: number, unit = ''): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? undefined
      : `must be a whole number ${unit}from ${min} to ${max}`;
const milliseconds = (min: number, max: number) => wholeNumber(min, max, 'of milliseconds ');

const serverKeys: Readonly<Record<keyof ServerSection, Check>> = {
  resp: text,
  http: text,
  grpc: text,
  clients: text,
  allowAnonymous: (value) => (typeof value === 'boolean' ? undefined : 'must be true or false'),
  tlsCert: text,
  tlsKey: text,
  tlsClientCa: text,
  keyPrefix: text,
  shutdownTimeoutMs: milliseconds(0, maxTimeoutMs),
  logLevel: text,
  maxConnections: wholeNumber(1, 1_000_000),
  maxRequestBytes: wholeNumber(1_024, 16_777_216),
  maxPipelined: wholeNumber(1, 1_000_000),
  requestTimeoutMs: milliseconds(100, maxTimeoutMs),
};

const keys: Readonly<Record<keyof ConfigFile, Check>> = {
  data: text,
  redis: text,
  ledger: text,
  prefix: text,
  timeoutMs: milliseconds(1, maxTimeoutMs),
  ledgerOutage: (value) =>
    value === 'continue' || value === 'refuse' ? undefined : 'must be "continue" or "refuse"',
  ledgerPatienceMs: milliseconds(10, 60_000),
  fenceCheckMs: (value) => (value === 0 ? undefined : milliseconds(100, maxFenceCheckMs)(value)),
  idleAfterMs: milliseconds(1_000, maxIdleMs),
  server: (value) => {
    if (!isRecord(value)) return 'must be an object';
    for (const [key, each] of Object.entries(value)) {
      const check = Object.hasOwn(serverKeys, key) ? serverKeys[key as keyof ServerSection] : undefined;
      if (check === undefined)
        return `has the unknown key ${quote(key)}; known are ${Object.keys(serverKeys).join(', ')}`;
      const fault = check(each);
      if (fault !== undefined) return `: ${quote(key)} ${fault}`;
    }
    return undefined;
  },
  reservation: policy,
  reservationByType: (value) => {
    if (!isRecord(value)) return 'must be an object with a policy for each type';
    for (const [type, each] of Object.entries(value)) {
      const fault = policy(each);
      if (fault !== undefined) return `: the policy of ${quote(type)} ${fault}`;
    }
    return undefined;
  },
};

/** Settings of each kind of reservation policy; their values are checked by the generator. */
const policyKeys: Readonly<Record<string, readonly string[]>> = {
  fixed: ['size'],
  adaptive: ['initial', 'max', 'growBelowMs', 'shrinkAboveMs'],
};

/**
 * The content of a config file.
 *
 * @param source - the text of the file
 * @param name - how the file is called in messages; its values never are, because they may be passwords
 * @throws TidemarkError `invalid_argument`
 */
export function checkConfigFile(source: string, name: string): ConfigFile {
  let content: unknown;
  try {
    content = JSON.parse(source);
  } catch (error) {
    throw invalid(`the config file ${name} is not JSON${placeOf(error, source)}; correct it`);
  }
  if (!isRecord(content)) throw invalid(`the config file ${name} must hold one JSON object`);
  for (const [key, value] of Object.entries(content)) {
    const check = Object.hasOwn(keys, key) ? keys[key as keyof ConfigFile] : undefined;
    if (check === undefined) {
      const known = Object.keys(keys).join(', ');
      throw invalid(`the config file ${name} has the unknown key ${quote(key)}; known are ${known}`);
    }
    const fault = check(value);
    if (fault !== undefined) throw invalid(`${quote(key)} in the config file ${name} ${fault}`);
  }
  return content;
}

function policy(value: unknown): string | undefined {
  if (!isRecord(value)) return 'must be an object with a "kind"';
  const { kind, ...rest } = value;
  const wanted = typeof kind === 'string' && Object.hasOwn(policyKeys, kind) ? policyKeys[kind] : undefined;
  if (wanted === undefined) return 'must have the "kind" "fixed" or "adaptive"';
  for (const key of wanted) {
    if (!Number.isInteger(rest[key]))
      return `of the kind ${quote(String(kind))} needs a whole number "${key}"`;
  }
  const unknown = Object.keys(rest).find((key) => !wanted.includes(key));
  return unknown === undefined ? undefined : `has the unknown key ${quote(unknown)}`;
}

/** Where JSON.parse stopped. Its own message quotes the text, and with it perhaps a password. */
function placeOf(error: unknown, source: string): string {
  const position = /position (\d+)/.exec(String(error))?.[1];
  if (position === undefined) return '';
  const before = source.slice(0, Number(position)).split('\n');
  return ` (line ${before.length}, column ${before.at(-1)!.length + 1})`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', message);
}
