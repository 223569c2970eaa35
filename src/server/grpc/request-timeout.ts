/** Ends calls whose request does not come, so that half requests do not pile up. */

import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { TidemarkError } from '../../errors.js';
import type { DoorContext } from '../door.js';
import { statusOf } from './failures.js';

/** For calls with one request; the messages of a stream may be as far apart as the client likes. */
export function requestTimeout({ limits, log }: DoorContext): ServerInterceptor {
  const timeoutMs = limits.requestTimeoutMs;
  return (method, call) => {
    if (method.requestStream) return new ServerInterceptingCall(call);
    let timer: NodeJS.Timeout | undefined;
    return new ServerInterceptingCall(call, {
      start: (next) => {
        timer = setTimeout(() => {
          const message = `the request was not complete after ${timeoutMs} ms; send it at once`;
          call.sendStatus(statusOf(new TidemarkError('deadline_exceeded', message), log));
        }, timeoutMs);
        next({
          onReceiveMessage: (message: unknown, pass: (message: unknown) => void) => {
            clearTimeout(timer);
            pass(message);
          },
          onCancel: () => clearTimeout(timer),
        });
      },
    });
  };
}
