/** HTTP and JSON: the calls under `/v1`, health and metrics. */

import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { DoorContext, Listen, OpenDoor } from '../door.js';
import { listenOn } from '../listen.js';
import { createApplication } from './application.js';
import { HttpConnections } from './connections.js';
import { problemOf, problemType, RefusedRequest } from './problems.js';

/** How long a connection may be idle, in milliseconds: longer than load balancers keep theirs, so they close first. */
const keepAliveTimeoutMs = 65_000;
/** Bytes of the first line and the headers of a request. */
const maxHeaderBytes = 16_384;
/** How often Node looks for slow requests, at least. */
const slowCheckMs = 1_000;

export async function openHttpDoor(context: DoorContext, listen: Listen): Promise<OpenDoor> {
  let connections: HttpConnections | undefined;
  const app = await createApplication(context, (handler) => {
    const server = createServer(context, (request, response) => {
      connections?.began(request, response);
      handler(request, response);
    });
    connections = new HttpConnections(server, context.tls !== undefined, context);
    return server;
  });
  const { server } = app;
  const opened = connections!;
  // Fastify's own handler knows nothing of answers that are under way.
  server.removeAllListeners('clientError');
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) =>
    refuse(opened, error.code ?? '', socket),
  );
  const address = await listenOn(server, listen);
  server.on('error', (error) => context.log.error({ error: String(error) }, 'the HTTP door has a problem'));
  return {
    door: 'http',
    address,
    close: () => opened.close(),
    destroy: () => opened.destroy(),
  };
}

function createServer({ tls, limits }: DoorContext, handler: RequestListener): Server {
  const { requestTimeoutMs } = limits;
  const options = {
    maxHeaderSize: maxHeaderBytes,
    keepAliveTimeout: keepAliveTimeoutMs,
    headersTimeout: requestTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(slowCheckMs, Math.ceil(requestTimeoutMs / 4)),
  };
  if (tls === undefined) return createHttpServer(options, handler);
  const { cert, key, clientCa } = tls;
  return createHttpsServer(
    {
      ...options,
      cert,
      key,
      minVersion: 'TLSv1.2',
      handshakeTimeout: requestTimeoutMs,
      ...(clientCa !== undefined && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    },
    handler,
  );
}

/** Why a connection ends that speaks no HTTP any more: in metrics, and what its client is told. */
const refusals: Readonly<Record<string, readonly [reason: string, status: number, message: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['slow', 408, 'the request did not come in time; send it faster'],
  HPE_HEADER_OVERFLOW: ['too_large', 431, `the headers have more than ${maxHeaderBytes} bytes; send fewer`],
};
const malformed = ['malformed', 400, 'this is not HTTP/1.1; correct the request'] as const;

function refuse(connections: HttpConnections, code: string, socket: Socket): void {
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    socket.destroy();
    return;
  }
  const isHttp = code.startsWith('HPE_') || code.startsWith('ERR_HTTP_');
  const [reason, status, message] = refusals[code] ?? malformed;
  connections.refuse(socket, isHttp ? reason : 'tls', rawAnswer(new RefusedRequest(status, message)));
}

function rawAnswer(error: RefusedRequest): string {
  const problem = problemOf(error);
  const body = JSON.stringify(problem);
  return [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    `Content-Type: ${problemType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
