/** Checks requests by their schemas, with messages that say what is wrong where. */

import type { FastifyRequest, FastifySchema, FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { quote } from '../../core/quote.js';
import { TidemarkError } from '../../errors.js';

/** What the parts of a request are called in messages. */
const partNames: Readonly<Record<string, string>> = {
  body: 'the body',
  querystring: 'the query',
  params: 'the path',
  headers: 'the headers',
};
const digits = /^\d{1,15}$/;

/**
 * For Fastify. JSON says what is a number and what is text, so a body is taken as it is. Everything else is text, so what
 * has to be an integer is made one, if it is written as one.
 */
export const validatorCompiler: FastifySchemaCompiler<FastifySchema> = (route) => {
  const { httpPart = '' } = route;
  const schema = httpPart === 'headers' ? inLowerCase(route.schema as ObjectSchema) : route.schema;
  const part = partNames[httpPart] ?? 'the request';
  const integers = httpPart === 'body' ? [] : integersOf(schema);
  const validator = Compile(schema);
  return (given: unknown) => {
    const value = integers.length === 0 ? given : withIntegers(given as Record<string, unknown>, integers);
    if (validator.Check(value)) return { value };
    return { error: refusal(part, schema, validator.Errors(value)) };
  };
};

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, { readonly type?: string }>>;
}

/** As Node gives the names of headers. None of ours is required. */
function inLowerCase({ properties = {} }: ObjectSchema): TSchema {
  const renamed = Object.entries(properties).map(([name, schema]) => [name.toLowerCase(), schema] as const);
  return { type: 'object', properties: Object.fromEntries(renamed) };
}

function integersOf({ properties = {} }: ObjectSchema): string[] {
  return Object.keys(properties).filter((name) => properties[name]?.type === 'integer');
}

function withIntegers(given: Record<string, unknown>, names: readonly string[]): Record<string, unknown> {
  const value = { ...given };
  for (const name of names) {
    const text = value[name];
    if (typeof text === 'string' && digits.test(text)) value[name] = Number(text);
  }
  return value;
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

function refusal(part: string, schema: ObjectSchema, errors: readonly SchemaError[]): TidemarkError {
  // An unknown key is reported twice, and says itself best.
  const unknown = errors.find(({ keyword }) => keyword === 'additionalProperties');
  if (unknown !== undefined) {
    const { additionalProperties = [] } = unknown.params as { additionalProperties?: string[] };
    const known = unknown.instancePath === '' ? Object.keys(schema.properties ?? {}) : [];
    const advice = known.length > 0 ? `; it may have ${known.join(', ')}` : '';
    const where = placeOf(part, unknown.instancePath);
    return invalid(`${where} has the unknown key ${quote(additionalProperties[0] ?? '')}${advice}`);
  }
  const [error] = errors;
  if (error === undefined) return invalid(`${part} is not as it should be; see /openapi.json`);
  return invalid(`${placeOf(part, error.instancePath)} ${error.message}`);
}

function placeOf(part: string, instancePath: string): string {
  return instancePath === '' ? part : `${instancePath.slice(1)} in ${part}`;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The text of a body. Bytes that are no UTF-8 are refused: replaced, two message ids might become one. */
export function textOf(body: Buffer): string {
  try {
    return utf8.decode(body);
  } catch {
    throw invalid('the body is not UTF-8; correct it');
  }
}

/**
 * The message id, from the body or from the header `Idempotency-Key`.
 *
 * @throws TidemarkError `invalid_argument` where both are there and differ, or the header is there twice
 */
export function messageIdOf(request: FastifyRequest, inBody: string | undefined): string | undefined {
  const inHeader = request.headers['idempotency-key'];
  if (typeof inHeader !== 'string') return inBody;
  // Node joins several to one text, which nobody has sent.
  if ((request.raw.headersDistinct['idempotency-key']?.length ?? 0) > 1)
    throw invalid('the header Idempotency-Key is there more than once; send one');
  if (inBody !== undefined && inBody !== inHeader)
    throw invalid('the header Idempotency-Key and messageId in the body differ; send one of them');
  return inHeader;
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', message);
}
