/** What happens on the connections of the HTTP door: slow, malformed, pipelined, encrypted, broken and closing ones. */

import { readFileSync } from 'node:fs';
import https from 'node:https';
import tls from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { createCertificateAuthority, tlsOptions } from '../support/certificates.js';
import {
  HeldCounters,
  type HttpServer,
  type HttpServerOptions,
  readToEnd,
  startHttpServer,
} from '../support/http-server.js';
import { waitUntil } from '../support/wait.js';

async function started(options: HttpServerOptions = {}): Promise<HttpServer> {
  const http = await startHttpServer(options);
  onTestFinished(async () => {
    await http.server.stop(5_000);
  });
  return http;
}

const next = '/v1/conversations/group:c/next';
const request = (length = 0) => `POST ${next} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
const firsts = (text: string) => [...text.matchAll(/"first":(\d+)/g)].map(([, first]) => Number(first));
const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

/** Asked on a connection of its own: how many fetch keeps is its own affair. */
async function metric(http: HttpServer, line: string): Promise<boolean> {
  return (await http.raw(get('/metrics'))).includes(line);
}

it('slow headers, slow bodies and silence end their connections', async () => {
  const http = await started({ limits: { requestTimeoutMs: 300 } });
  const slow = await Promise.all([
    http.raw('POST /v1/next HTTP/1.1\r\nHost:'),
    http.raw(`${request(100).replace('\r\n\r\n', '\r\nContent-Type: application/json\r\n\r\n')}{"cou`),
    http.raw(),
  ]);
  for (const text of slow)
    expect(text).toMatch(/^HTTP\/1\.1 408 [\s\S]*no-store[\s\S]*"code":"invalid_argument"/);
  expect(await metric(http, 'tidemark_connections_refused_total{door="http",reason="slow"} 3')).toBe(true);
  expect((await http.ask('POST', next)).json['first']).toBe(1);
});

