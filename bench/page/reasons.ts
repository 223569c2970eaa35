/** Why an aim is missed, by its key. Shown only where it is: a new campaign may need new words. */

export const reasons: Readonly<Record<string, string>> = {
  'uniform perSecond incr':
    'the client is what limits it, as it limits node-redis: with 100,000 conversations hardly two of the calls under way share one, so each pays for a state, a key and a promise of its own. A word also costs Redis more in a script than in a command, so Redis on its one core would be next.',
  'uniform perSecond ioredis': 'see the aim above.',
  'uniform perSecond redis-benchmark':
    'redis-benchmark is written in C and keeps nothing of its calls. And a word in a script costs Redis so much more than a command does that Redis itself would not reach it.',
  'uniform clientCpuUsPerNumber incr':
    'a call that is alone with its conversation costs a state and a promise, as in node-redis; only what is sent to Redis is shared.',
  'zipf perSecond incr':
    'less than half of the calls meet another call of their conversation; the others cost what they cost in `uniform`.',
  'hot perSecond incr':
    'each number is given to a caller of its own, through a promise. The callers alone, without any peer, do not reach ten times what INCR does here: see *harness alone* in `uniform`.',
  'hot perSecond redis-benchmark':
    'each number is given to a caller of its own in one process of Node; redis-benchmark only counts replies.',
  'uniform p99Us incr':
    'a call waits for the batch before its own. Collections of garbage and commits of the ledger, which share the two cores, make that longer now and then.',
  'light p50Us incr':
    'a script call costs Redis several times what an INCR does, and with few calls under way few numbers share one.',
  'single p50Us incr':
    'nothing can be shared. Every number is a script call, which asks Redis for its replication id and keeps its reply so that a lost one can be found again.',
  'uniform redisCpuUsPerNumber incr':
    'a step inside a script costs more than a command, and every script call asks for the replication id and keeps its reply.',
  'hot redisCpuUsPerNumber incr':
    'at this rate a script call carries a few hundred numbers at most: those under way, shared among the script calls under way.',
  'cluster redisCpuUsPerNumber incr-cluster':
    'each primary gets a third of the calls under way, so fewer words share what a script call costs by itself.',
  'cluster redisCpuUsPerNumber incr':
    'this is one server without a cluster. There INCR costs Redis about two thirds of what it costs on the three primaries: nobody looks for the slot of each key, and three times as many commands go in each pipeline. The row above compares on the same servers.',
  'hot ledgerRowsPer1000': 'blocks are 4,500 numbers at most, and grow to that by doubling.',
  'zipf ledgerRowsPer1000': 'most conversations are used so seldom that their blocks are small.',
  'private-chats ledgerRowsPer1000': 'the first block has 64 numbers.',
  'uniform redisBytes incr':
    'Redis keeps integers below 10,000 once for all keys, so that a plain counter of a small chat is a key without a value of its own. A counter word is always larger than that.',
  'cold-start perSecond':
    'each conversation needs a durable row of the ledger before its first number, and its gap is recorded with it; the ledger shares the two cores with Redis and the client.',
  'cold-start first1000Ms': 'the client finds out that Redis is another one, and then reserves in batches.',
  'embedded perSecond':
    'each number costs look-ups in tables that are in no cache of the processor, and the ledger commits durably in the same process.',
  'embedded-hot perSecond':
    'a block of 4,500 numbers lasts a few milliseconds, and its successor must be durable first.',
  'doors perSecond redis-deep':
    'the server is one process of Node, and each number costs it two look-ups in tables that are in no cache of the processor, beside the protocol and its refills. Reading and writing are not what is in the way: a server in Node that counts commands and answers all alike reached 2 million a second on this machine.',
  'doors perSecond redis-single':
    'most of it is the cost of a read and a write of the socket for each number, in Node: a server that only counts commands reached 0.9 of redis-server on this machine.',
  'uniform clientBytes': 'what a process remembers of a conversation is a key of a map and a number.',
};
