import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, expectAs, expectProblem } from '../support/http-answers.js';
import { type HttpServer, startHttpServer } from '../support/http-server.js';

let http: HttpServer;

beforeAll(async () => {
  http = await startHttpServer();
});
afterAll(() => http.server.stop(5_000));

it('a web page may not call a server that asks for no token', async () => {
  const path = `${at('group:pages')}/next`;
  for (const headers of [{ Origin: 'http://evil.example' }, { 'Sec-Fetch-Site': 'cross-site' }])
    expectProblem(await http.ask('POST', path, {}, headers), 403, 'permission_denied', /web page/);
  expect((await http.ask('GET', `${at('group:pages')}/current`)).json['current']).toBe(0);
});

describe('calls', () => {
  it('next: one number, a range, and none is left out', async () => {
    const first = await http.ask('POST', `${at('group:next')}/next`);
    expect(first.json).toEqual({ conversation: 'group:next', first: 1, last: 1, count: 1, repeated: false });
    expectAs('Issued', first.json);
    expect(first.headers.get('cache-control')).toBe('no-store');
    expect(first.headers.get('etag')).toBeNull();
    expect((await http.ask('POST', `${at('group:next')}/next`, { count: 10 })).json).toMatchObject({
      first: 2,
      last: 11,
      count: 10,
    });
    const many = await Promise.all(
      Array.from({ length: 200 }, () => http.ask('POST', `${at('group:next')}/next`, {})),
    );
    const numbers = many.map(({ json }) => json['first'] as number).sort((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: 200 }, (_, index) => 12 + index));
    const current = await http.ask('GET', `${at('group:next')}/current`);
    expect(current.json).toEqual({ conversation: 'group:next', current: 211 });
    expectAs('Current', current.json);
  });

  it('next with a message id, in the body or as Idempotency-Key: the same number again', async () => {
    const path = `${at('group:ids')}/next`;
    const key = { 'Idempotency-Key': 'm1' };
    expect((await http.ask('POST', path, undefined, key)).json).toMatchObject({ first: 1, repeated: false });
    expect((await http.ask('POST', path, undefined, key)).json).toMatchObject({ first: 1, repeated: true });
    expect((await http.ask('POST', path, { messageId: 'm1' })).json).toMatchObject({
      first: 1,
      repeated: true,
    });
    expect((await http.ask('POST', path, { messageId: 'm1' }, key)).json).toMatchObject({ repeated: true });
    expect((await http.ask('POST', path, { messageId: 'é' })).json).toMatchObject({ first: 2 });
    expectProblem(await http.ask('POST', path, { messageId: 'm2' }, key), 400, 'invalid_argument', /differ/);
    expectProblem(await http.ask('POST', path, { count: 2 }, key), 400, 'invalid_argument', /one number/);
    expectProblem(
      await http.ask('POST', path, undefined, { 'Idempotency-Key': 'é' }),
      400,
      'invalid_argument',
      /idempotency-key in the headers/i,
    );
    const twice = await http.raw(
      `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n`,
    );
    expect(twice).toMatch(/^HTTP\/1.1 400 [\s\S]*more than once/);
    expect((await http.ask('GET', `${at('group:ids')}/current`)).json['current']).toBe(2);
  });

  it('a batch: each item has its number or its problem', async () => {
    const answer = await http.ask('POST', '/v1/next', {
      items: [
        { conversation: 'group:b1' },
        { conversation: 'nonsense' },
        { conversation: 'private:zoe:amy', count: 3 },
        { conversation: 'group:b1', messageId: 'x' },
      ],
    });
    expect(answer.status).toBe(200);
    expectAs('BatchAnswer', answer.json);
    expect(answer.json['items']).toMatchObject([
      { conversation: 'group:b1', count: 1 },
      { conversation: 'nonsense', problem: { code: 'invalid_conversation', status: 400, retryable: false } },
      { conversation: 'private:amy:zoe', first: 1, last: 3, count: 3 },
      { conversation: 'group:b1', count: 1 },
    ]);
    const items = Array.from({ length: 1_001 }, () => ({ conversation: 'group:b1' }));
    expectProblem(
      await http.ask('POST', '/v1/next', { items }),
      400,
      'invalid_argument',
      /items in the body/,
    );
    expectProblem(await http.ask('POST', '/v1/next', { items: [] }), 400, 'invalid_argument');
    expectProblem(
      await http.ask(
        'POST',
        '/v1/next',
        { items: [{ conversation: 'group:b1' }] },
        { 'Idempotency-Key': 'a' },
      ),
      400,
      'invalid_argument',
      /each item/,
    );
  });

  it('takes: open, renewed, settled, abandoned, explained, complete up to', async () => {
    const path = at('group:takes');
    const taken = await http.ask('POST', `${path}/takes`, { count: 3 });
    expectAs('Taken', taken.json);
    expect(taken.json).toMatchObject({ first: 1, last: 3, count: 3, repeated: false, open: true });
    expect((await http.ask('GET', `${path}/complete-up-to`)).json['completeUpTo']).toBe(0);
    const range = { first: 1, last: 3 };
    for (const end of ['renew', 'settle']) {
      const answer = await http.ask('POST', `${path}/takes/${end}`, range);
      expect(answer.json).toEqual({ conversation: 'group:takes', ...range });
      expectAs('TakeRange', answer.json);
    }
    const complete = await http.ask('GET', `${path}/complete-up-to`);
    expect(complete.json).toEqual({ conversation: 'group:takes', completeUpTo: 3 });
    expectAs('CompleteUpTo', complete.json);

    const message = { 'Idempotency-Key': 'm' };
    expect((await http.ask('POST', `${path}/takes`, {}, message)).json).toMatchObject({
      first: 4,
      open: true,
    });
    expect((await http.ask('POST', `${path}/takes/abandon`, { first: 4, last: 4 })).status).toBe(200);
    const repeated = await http.ask('POST', `${path}/takes`, {}, message);
    expect(repeated.json).toMatchObject({ first: 4, repeated: true, open: false });

    const gaps = await http.ask('GET', `${path}/gaps?from=1&to=100&limit=5`);
    expectAs('Gaps', gaps.json);
    expect(gaps.json['gaps']).toMatchObject([{ first: 4, last: 4, reason: 'abandoned', certain: true }]);
    expect((await http.ask('GET', `${path}/gaps?from=5`)).json['gaps']).toEqual([]);
    const statuses = { 1: 'issued', 4: 'never_issued', 99: 'not_issued_yet' };
    for (const [number, status] of Object.entries(statuses)) {
      const explained = await http.ask('GET', `${path}/numbers/${number}`);
      expect(explained.json).toMatchObject({ conversation: 'group:takes', number: Number(number), status });
      expectAs('Explanation', explained.json);
    }
    const inspected = await http.ask('GET', `${path}/inspect`);
    expectAs('Inspection', inspected.json);
    expect(inspected.json).toMatchObject({ conversation: 'group:takes', generation: 1, word: { last: 4 } });
    const none = await http.ask('GET', `${at('group:nobody')}/inspect`);
    expectAs('Inspection', none.json);
    expect(none.json['word']).toBeUndefined();
  });

  it('a conversation in the path is decoded once', async () => {
    const written: [path: string, key: string][] = [
      ['group:p1', 'group:p1'],
      ['group%3Ap1', 'group:p1'],
      ['group%3Aa%253Ab', 'group:a%3Ab'],
      ['group:a%253Ab', 'group:a%3Ab'],
      ['group%3Aa%252541', 'group:a%2541'],
      ['group%3A%C3%A9%2F%3F%23', 'group:é/?#'],
      ['private:b:a', 'private:a:b'],
      [encodeURIComponent('private:a%3Ab:c%25d'), 'private:a%3Ab:c%25d'],
      [
        encodeURIComponent(`private:${'漢'.repeat(85)}:${'字'.repeat(85)}`),
        `private:${'字'.repeat(85)}:${'漢'.repeat(85)}`,
      ],
    ];
    for (const [path, key] of written) {
      const answer = await http.ask('GET', `/v1/conversations/${path}/current`);
      expect(answer.json, path).toEqual({ conversation: key, current: 0 });
    }
    expect((await http.ask('POST', `${at('group:a%3Ab')}/next`)).json['conversation']).toBe('group:a%3Ab');
    expect((await http.ask('POST', `${at('group:a%253Ab')}/next`)).json).toMatchObject({ first: 1 });
  });
});