it('what is no HTTP is told so, and headers have a bound', async () => {
  const http = await started();
  expect(await http.raw('*1\r\n$4\r\nPING\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*application\/problem\+json/);
  expect(await http.raw(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(
    /^HTTP\/1\.1 431 /,
  );
  // What came before is answered first.
  const text = await http.raw(request() + request(), 'nonsense\r\n\r\n');
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 400']);
  expect(firsts(text)).toEqual([1, 2]);
});

it('pipelined requests are answered in order, more of them than may wait', async () => {
  const http = await started({ limits: { maxPipelined: 10 } });
  const text = await http.raw(request().repeat(3_000), get('/healthz'));
  expect(firsts(text)).toEqual(upTo(3_000));
  expect(text).toContain('"alive":true');
});

it('a bad body does not cut the answers of what follows', async () => {
  const http = await started();
  const bad = `POST ${next} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{`;
  const text = await http.raw(request() + bad + request(), get('/healthz'));
  expect(text.match(/HTTP\/1\.1 \d+/g)?.map((line) => line.slice(9))).toEqual(['200', '400', '200', '200']);
});

it('more connections than there may be are closed at once, and counted', async () => {
  const http = await started({ limits: { maxConnections: 2 } });
  const kept = [await http.connect(), await http.connect()];
  expect(await http.raw()).toBe('');
  for (const socket of kept) socket.destroy();
  await waitUntil('room', () =>
    metric(http, 'tidemark_connections_refused_total{door="http",reason="too_many"}'),
  );
  await waitUntil('the count', () => metric(http, 'tidemark_connections{door="http"} 1'));
});

it('a client that goes away gives its call up', async () => {
  const counters = new HeldCounters();
  const http = await started({ counters });
  counters.hold();
  const socket = await http.connect();
  socket.write(request());
  await waitUntil('the call', async () => counters.waiting > 0);
  socket.destroy();
  await waitUntil('its end', () => metric(http, 'method="next",code="aborted"} 1'));
  counters.release();
  expect((await http.ask('GET', '/v1/conversations/group:c/current')).status).toBe(200);
});

it('a deadline is kept', async () => {
  const counters = new HeldCounters();
  const http = await started({ counters });
  counters.hold();
  const answer = await http.ask('POST', next, {}, { 'Tidemark-Timeout-Ms': '50' });
  expect(answer.json).toMatchObject({ code: 'deadline_exceeded', status: 504, retryable: true });
  counters.release();
});

it('TLS, and clients with certificates', async () => {
  const authority = await createCertificateAuthority();
  onTestFinished(() => authority.remove());
  const [files, own] = await Promise.all([authority.issue(), authority.issue()]);
  const pem = (file: string) => readFileSync(file, 'utf8');
  const material = { cert: pem(files.certFile), key: pem(files.keyFile) };
  const post = (http: HttpServer, anonymous: boolean) =>
    new Promise<string>((resolve, reject) => {
      const sent = https.request(http.url + next, {
        method: 'POST',
        agent: false,
        ...tlsOptions(own, anonymous),
      });
      sent.on('error', reject);
      sent.on('response', (response) => {
        response.setEncoding('utf8');
        response.once('data', resolve);
      });
      sent.end();
    });

  const plain = await started({ tls: material });
  expect(firsts(await post(plain, true))).toEqual([1]);
  expect(await plain.raw(request())).toBe('');

  const mutual = await started({ tls: { ...material, clientCa: pem(authority.caFile) } });
  expect(firsts(await post(mutual, false))).toEqual([1]);
  await expect(post(mutual, true)).rejects.toThrow();
  // Neither an idle connection nor a handshake that never ends keeps the server from stopping.
  const idle = tls.connect({
    port: Number(mutual.address.split(':')[1]),
    host: '127.0.0.1',
    ...tlsOptions(own),
  });
  const ended = readToEnd(idle, [request()]);
  idle.on('error', () => undefined);
  await waitUntil('the answer', async () => idle.bytesRead > 0);
  expect(await mutual.server.stop(5_000)).toBe(true);
  expect(firsts(await ended)).toEqual([2]);
});

it('closing: what is under way is answered, idle and silent connections end at once', async () => {
  const counters = new HeldCounters();
  const http = await started({ counters });
  const [silent, idle] = [await http.connect(), await http.connect()];
  const [busy, last] = [await http.connect(), await http.connect()];
  const ends = [readToEnd(silent), readToEnd(idle, [request()])];
  await waitUntil('the first answer', async () => idle.bytesRead > 0);
  counters.hold();
  const before = counters.waiting;
  const answers = readToEnd(busy, [request() + request()]);
  await waitUntil('the calls', async () => counters.waiting > before);
  const single = readToEnd(last, [request()]);
  await waitUntil('the last call', () => metric(http, 'tidemark_calls_in_flight{door="http"} 3'));
  const stopped = http.server.stop(10_000);
  expect(firsts((await Promise.all(ends))[1]!)).toEqual([1]);
  counters.release();
  const text = await answers;
  expect(firsts(text)).toEqual([2, 3]);
  expect(await single).toMatch(/Connection: close[\s\S]*"first":4/i);
  expect(await stopped).toBe(true);
});

it('closing under load: every request is answered or refused with its connection, and no number is lost', async () => {
  const counters = new HeldCounters();
  const http = await started({ counters });
  const got: number[] = [];
  let isOver = false;
  const clients = Array.from({ length: 20 }, async () => {
    while (!isOver) {
      const answer = await http.ask('POST', next).catch(() => undefined);
      if (answer === undefined) return;
      expect(answer.status).toBe(200);
      got.push(answer.json['first'] as number);
    }
  });
  await waitUntil('load', async () => got.length > 300);
  expect(await http.server.stop(10_000)).toBe(true);
  await Promise.all(clients);
  isOver = true;
  expect(got.sort((a, b) => a - b)).toEqual(upTo(got.length));
});
