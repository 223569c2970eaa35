/**
 * `tidemark/reader`: what a chat client embeds to show messages in order. It runs in browsers and in Node, depends on
 * nothing, and sets no timer.
 */

export { Reader } from './reader.js';
export type { ReaderGap, ReaderOptions, ReaderRange } from './reader-options.js';
export type { ReaderAdd, ReaderFetch, ReaderMessage, ReaderSkip, ReaderStep } from './reader-step.js';
