export { type ClientOptions, connect, TidemarkClient } from './client.js';
export type { ClientTls } from './transport.js';