describe('problems', () => {
  it('requests that are wrong in some way', async () => {
    const next = `${at('group:wrong')}/next`;
    const wrong: [method: string, path: string, body: unknown, detail: RegExp][] = [
      ['POST', next, '{', /not JSON/],
      ['POST', next, '{"__proto__":{}}', /not JSON/],
      ['POST', next, 'null', /the body must be object/],
      ['POST', next, [], /the body must be object/],
      ['POST', next, { cuont: 1 }, /the body has the unknown key "cuont"; it may have count, messageId/],
      ['POST', next, { count: 0 }, /count in the body must be >= 1/],
      ['POST', next, { count: 1_001 }, /count in the body must be <= 1000/],
      ['POST', next, { count: '1' }, /count in the body must be integer/],
      ['POST', next, '{"count":1e400}', /count in the body/],
      ['POST', next, { messageId: '' }, /messageId in the body/],
      ['POST', next, { messageId: 'é'.repeat(200) }, /255 bytes/],
      [
        'POST',
        '/v1/next',
        { items: [{ conversation: 'group:a', x: 1 }] },
        /items\/0 in the body has the unknown key "x"/,
      ],
      ['POST', `${at('group:wrong')}/takes/settle`, { first: 1 }, /last/],
      ['POST', `${at('group:wrong')}/takes/settle`, { first: 2, last: 1 }, /last must be/],
      ['GET', `${at('group:wrong')}/gaps?from=0`, undefined, /from in the query must be >= 1/],
      ['GET', `${at('group:wrong')}/gaps?from=1e3`, undefined, /from in the query must be integer/],
      ['GET', `${at('group:wrong')}/gaps?from=1&from=2`, undefined, /from in the query must be integer/],
      ['GET', `${at('group:wrong')}/gaps?form=1`, undefined, /the query has the unknown key "form"/],
      ['GET', `${at('group:wrong')}/current?x=1`, undefined, /the query has the unknown key "x"/],
      ['GET', `${at('group:wrong')}/numbers/0`, undefined, /number in the path must be >= 1/],
      ['GET', `${at('group:wrong')}/numbers/one`, undefined, /number in the path must be integer/],
      ['GET', '/v1/conversations/group%3A%FF/current', undefined, /%25/],
    ];
    for (const [method, path, body, detail] of wrong)
      expectProblem(await http.ask(method, path, body), 400, 'invalid_argument', detail);
    for (const timeoutMs of ['0', '600001', 'soon', '-1'])
      expectProblem(
        await http.ask('POST', next, {}, { 'Tidemark-Timeout-Ms': timeoutMs }),
        400,
        'invalid_argument',
        /tidemark-timeout-ms in the headers/,
      );
    for (const key of [
      'group',
      'group:',
      'Group:a',
      `group:${'a'.repeat(300)}`,
      'group:a%zz',
      'group:\u0001',
    ])
      expectProblem(await http.ask('POST', `${at(key)}/next`), 400, 'invalid_conversation');
    expect((await http.ask('GET', `${at('group:wrong')}/current`)).json['current']).toBe(0);
  });

  it('bytes that are no UTF-8, other types of content, and too much', async () => {
    const next = `${at('group:bytes')}/next`;
    const post = (body: RequestInit['body'] & {}, type = 'application/json') =>
      fetch(http.url + next, { method: 'POST', body, headers: { 'Content-Type': type } });
    const bytes = Buffer.from('{"messageId":"a\xff"}', 'latin1');
    expect(await (await post(bytes)).json()).toMatchObject({ code: 'invalid_argument', status: 400 });
    expect((await post('{}', 'application/json; charset=utf-8')).status).toBe(200);
    expect((await post('', 'application/json')).status).toBe(200);
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'nonsense'])
      expect(await (await post('{}', type)).json()).toMatchObject({ code: 'invalid_argument', status: 415 });
    const large = await post(JSON.stringify({ messageId: 'a'.repeat(200_000) }));
    expect(large.headers.get('content-type')).toBe('application/problem+json');
    expect(await large.json()).toMatchObject({ code: 'invalid_argument', status: 413 });
    expect((await http.ask('GET', `${at('group:bytes')}/current`)).json['current']).toBe(2);
  });

  it('paths and methods that there are not', async () => {
    for (const path of ['/', '/v1', '/v1/conversations', `${at('group:a')}/nothing`])
      expectProblem(await http.ask('GET', path), 404, 'invalid_argument');
    const wrong = await http.ask('GET', `${at('group:a')}/next`);
    expectProblem(wrong, 405, 'invalid_argument', /POST/);
    expect(wrong.headers.get('allow')).toBe('POST');
    const other = await http.ask('DELETE', `${at('group:a')}/current`);
    expectProblem(other, 405, 'invalid_argument');
    expect(other.headers.get('allow')).toBe('GET, HEAD');
  });

  it('what a take says that is over has its code and status', async () => {
    const path = at('group:over');
    await http.ask('POST', `${path}/takes`);
    await http.ask('POST', `${path}/takes/abandon`, { first: 1, last: 1 });
    expectProblem(
      await http.ask('POST', `${path}/takes/settle`, { first: 1, last: 1 }),
      409,
      'lease_expired',
    );
  });
});
