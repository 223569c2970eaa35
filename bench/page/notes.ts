/** What the page says about each workload, beside its figures. No figure stands here: those are measured anew each time. */

import type { WorkloadName } from '../workloads.js';

export const notes: Readonly<Record<WorkloadName, string>> = {
  uniform: `Conversations that are picked at random hardly ever meet: of 1,000 calls under way among 100,000 conversations, a hundredth
shares its conversation with another. What Tidemark gains here it gains because many conversations share one script call. The
client is what limits it. Redis takes more CPU for a number than INCR does, because a step inside a script costs more than a
command. Decisions [9](decisions/0009-state-only-while-in-use.md) and [15](decisions/0015-nothing-is-deleted-from-a-hot-map.md) say how state
was kept small.

Redis memory: an integer below 10,000 takes no memory of its own in Redis, because all keys share it. So the plain counters here
are keys without a value; a counter of more than 9,999 messages takes 16 bytes more. A counter word never is as small as that.

The two that ask MySQL have at most 100 calls under way and 10,000 conversations here: what is more only waits. \`block-sequence\`
takes 1,000 numbers at a time and hands them out from the memory of its process, so most of its calls ask nobody. Its numbers
rise within one process only, and a process that ends leaves a hole. The package \`block-sequence\` itself cannot be installed: the
registry does not have it any more, nor its driver for Redis. Its driver for MySQL, \`block-sequence-mysql\` 1.0.0, allocates here, and a
few lines of the benchmark hand out what it allocated.

*harness alone* answers from memory, all calls of a turn of the event loop at once: what callers, measuring and one promise cost.`,
  zipf: `Busy conversations share calls with themselves, the others with each other.`,
  hot: `Calls that wait for the same conversation become one step of its counter word, for a part of the CPU of Redis and of the client.
What limits Tidemark now and then is the ledger: at this rate a block of 4,500 numbers lasts some milliseconds, and a refill
that takes longer lets calls wait (\`refill_late\`).`,
  light: `With few calls under way there is little to share: a batch has a few conversations. Refills run beside the calls and are seen
in p99, because each commit of the ledger shares the cores with everything else, though refills are gathered for 10 ms.`,
  single: `Nothing can be shared. Every script call asks Redis for its replication id, and keeps its reply so that a lost one can be
found again.`,
  batch: `Each call takes 100 numbers, with \`nextMany\` and with INCRBY. Latency is that of a call. Blocks are used
up a hundred times as fast as in \`uniform\`, so many calls wait for the ledger until blocks have grown.`,
  'message-ids': `Every number costs Redis a second key that is made, kept and expired. Receipts expire after 10 s here, so that as many
expire as are made, as in steady use. Calls without a message id in the same process are not slower for it.`,
  tracked: `A call here takes a number and settles it: two trips to Redis, one behind the other. Conversations that are not tracked pay
nothing: no key, no row, no argument.`,
  new: `A new conversation needs a durable ledger row before its first number; INCR needs nothing. Each round uses conversations that
were never used before, once each.`,
  cluster: `Three primaries without replicas. Conversations that are used equally often hardly ever share a slot; one script call serves all
those of a primary ([decision 17](decisions/0017-one-take-for-all-slots-of-a-primary.md)). With two cores for client, three primaries
and MariaDB nothing can scale here: what counts is CPU for each number. INCR on one server is there to see what a cluster costs by
itself: smaller pipelines, and a look for the slot with each key.`,
  embedded: `Neither server nor network. The ledger is durable: LMDB, synchronised before a block is used. A call that need not wait
is answered before it returns ([decision 16](decisions/0016-immediate-takes.md)).`,
  'embedded-hot': `The same, with one conversation.`,
  'cold-start': `Redis is killed and comes back empty, under a new replication id, after all conversations were used. Then each gets one call.
For each the ledger's row is raised and the gap recorded, durably, before its number. The clock starts when Redis answers again,
and includes that the client connects again and finds out.`,
  concurrency: `The same clients and servers, with more and more calls under way. Bars in the plots are the smallest and the largest round.`,
  words: `How cost grows with the number of conversations. From 1,000,000 on counters are written in bulk; the calls are measured as before.
Redis doubles its table of keys as it fills, so bytes for each conversation are higher just after a doubling. More conversations
mean more misses in the caches of the processor, for plain counters as well. Of 1,000 conversations the bytes
are rough: buffers of connections count, too.`,
  doors: `\`tidemark serve\`, embedded, in a process of its own. \`redis-benchmark INCR\` sends 100,000 keys at random with 50 connections, to it and
to redis-server. gRPC and HTTP are asked by clients in Node on the same cores: their figures are those of both sides. Each
number that comes through the Redis protocol is a call of its own in the generator.`,
  'private-chats': `Computed, not measured: the reservation policy with its default settings, driven by a clock of its own for a year. Messages
come at random times. A block is refilled when less than half of the smallest one is left.`,
};
