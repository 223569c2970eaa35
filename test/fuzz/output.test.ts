import { Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Output, oneLine, withoutCredentials } from '../../src/cli/output.js';
import { TidemarkError } from '../../src/errors.js';
import { seed } from '../support/runs.js';
import { anyText, fuzzed, secret } from './hostile.js';

const passwordPart = fc.oneof(
  fc.constantFrom('', ':', '@', '/', '?', '#', '%', '://', 'a', '.', '+', 'user:password@', 'redis://'),
  fc.string({ unit: 'grapheme', maxLength: 5 }).map((text) => text.replaceAll(/[\s'"]/g, '')),
);
const url = fc
  .tuple(
    fc.constantFrom('redis', 'rediss', 'mysql', 'REDIS+sentinel', 'unix', 'http'),
    fc.constantFrom('', 'root', 'user', 'a%20b'),
    passwordPart,
    passwordPart,
    fc.constantFrom('h', 'h:6379/0', '[::1]:1', 'a,b/name'),
  )
  .map(([scheme, user, one, other, host]) => `${scheme}://${user}:${one}${secret}${other}@${host}`);

describe(`what the command prints, hostile, seed ${seed}`, () => {
  it('no password of a URL is printed, wherever it stands', () => {
    const around = fc.constantFrom('', ' ', "'", '"', ' (', '=', 'at ', '--redis=', 'x://a ', "don't ");
    fc.assert(
      fc.property(
        around,
        url,
        fc.constantFrom('', ' ', "'", '"', ')', ', and', '\n'),
        anyText,
        (a, of, b, text) => {
          expect(withoutCredentials(`${a}${of}${b}`)).not.toContain(secret);
          expect(withoutCredentials(`${text} ${of} ${text}`)).not.toContain(secret);
        },
      ),
      fuzzed(),
    );
  });

  it('a password with spaces and quotation marks in it is not printed where the URL is quoted', () => {
    for (const password of [`a' ${secret}`, `${secret} "b`, `'${secret}'`, `" ${secret}'`]) {
      for (const quotes of ["'", '"']) {
        const message = `unknown command ${quotes}redis://u:${password}@h${quotes}; see tidemark --help`;
        expect(withoutCredentials(message)).not.toContain(secret);
        const option = `unknown option ${quotes}--redsi=redis://u:${password}@h${quotes}`;
        expect(withoutCredentials(option)).not.toContain(secret);
      }
    }
  });

  it('text without a login is printed as it is', () => {
    const text = fc.oneof(
      anyText,
      fc
        .array(fc.constantFrom('redis://h', ' ', '@', "'", 'user:password@', 'mysql://u@h', ':', 'x'), {
          maxLength: 8,
        })
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (given) => {
        const printed = withoutCredentials(given);
        // Only a login can be missing: from behind a scheme up to an @.
        if (!/:\/\/.*:.*@/s.test(given)) expect(printed).toBe(given);
        expect(withoutCredentials(printed).length).toBeLessThanOrEqual(printed.length);
      }),
      fuzzed(),
    );
  });

  it('takes no longer than the text is long', () => {
    const words = ['a', 'a://', ':', '://', '@', 'a:@', "'a://", ' ', '\n', ' \n', 'redis://user:password@'];
    const parts = [...words, 'a:// ', "'a:// ", 'a://b:c@d ', "'a://b@ ", '"a://b:@'];
    for (const part of parts) {
      const text = part.repeat(1_000_000 / part.length);
      const startedAtMs = performance.now();
      withoutCredentials(text);
      withoutCredentials(`'redis://${text}`);
      oneLine(text);
      oneLine(`x${text}x`);
      expect(performance.now() - startedAtMs, JSON.stringify(part)).toBeLessThan(2_000);
    }
  });

  it('an error of any text is one line that no terminal acts on, and with --json one JSON object', () => {
    const stderr = new Sink();
    const output = new Output(new Sink(), stderr);
    const message = fc.oneof(
      anyText,
      fc.tuple(anyText, url, anyText).map((parts) => parts.join(' ')),
    );
    fc.assert(
      fc.property(message, anyText, fc.boolean(), (text, name, json) => {
        stderr.text = '';
        output.json = json;
        output.error(new TidemarkError('ledger_full', text, { conversation: name }), { line: 5 });
        expect(stderr.text.endsWith('\n')).toBe(true);
        expect(stderr.text.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Bidi_Control}\u2028\u2029\ufeff]/u);
        if (!json) return;
        const { error } = JSON.parse(stderr.text) as { error: Record<string, unknown> };
        expect(error).toMatchObject({ code: 'ledger_full', exitStatus: 3, line: 5 });
        expect(error['message']).toBe(withoutCredentials(oneLine(`ledger_full: ${text}`)));
      }),
      fuzzed(),
    );
  });
});

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
