/** URLs with several hosts, for Sentinel and clusters. A message never repeats a URL, which may hold a password. */

import type { RedisClientOptions } from 'redis';
import { type Address, invalid, isDecodable } from './node-settings.js';
import type { ClusterOptions, SentinelOptions } from './targets.js';

const several = /^(rediss?)\+(sentinel|cluster):\/\/(?:([^/?#]*)@)?([^/?#@]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const defaultPorts = { sentinel: 26_379, cluster: 6_379 };
const advice = {
  sentinel: 'write redis+sentinel://user:password@host1:26379,host2:26379/name-of-the-primary?db=0',
  cluster: 'write redis+cluster://user:password@host1:6379,host2:6379',
};

/** What a URL with several hosts says; nothing for one of a single server. @throws TidemarkError `invalid_argument` */
export function readUrl(url: string): { sentinel?: SentinelOptions; cluster?: ClusterOptions } {
  const kind = typeof url === 'string' ? /^rediss?\+(sentinel|cluster):/.exec(url)?.[1] : undefined;
  if (kind !== 'sentinel' && kind !== 'cluster') return {};
  const parts = several.exec(url);
  if (parts === null) throw invalid(`the Redis URL cannot be read; ${advice[kind]}`);
  const [, scheme, , login = '', hosts, path = '', query = ''] = parts;
  const client = clientOf(kind, scheme === 'rediss', login, query);
  const nodes = hosts!.split(',').map((host) => addressOf(kind, host));
  if (kind === 'cluster') {
    if (path !== '' && path !== '0')
      throw invalid('a cluster has database 0 only; leave it out of the Redis URL');
    return { cluster: { nodes, client } };
  }
  // Behind a password with a / that is not escaped: the rest of it would be the name, and names are shown.
  if (/[@/]/.test(path))
    throw invalid(
      `the name behind the hosts of the Redis URL has a / or @; write / as %2F, in a password, too`,
    );
  if (path === '' || !isDecodable(path))
    throw invalid(`the Redis URL does not say which primary the sentinels shall name; ${advice.sentinel}`);
  // The sentinels of a URL speak TLS where the servers do.
  return {
    sentinel: { name: decodeURIComponent(path), nodes, client, ...(scheme === 'rediss' && { tls: true }) },
  };
}

function clientOf(
  kind: 'sentinel' | 'cluster',
  tls: boolean,
  login: string,
  query: string,
): RedisClientOptions {
  const database = query === '' ? '0' : /^db=(\d{1,9})$/.exec(query)?.[1];
  if (database === undefined)
    throw invalid(`the Redis URL may have ?db=, a number, and nothing else; ${advice[kind]}`);
  if (kind === 'cluster' && Number(database) !== 0)
    throw invalid('a cluster has database 0 only; leave it out of the Redis URL');
  const colon = login.indexOf(':');
  const [username, password] = colon < 0 ? [login, ''] : [login.slice(0, colon), login.slice(colon + 1)];
  if (!isDecodable(username) || !isDecodable(password))
    throw invalid('the user or password in the Redis URL has a bare %; write it as %25');
  return {
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(Number(database) !== 0 && { database: Number(database) }),
    ...(tls && { socket: { tls: true } }),
  };
}

function addressOf(kind: 'sentinel' | 'cluster', host: string): Address {
  // A scheme with a port of its own would make that port disappear.
  const text = `redis://${host}`;
  if (host === '' || !URL.canParse(text))
    throw invalid(`a host of the Redis URL cannot be read; ${advice[kind]}`);
  const { hostname, port } = new URL(text);
  if (hostname === '') throw invalid(`a host of the Redis URL cannot be read; ${advice[kind]}`);
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? defaultPorts[kind] : Number(port),
  };
}
