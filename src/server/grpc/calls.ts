/** The calls of the contract that have one answer. */

import {
  create,
  type DescMessage,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import type { ServerUnaryCall, sendUnaryData, UntypedServiceImplementation } from '@grpc/grpc-js';
import { Undecodable } from '../../contract/codec.js';
import { Tidemark } from '../../contract/generated/tidemark_pb.js';
import { TidemarkError } from '../../errors.js';
import type { DoorContext } from '../door.js';
import type { Caller } from '../service.js';
import { clientOf, makeCaller, signalOf, timeLeftMs } from './callers.js';
import { failureOf, statusOf } from './failures.js';
import { explanationMessage, gapMessage, nextOptions, numbersMessage, rangeOf } from './messages.js';

type Methods = typeof Tidemark.method;
/** The calls with one answer, each as a function from its request to its answer. */
type Answers = {
  readonly [Name in Exclude<keyof Methods, 'nextStream'>]: (
    request: MessageShape<Methods[Name]['input']>,
    caller: Caller,
  ) => Promise<MessageInitShape<Methods[Name]['output']>>;
};

export function unaryCalls(context: DoorContext): UntypedServiceImplementation {
  const { service, log } = context;
  const answers: Answers = {
    next: async ({ conversation, messageId }, caller) => {
      const { first, repeated } = await service.next(caller, conversation, { messageId });
      return { number: BigInt(first), repeated };
    },
    nextMany: async ({ conversation, count }, caller) =>
      numbersMessage(await service.next(caller, conversation, { count })),
    nextBatch: async ({ items }, caller) => {
      const named = items.map((item) => ({ conversation: item.conversation, ...nextOptions(item) }));
      const results = await service.nextBatch(caller, named);
      return {
        results: results.map((result) => ({
          outcome:
            result instanceof TidemarkError
              ? { case: 'failure' as const, value: failureOf(result, log) }
              : { case: 'numbers' as const, value: numbersMessage(result) },
        })),
      };
    },
    current: async ({ conversation }, caller) => ({
      number: BigInt(await service.current(caller, conversation)),
    }),
    gaps: async ({ conversation, from, to, limit }, caller) => {
      const range = {
        ...(from !== undefined && { from: Number(from) }),
        ...(to !== undefined && { to: Number(to) }),
        ...(limit !== undefined && { limit }),
      };
      return { gaps: (await service.gaps(caller, conversation, range)).map(gapMessage) };
    },
    explain: async ({ conversation, number }, caller) =>
      explanationMessage(await service.explain(caller, conversation, Number(number))),
    take: async ({ conversation, ...item }, caller) => {
      const { open, ...issued } = await service.take(caller, conversation, nextOptions(item));
      return { ...numbersMessage(issued), open };
    },
    settle: async ({ conversation, ...range }, caller) => {
      await service.settle(caller, conversation, rangeOf(range));
      return {};
    },
    renew: async ({ conversation, ...range }, caller) => {
      await service.renew(caller, conversation, rangeOf(range));
      return {};
    },
    abandon: async ({ conversation, ...range }, caller) => {
      await service.abandon(caller, conversation, rangeOf(range));
      return {};
    },
    completeUpTo: async ({ conversation }, caller) => ({
      number: BigInt(await service.completeUpTo(caller, conversation)),
    }),
  };
  return Object.fromEntries(
    Object.entries(answers).map(([name, answer]) => {
      const { output } = Tidemark.method[name as keyof Answers];
      return [name, unary(context, output, answer as Answer)];
    }),
  );
}

type Answer = (request: Message, caller: Caller) => Promise<MessageInitShape<DescMessage>>;

/** Who calls, how long it may take, and the errors around one call. */
function unary({ access, log }: DoorContext, output: DescMessage, answer: Answer) {
  const answered = async (call: ServerUnaryCall<Message, Message>) => {
    const client = clientOf(call, access);
    if (call.request instanceof Undecodable) throw notAMessage();
    return create(output, await answer(call.request, makeCaller(client, signalOf(call), timeLeftMs(call))));
  };
  return (call: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>): void => {
    answered(call).then(
      (message) => reply(null, message),
      (error: unknown) => reply(statusOf(error, log)),
    );
  };
}

export function notAMessage(): TidemarkError {
  return new TidemarkError(
    'invalid_argument',
    'the request is not a message of its type; make it from proto/tidemark/v1/tidemark.proto',
  );
}
