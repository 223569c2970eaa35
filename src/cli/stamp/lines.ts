/** A stream of bytes, cut into lines. */

/** One line, without its end. */
export interface Line {
  /** 1 for the first line of the stream. */
  readonly number: number;
  readonly bytes: Buffer;
  /** True when the line was longer than allowed; `bytes` is empty then. */
  readonly tooLong: boolean;
}

const newline = 0x0a;

/**
 * The lines of a stream, as many at once as each piece of the stream completes. A last line needs no newline.
 *
 * @param maxLineBytes - a longer line is passed over without being held in memory
 */
export async function* linesOf(source: AsyncIterable<Buffer>, maxLineBytes: number): AsyncGenerator<Line[]> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let number = 0;
  const finish = (end: Buffer): Line => {
    number += 1;
    const length = restBytes + end.length;
    const tooLong = length > maxLineBytes;
    const bytes = tooLong ? Buffer.alloc(0) : rest.length === 0 ? end : Buffer.concat([...rest, end], length);
    rest = [];
    restBytes = 0;
    return { number, bytes, tooLong };
  };
  for await (const piece of source) {
    const lines: Line[] = [];
    let from = 0;
    for (let end = piece.indexOf(newline); end >= 0; end = piece.indexOf(newline, from)) {
      lines.push(finish(piece.subarray(from, end)));
      from = end + 1;
    }
    if (from < piece.length) {
      restBytes += piece.length - from;
      // What is too long already is only counted.
      if (restBytes > maxLineBytes) rest = [];
      else rest.push(piece.subarray(from));
    }
    if (lines.length > 0) yield lines;
  }
  if (restBytes > 0) yield [finish(Buffer.alloc(0))];
}
