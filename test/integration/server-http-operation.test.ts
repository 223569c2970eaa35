/** The HTTP door: who may do what, health, metrics, and the OpenAPI document. */

import { readFile } from 'node:fs/promises';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { errorCodes } from '../../src/errors.js';
import { at, expectAs, expectProblem, type OpenApi } from '../support/http-answers.js';
import {
  clientWith,
  type HttpServer,
  type HttpServerOptions,
  startHttpServer,
} from '../support/http-server.js';

let openapi: OpenApi;
let http: HttpServer;

beforeAll(async () => {
  http = await startHttpServer();
  openapi = (await http.ask('GET', '/openapi.json')).json as unknown as OpenApi;
});
afterAll(() => http.server.stop(5_000));

async function started(options: HttpServerOptions): Promise<HttpServer> {
  const other = await startHttpServer(options);
  onTestFinished(async () => {
    await other.server.stop(5_000);
  });
  return other;
}

describe('clients', () => {
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

  it('tokens, rights and conversations', async () => {
    const clients = [
      clientWith('full', { rights: ['issue', 'read', 'admin'] }),
      clientWith('reader', { rights: ['read'] }),
      clientWith('issuer', { rights: ['issue'], conversations: ['group:'] }),
    ];
    const guarded = await started({ clients });
    const next = `${at('group:g')}/next`;
    for (const headers of [{}, bearer('wrong'), { Authorization: 'Basic abc' }, bearer('')]) {
      const answer = await guarded.ask('POST', next, {}, headers);
      expectProblem(answer, 401, 'unauthenticated');
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(JSON.stringify(answer.json)).not.toContain('wrong');
    }
    // Nobody learns what is wrong with a request who may not send one.
    expectProblem(await guarded.ask('POST', next, '{'), 401, 'unauthenticated');
    expect((await guarded.ask('POST', next, {}, bearer('full'))).status).toBe(200);
    expect((await guarded.ask('POST', next, {}, bearer('issuer'))).status).toBe(200);
    expectProblem(await guarded.ask('POST', next, {}, bearer('reader')), 403, 'permission_denied');
    const denied = await guarded.ask('POST', `${at('private:a:b')}/next`, {}, bearer('issuer'));
    expectProblem(denied, 403, 'permission_denied');
    expect(denied.json['conversation']).toBe('private:a:b');
    const batch = { items: [{ conversation: 'group:g' }, { conversation: 'private:a:b' }] };
    expect((await guarded.ask('POST', '/v1/next', batch, bearer('issuer'))).json['items']).toMatchObject([
      { first: 3 },
      { problem: { code: 'permission_denied', status: 403 } },
    ]);
    expectProblem(
      await guarded.ask('GET', `${at('group:g')}/inspect`, undefined, bearer('reader')),
      403,
      'permission_denied',
    );
    expect((await guarded.ask('GET', `${at('group:g')}/inspect`, undefined, bearer('full'))).status).toBe(
      200,
    );

    for (const path of ['/healthz', '/readyz', '/openapi.json'])
      expect((await guarded.ask('GET', path)).status, path).toBe(200);
    expectProblem(await guarded.ask('GET', '/metrics'), 401, 'unauthenticated');
    expectProblem(
      await guarded.ask('GET', '/metrics', undefined, bearer('issuer')),
      403,
      'permission_denied',
    );
    const metrics = await guarded.ask('GET', '/metrics', undefined, bearer('reader'));
    expect(metrics.json['text']).toContain(
      'tidemark_calls_total{door="http",method="next",code="permission_denied"} 2',
    );

    guarded.server.reload([clientWith('new')]);
    expectProblem(await guarded.ask('POST', next, {}, bearer('full')), 401, 'unauthenticated');
    expect((await guarded.ask('POST', next, {}, bearer('new'))).json).toMatchObject({ first: 4 });
  });

  it('a client that asks too much is told when to come back', async () => {
    const limited = await started({ clients: [clientWith('slow', { callsPerSecond: 2 })] });
    const ask = () => limited.ask('POST', `${at('group:g')}/next`, {}, bearer('slow'));
    const answers = [await ask(), await ask(), await ask(), await ask()];
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused) {
      expectProblem(answer, 429, 'rate_limited');
      expect(answer.json['retryable']).toBe(true);
      expect(answer.headers.get('retry-after')).toBe('1');
    }
  });
});

describe('operation', () => {
  it('health, readiness and metrics', async () => {
    expect((await http.ask('GET', '/healthz')).json).toEqual({ alive: true });
    const ready = await http.ask('GET', '/readyz');
    expect(ready.json).toEqual({ ready: true, reasons: [] });
    expectAs('Readiness', ready.json);
    expect((await fetch(`${http.url}/healthz`, { method: 'HEAD' })).status).toBe(200);
    await http.ask('POST', `${at('group:counted')}/next`);
    const metrics = await http.ask('GET', '/metrics');
    expect(metrics.headers.get('content-type')).toContain('text/plain');
    expect(metrics.json['text']).toMatch(/tidemark_numbers_issued_total\{type="group"\} [1-9]/);
  });
});

describe('the OpenAPI document', () => {
  it('is OpenAPI 3.1, and every reference leads somewhere', () => {
    expect(openapi.openapi).toBe('3.1.0');
    expect(openapi.info).toMatchObject({ title: 'Tidemark', version: '1.2.3' });
    const text = JSON.stringify(openapi);
    for (const [, name] of text.matchAll(/"\$ref":"([^"]+)"/g)) {
      expect(name).toMatch(/^#\/components\/schemas\/\w+$/);
      expect(Object.keys(openapi.components.schemas)).toContain(name!.split('/').at(-1));
    }
    // What only JSON Schema, or only OpenAPI 3.0, knows.
    for (const key of ['"$id"', '"definitions"', '"nullable"']) expect(text).not.toContain(key);
    expect(openapi.components.schemas['Problem']).toMatchObject({
      properties: { code: { enum: Object.keys(errorCodes) } },
    });
  });

  it('each operation has a name of its own, its parameters and its answers', () => {
    const operations = Object.entries(openapi.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
    );
    const names = operations.map(({ operation }) => operation.operationId).sort();
    expect(names).toEqual([
      'abandon',
      'completeUpTo',
      'current',
      'explain',
      'gaps',
      'healthz',
      'inspect',
      'metrics',
      'next',
      'nextBatch',
      'readyz',
      'renew',
      'settle',
      'take',
    ]);
    for (const { path, method, operation } of operations) {
      expect(['get', 'post']).toContain(method);
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const parameters = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      expect(parameters.map(({ name }) => name).sort()).toEqual(inPath.sort());
      for (const parameter of parameters) expect(parameter.required).toBe(true);
      for (const answer of Object.values(operation.responses)) expect(answer.description).toMatch(/./);
      if (path.startsWith('/v1')) expect(Object.keys(operation.responses)).toEqual(['200', 'default']);
      if (method === 'post')
        expect(operation.requestBody?.required).toBe(!['next', 'take'].includes(operation.operationId));
    }
    expect(Compile(Type.Object({})).Check(openapi.components.securitySchemes)).toBe(true);
  });

  it('docs/openapi.json is what a server gives: otherwise run npm run openapi', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    const published: unknown = JSON.parse(await readFile('docs/openapi.json', 'utf8'));
    expect(published).toEqual({ ...openapi, info: { ...openapi.info, version } });
  });
});
