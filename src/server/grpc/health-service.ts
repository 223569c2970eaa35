/** The standard health service, by which load balancers ask. It needs no token. */

import { create, type Message } from '@bufbuild/protobuf';
import type {
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { status as grpcStatus, Metadata } from '@grpc/grpc-js';
import {
  type HealthCheckRequest,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../contract/generated/health_pb.js';
import { Tidemark } from '../../contract/generated/tidemark_pb.js';
import type { Health } from '../health.js';

/** How often the status is looked at while somebody watches it, in milliseconds. */
const lookEveryMs = 200;
/** The server as a whole, and the one service whose calls need the stores. */
const known: readonly string[] = ['', Tidemark.typeName];

type WatchCall = ServerWritableStream<HealthCheckRequest, Message>;

export class HealthService {
  readonly #health: Health;
  readonly #watches = new Map<WatchCall, ServingStatus>();
  #timer: NodeJS.Timeout | undefined;

  constructor(health: Health) {
    this.#health = health;
  }

  get calls(): UntypedServiceImplementation {
    return {
      check: (call: ServerUnaryCall<HealthCheckRequest, Message>, reply: sendUnaryData<Message>) => {
        const status = this.#statusOf(call.request.service);
        if (status !== ServingStatus.SERVICE_UNKNOWN) reply(null, answer(status));
        else reply({ code: grpcStatus.NOT_FOUND, details: 'no such service here', metadata: new Metadata() });
      },
      watch: (call: WatchCall) => this.#watch(call),
    };
  }

  /** Tells those who watch that the server stops, and ends their calls. */
  stop(): void {
    clearInterval(this.#timer);
    this.#look();
    for (const call of this.#watches.keys()) call.end();
    this.#watches.clear();
  }

  #watch(call: WatchCall): void {
    const status = this.#statusOf(call.request.service);
    call.write(answer(status));
    this.#watches.set(call, status);
    if (this.#watches.size === 1) this.#timer = setInterval(() => this.#look(), lookEveryMs).unref();
    call.once('cancelled', () => {
      this.#watches.delete(call);
      if (this.#watches.size === 0) clearInterval(this.#timer);
    });
  }

  #look(): void {
    for (const [call, told] of this.#watches) {
      const status = this.#statusOf(call.request.service);
      // Who does not read is told when it does.
      if (status === told || call.writableNeedDrain) continue;
      call.write(answer(status));
      this.#watches.set(call, status);
    }
  }

  /** A request that cannot be decoded names no service, and so none that is known. */
  #statusOf(service: string | undefined): ServingStatus {
    if (service === undefined || !known.includes(service)) return ServingStatus.SERVICE_UNKNOWN;
    return this.#health.readiness.ready ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }
}

function answer(status: ServingStatus): Message {
  return create(HealthCheckResponseSchema, { status });
}
