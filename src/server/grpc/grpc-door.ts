/** The gRPC door: the calls of proto/tidemark/v1, with the standard services for health and reflection. */

import { Server, ServerCredentials } from '@grpc/grpc-js';
import { serviceDefinition } from '../../contract/codec.js';
import { Health as HealthDescriptor } from '../../contract/generated/health_pb.js';
import { ServerReflection } from '../../contract/generated/reflection_pb.js';
import { Tidemark } from '../../contract/generated/tidemark_pb.js';
import type { DoorContext, Listen, OpenDoor, TlsMaterial } from '../door.js';
import { unaryCalls } from './calls.js';
import { Connections } from './connections.js';
import { statusOf } from './failures.js';
import { HealthService } from './health-service.js';
import { NumberStream, type NumbersCall } from './number-stream.js';
import { ReflectionService } from './reflection-service.js';
import { requestTimeout } from './request-timeout.js';

/** Clients that do not answer a ping are gone, though their connection may not know it: in milliseconds. */
const pingEveryMs = 60_000;
const pingTimeoutMs = 20_000;

export async function openGrpcDoor(context: DoorContext, listen: Listen): Promise<OpenDoor> {
  const { limits, health } = context;
  const server = new Server({
    'grpc.max_receive_message_length': limits.maxRequestBytes,
    'grpc.max_concurrent_streams': limits.maxPipelined,
    'grpc.keepalive_time_ms': pingEveryMs,
    'grpc.keepalive_timeout_ms': pingTimeoutMs,
    'grpc.enable_channelz': 0,
    interceptors: [requestTimeout(context)],
  });
  const streams = new OpenStreams(context);
  const healthService = new HealthService(health);
  const reflection = new ReflectionService([Tidemark, HealthDescriptor, ServerReflection]);
  server.addService(serviceDefinition(Tidemark), {
    ...unaryCalls(context),
    nextStream: (call: NumbersCall) => streams.open(call),
  });
  server.addService(serviceDefinition(HealthDescriptor), healthService.calls);
  server.addService(serviceDefinition(ServerReflection), reflection.calls);
  const injector = server.createConnectionInjector(credentials(context.tls));
  const connections = new Connections(context, injector);
  const address = await connections.listen(listen);
  return {
    door: 'grpc',
    address,
    close: async () => {
      connections.stop();
      const answered = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      for (const part of [streams, healthService, reflection]) part.stop();
      await answered;
      // What is left has not even begun to speak.
      const closed = connections.closed();
      connections.destroy();
      await closed;
    },
    destroy: () => {
      server.forceShutdown();
      connections.destroy();
    },
  };
}

/** The streams that have to be ended before the server can stop. */
class OpenStreams {
  readonly #context: DoorContext;
  readonly #open = new Set<NumberStream>();
  #isStopping = false;

  constructor(context: DoorContext) {
    this.#context = context;
  }

  open(call: NumbersCall): void {
    let stream: NumberStream;
    try {
      stream = new NumberStream(call, this.#context);
    } catch (error) {
      call.emit('error', statusOf(error, this.#context.log));
      return;
    }
    this.#open.add(stream);
    call.once('cancelled', () => this.#open.delete(stream));
    if (this.#isStopping) stream.stop();
  }

  stop(): void {
    this.#isStopping = true;
    for (const stream of this.#open) stream.stop();
  }
}

function credentials(tls: TlsMaterial | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const pair = { private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) };
  const ca = tls.clientCa === undefined ? null : Buffer.from(tls.clientCa);
  return ServerCredentials.createSsl(ca, [pair], ca !== null);
}
