/** What goes over HTTP, as JSON Schema: requests are checked by it, and the OpenAPI document is made of it. */

import { type Static, type TSchema, Type } from 'typebox';
import { maxSequenceNumber } from '../../core/counter-word.js';
import { gapReasons } from '../../core/ledger.js';
import { maxCountPerCall, maxMessageIdBytes, maxTimeoutMs } from '../../core/options.js';
import { errorCodes } from '../../errors.js';
import { maxBatchConversations } from '../service.js';

/** What may be sent has no other keys: a misspelt one must not change what happens. */
const closed = { additionalProperties: false };

const sequenceNumber = (description: string) =>
  Type.Integer({ minimum: 1, maximum: maxSequenceNumber, description });
const upTo = (description: string) => Type.Integer({ minimum: 0, maximum: maxSequenceNumber, description });

const conversation = Type.String({
  description:
    'Key of the conversation, `<type>:<id>`, with `:` and `%` inside an id written `%3A` and `%25`',
});
const count = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: maxCountPerCall,
    description: 'How many numbers; 1 by default, and with a message id',
  }),
);
const messageId = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: maxMessageIdBytes,
    description: 'Any text that is the same when the message is sent again; it gets the same number then',
  }),
);

export const ConversationPath = Type.Object({ conversation });
export const NumberPath = Type.Object({ conversation, number: sequenceNumber('The number to explain') });
export const GapsQuery = Type.Object(
  {
    from: Type.Optional(sequenceNumber('First number of interest; 1 by default')),
    to: Type.Optional(sequenceNumber('Last number of interest; the highest possible one by default')),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 10_000, description: 'Most gaps in the answer; 1,000 by default' }),
    ),
  },
  closed,
);
export const NoQuery = Type.Object({}, closed);

const timeout = {
  'Tidemark-Timeout-Ms': Type.Optional(
    Type.Integer({ minimum: 1, maximum: maxTimeoutMs, description: 'Deadline of the call, in milliseconds' }),
  ),
};
export const TimeoutHeaders = Type.Object(timeout);
export const IdempotentHeaders = Type.Object({
  ...timeout,
  'Idempotency-Key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: maxMessageIdBytes,
      pattern: '^[\\x20-\\x7e]*$',
      description: 'The message id, as it is; printable ASCII, others go into the body',
    }),
  ),
});

export const NextBody = Type.Object({ count, messageId }, closed);
export const RangeBody = Type.Object(
  { first: sequenceNumber('First number of the take'), last: sequenceNumber('Last number of the take') },
  closed,
);
export const BatchBody = Type.Object(
  {
    items: Type.Array(Type.Object({ conversation, count, messageId }, closed), {
      minItems: 1,
      maxItems: maxBatchConversations,
    }),
  },
  closed,
);

export type ConversationPath = Static<typeof ConversationPath>;
export type NumberPath = Static<typeof NumberPath>;
export type GapsQuery = Static<typeof GapsQuery>;
export type NextBody = Static<typeof NextBody>;
export type RangeBody = Static<typeof RangeBody>;
export type BatchBody = Static<typeof BatchBody>;

const range = { first: sequenceNumber('First number'), last: sequenceNumber('Last number') };
const issued = {
  conversation,
  ...range,
  count: Type.Integer({ minimum: 1, maximum: maxCountPerCall, description: 'How many numbers' }),
  repeated: Type.Boolean({ description: 'True when an earlier call with the same message id took it' }),
};
const generation = Type.Integer({ minimum: 0, description: 'Generation of the counters' });
const milliseconds = (description: string) =>
  Type.Integer({ minimum: 0, description: `${description}, in milliseconds since 1970` });

/** Another named schema of the document. */
export function named(name: keyof typeof namedSchemas): TSchema {
  return Type.Unsafe({ $ref: `${name}#` });
}

/** What is answered, by the names that the OpenAPI document gives it. */
export const namedSchemas = {
  Problem: Type.Object({
    type: Type.String({ description: 'Always `about:blank`: `code` says what it is' }),
    title: Type.String({ description: 'What the status means' }),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.String({ description: 'What happened, and what to do' }),
    code: Type.Enum(Object.keys(errorCodes)),
    retryable: Type.Boolean({ description: 'True when the same call may succeed later without any change' }),
    conversation: Type.Optional(conversation),
  }),
  Issued: Type.Object(issued),
  Taken: Type.Object({
    ...issued,
    open: Type.Boolean({ description: 'False for a repeated take that was settled or abandoned before' }),
  }),
  TakeRange: Type.Object({ conversation, ...range }),
  BatchAnswer: Type.Object({
    items: Type.Array(
      Type.Union([
        Type.Unsafe({ $ref: 'Issued#' }),
        Type.Object({ conversation, problem: Type.Unsafe({ $ref: 'Problem#' }) }),
      ]),
      { description: 'In the order of the request' },
    ),
  }),
  Current: Type.Object({ conversation, current: upTo('The last number issued; 0 for none') }),
  CompleteUpTo: Type.Object({ conversation, completeUpTo: upTo('Readers may read up to it') }),
  Gap: Type.Object({
    ...range,
    reason: Type.Enum(Object.keys(gapReasons)),
    certain: Type.Boolean({ description: 'True: no message has any of these numbers, and none ever will' }),
    generation,
    recordedAtMs: milliseconds('When it was recorded'),
  }),
  Gaps: Type.Object({ conversation, gaps: Type.Array(Type.Unsafe({ $ref: 'Gap#' })) }),
  Explanation: Type.Object({
    conversation,
    number: sequenceNumber('The number'),
    status: Type.Enum(['issued', 'never_issued', 'uncertain', 'not_issued_yet']),
    complete: Type.Optional(
      Type.Boolean({ description: 'Of an issued one: true when readers may read up to it' }),
    ),
    gap: Type.Optional(Type.Unsafe({ $ref: 'Gap#' })),
    sinceMs: Type.Optional(milliseconds('Since when it is uncertain')),
  }),
  Inspection: Type.Object({
    conversation,
    history: Type.String({ description: "Id of the counters' history" }),
    generation,
    word: Type.Optional(
      Type.Object({
        last: upTo('Last number issued'),
        remaining: upTo('How many are left of its block'),
      }),
    ),
    entry: Type.Optional(
      Type.Object({
        ceiling: upTo('No number above it was ever issued'),
        floor: upTo('Numbers up to it were issued, or are in a gap'),
        generation,
        blockSize: Type.Integer({ minimum: 0, description: 'How large the last block was' }),
        reservedAtMs: milliseconds('When that was'),
        frozenUntilMs: milliseconds('Until then nobody reserves; 0 for not at all'),
      }),
    ),
  }),
  Alive: Type.Object({ alive: Type.Boolean() }),
  Readiness: Type.Object({
    ready: Type.Boolean(),
    reasons: Type.Array(Type.String(), {
      description: 'Why it is not ready; what is worth knowing although it is',
    }),
  }),
} as const;
