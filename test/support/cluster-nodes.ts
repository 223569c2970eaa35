/** What `CLUSTER NODES` says. */

export interface SlotRange {
  readonly first: number;
  readonly last: number;
}

export interface SeenNode {
  readonly id: string;
  readonly flags: readonly string[];
  /** Of whom it is a replica; undefined for a primary. */
  readonly primaryId: string | undefined;
  readonly configEpoch: number;
  readonly connected: boolean;
  /** Those that it serves, without those that are being moved to it. */
  readonly slots: readonly SlotRange[];
}

export function parseNodes(text: string): SeenNode[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id, , flags, primaryId, , , configEpoch, link, ...slots] = line.trim().split(' ');
      return {
        id: id!,
        flags: flags!.split(','),
        primaryId: primaryId === '-' ? undefined : primaryId,
        configEpoch: Number(configEpoch),
        connected: link === 'connected',
        // Slots on the move are in brackets.
        slots: slots.filter((range) => !range.startsWith('[')).map(parseRange),
      };
    });
}

export function serves(node: SeenNode, slot: number): boolean {
  return node.flags.includes('master') && node.slots.some(({ first, last }) => first <= slot && slot <= last);
}

function parseRange(range: string): SlotRange {
  const [first, last] = range.split('-').map(Number);
  return { first: first!, last: last ?? first! };
}
