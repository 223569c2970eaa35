import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../support/servers.js';
import { HistoryWriter } from '../history-writer.js';
import { HistoryFile, MergedHistory } from './history-file.js';
import { judgeFolder } from './judge-folder.js';
import { judged, withHistory } from './written-history.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

let files = 0;
function fileOf(text: string): HistoryFile {
  files += 1;
  const file = path.join(folder.path, `${files}.log`);
  writeFileSync(file, text);
  return new HistoryFile(file);
}

function linesOf(text: string): string[] {
  const file = fileOf(text);
  const lines: string[] = [];
  while (file.next()) lines.push(file.line);
  file.close();
  return lines;
}

describe('a file', () => {
  it('gives the kind, the time and the fields of each line', () => {
    const file = fileOf(
      'S 7 group:g1 3 1234567890123456 m1 t\nE 7 999999999998 999999999999 9 r o17\nL g m\n',
    );
    expect(file.next()).toBe(true);
    expect([file.kind, file.at, file.count]).toEqual(['S', 1_234_567_890_123_456, 6]);
    expect([file.number(0), file.text(1), file.word(1), file.number(2)]).toEqual([
      7,
      'group:g1',
      'group:g1',
      3,
    ]);
    expect([file.text(4), file.text(5)]).toEqual(['m1', 't']);
    expect(file.next()).toBe(true);
    expect([file.number(1), file.number(2), file.at]).toEqual([999_999_999_998, 999_999_999_999, 9]);
    expect([file.text(4), file.text(5), file.count]).toEqual(['r', 'o17', 6]);
    expect(file.next()).toBe(true);
    // What has no time happened at that of the line before.
    expect([file.kind, file.at, file.count]).toEqual(['L', 9, 2]);
    expect(file.next()).toBe(false);
    file.close();
  });

  it('that is empty has no line, and neither has one that was cut off in its first', () => {
    for (const text of ['', 'S 0 g 1 1', 'S']) expect(linesOf(text), text).toEqual([]);
  });

  it('that was cut off in its last line has those before it', () => {
    const lines = ['S 0 g 1 10', 'E 0 123 123 1234'];
    const text = lines.map((line) => `${line}\n`).join('');
    for (let length = 12; length < text.length; length += 1)
      expect(linesOf(text.slice(0, length)), text.slice(0, length)).toEqual(lines.slice(0, 1));
    expect(linesOf(text)).toEqual(lines);
  });

  it('of several chunks gives the same lines, wherever a chunk ends', () => {
    for (let shift = 0; shift < 40; shift += 1) {
      // Lines of other lengths first, so that the ends of chunks fall on every place of a line.
      const lines = [`V ${'v'.repeat(shift + 1)}`];
      for (let call = 0; call < 4_500; call += 1)
        lines.push(
          `S ${call} group:g${call % 7} 1 ${10 * call}`,
          `E ${call} ${call + 1} ${call + 1} ${10 * call + 5}`,
        );
      const text = lines.map((line) => `${line}\n`).join('');
      expect(text.length).toBeGreaterThan(3 * 65_536);
      expect(linesOf(text)).toEqual(lines);
    }
  });

  it('the same text comes again, and others are not taken for it', () => {
    const names = Array.from({ length: 40_000 }, (_, index) => `group:${index}`);
    const file = fileOf([...names, ...names].map((name) => `C ${name} 1 1\n`).join(''));
    const read: string[] = [];
    while (file.next()) read.push(file.word(0));
    file.close();
    expect(read).toEqual([...names, ...names]);
  });

  it('gives what a client wrote', () => {
    const place = path.join(folder.path, 'written.log');
    const writer = new HistoryWriter(place);
    writer.start(0, 'group:g', 1);
    writer.start(1, 'group:g', 1, 'm1');
    writer.start(2, 'group:g', 2, undefined, true);
    writer.start(3, 'group:g', 1, 'm2', true);
    writer.numbers(0, 1, 1);
    writer.numbers(1, 2, 2, true);
    writer.numbers(2, 3, 4, false, 99);
    writer.numbers(3, 5, 5, true, 99);
    writer.stored(2);
    writer.settled(2, 'done');
    writer.abandoning(3);
    writer.start(4, 'group:g', 1);
    writer.failed(4, 'counter_unavailable');
    writer.completeUpTo('group:g', 5);
    writer.receiptLost('group:g', 'm1');
    writer.event('takeover');
    writer.end();
    const file = new HistoryFile(place);
    let kinds = '';
    while (file.next()) kinds += file.kind;
    file.close();
    expect(kinds).toBe('SSSSEEEEPDASFCLVX');
  });
});

