/** Values from outside, as messages show them: short, on one line, and harmless to a terminal. */

/** Most characters that are shown of a text, unless its reader needs more of it. */
const maxQuotedLength = 60;
/** Most characters that are shown of a path. */
const maxPathLength = 400;
/** What a terminal or a log acts on: controls, ends of lines, changes of direction. JSON escapes only some of them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this pattern finds.
const unprintable = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Text between quotation marks, shortened, and whatever a terminal acts on escaped: it may be a stranger's. */
export function quote(text: string, maxLength = maxQuotedLength): string {
  return printable(JSON.stringify(text.length > maxLength ? `${text.slice(0, maxLength)}…` : text));
}

/** The same text with everything escaped that a terminal acts on, as JSON escapes it. */
export function printable(text: string): string {
  return text.replace(
    unprintable,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** User and password of a URL. Where it was taken for a path, one of its slashes may be gone. */
const login = /(:\/{1,2})[^/\s:@]*:[^\s]*@/;

/** A path as it is, as long as it is harmless: a URL that was given for one shows no password. */
export function pathText(whole: string): string {
  const path = whole.replace(login, '$1…@');
  const text = quote(path, maxPathLength).slice(1, -1);
  // Where most of it had to be escaped it is no path that anybody would recognise.
  return text.length > 2 * maxPathLength ? quote(path).slice(1, -1) : text;
}

/** Any value: what it is, and no more than its kind when it may be long, or have code of its own to turn it into text. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' || typeof value === 'function') return `a value of type ${typeof value}`;
  if (typeof value === 'symbol') return 'a symbol';
  if (typeof value === 'bigint') return 'a bigint';
  return `${value as number | boolean | undefined}`;
}