describe('several files', () => {
  function merged(...texts: string[]): string[] {
    const sources = texts.map(fileOf);
    const history = new MergedHistory(sources);
    const lines: string[] = [];
    let ended = 0;
    while (history.head !== undefined) {
      lines.push(history.head.line);
      if (history.advance()) ended += 1;
    }
    for (const source of sources) source.close();
    expect(ended).toBe(texts.filter((text) => text.includes('\n')).length);
    return lines;
  }

  it('are one in order of time', () => {
    const count = 37;
    const texts = Array.from({ length: count }, () => '');
    const all: string[] = [];
    for (let at = 0; at < 3_000; at += 1) {
      const line = `P ${at} ${at}`;
      all.push(line);
      texts[(at * at + (at >> 3)) % count] += `${line}\n`;
    }
    expect(merged(...texts, '', 'P 9')).toEqual(all);
  });

  it('at the same moment calls start first, and readers are told last', () => {
    const texts = ['C g 1 5\n', 'E 0 1 1 5\n', 'S 1 g 1 5\n', 'P 2 5\n'];
    for (const order of [texts, [...texts].reverse()]) {
      const kinds = merged(...order).map((line) => line[0]);
      expect(kinds[0]).toBe('S');
      expect(kinds.at(-1)).toBe('C');
    }
  });

  it('lines of one file keep their order, whatever their times', () => {
    expect(merged('E 0 1 1 5\nS 1 g 1 5\nL g m\nP 1 5\n')).toEqual([
      'E 0 1 1 5',
      'S 1 g 1 5',
      'L g m',
      'P 1 5',
    ]);
  });
});

describe('what is no line of a history is an error that names file and line', () => {
  const good = 'S 0 g 2 1';

  it.each([
    ['Z 0 1', 'this is no line of a history'],
    ['', 'this is no line of a history'],
    ['SS 1 g 1 2', 'this is no line of a history'],
    ['\u00e4', 'this is no line of a history'],
    ['S 1 g 1', 'this is no line of a history'],
    ['S 1 g 1 2 m t more', 'this is no line of a history'],
    ['E 0', 'this is no line of a history'],
    ['S 1 g 1 2x', 'field 4 is no number'],
    ['S 1 g  2', 'field 3 is no number'],
    ['S 1 g -1 2', 'field 3 is no number'],
    ['E 0 one 2 2', 'field 2 is no number'],
    ['S 0 g 1 2', 'a call of this number is open already'],
    ['E 1 1 2 2', 'the history does not say when this call started'],
    ['P 1 2', 'the history does not say when this call started'],
    ['E 0 1 1 2', 'the call asked for 2 numbers'],
    ['E 0 2 1 2', 'the call asked for 2 numbers'],
    ['E 0 0 1 2', 'the call asked for 2 numbers'],
    ['E 0 1 2 2 x9', 'field 5 says nothing'],
    ['E 0 1 2 2 o', 'field 5 says nothing'],
    ['G g 1 2 word_lost', 'this is no line of a client'],
  ])('%j: %s', (line, what) => {
    const history = { clients: [[good]] };
    expect(judged(history).isClean).toBe(true);
    withHistory(history, (place) => {
      const file = path.join(place, 'client-0.log');
      writeFileSync(file, `${good}\n${line}\nX 3\n`);
      const shown = JSON.stringify(Buffer.from(line).toString('latin1'));
      expect(() => judgeFolder(place)).toThrow(new Error(`${file}:2: ${what}: ${shown}`));
    });
  });

  it('a tracked take that gets numbers a second time', () => {
    const clients = ['S 0 g 1 1 - t\nE 0 1 1 2 o9\nE 0 1 1 3'];
    expect(() => judged({ clients })).toThrow('client-0.log:3: the call has its numbers already');
  });

  it('a line without end', () => {
    expect(() => linesOf(`V v\nV ${'v'.repeat(200_000)}\n`)).toThrow(
      /\d+\.log:2: a line is longer than 65536 bytes: "V vvv/,
    );
  });

  it('in the file of the gaps', () => {
    for (const [gaps, what] of [
      ['G g 1 2 word_lost\nG g 1', 'gaps.log:2: this is no line of a history'],
      ['C g 1 2', 'gaps.log:1: this is no gap'],
      ['G g one 2 word_lost', 'gaps.log:1: field 2 is no number'],
    ] as const)
      expect(() => judged({ clients: [good], gaps })).toThrow(what);
  });

  it('a folder without histories', () => {
    expect(() => judged({ clients: [] })).toThrow('has no history of a client');
    expect(() => judged({ clients: [''] })).not.toThrow();
  });
});
