/** Which conversation a key of the Redis protocol names. */

import { type Conversation, conversation, parseConversation } from '../../core/conversation.js';
import { RecentMap } from '../../core/recent-map.js';
import { TidemarkError } from '../../errors.js';

/** Most keys that are remembered. */
const maxRemembered = 200_000;

/**
 * `seq:private:a:b` and `seq:group:g` are the conversations of that name; any other key is one of the type `key`. So no two
 * keys share a conversation, except for the two orders of a private chat, which is one.
 */
export class ConversationKeys {
  readonly #prefix: string;
  readonly #known = new RecentMap<Conversation>(maxRemembered);

  /** @param prefix - first part of the keys, without the colon */
  constructor(prefix: string) {
    this.#prefix = `${prefix}:`;
  }

  /** @throws TidemarkError `invalid_conversation` for an empty key, a control character, or more than 255 bytes */
  conversationOf(key: string): Conversation {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const made = this.#make(key);
    this.#known.set(key, made);
    return made;
  }

  #make(key: string): Conversation {
    const rest = key.startsWith(this.#prefix) ? key.slice(this.#prefix.length) : '';
    return privateOf(rest) ?? groupOf(rest) ?? conversation('key', key);
  }
}

function privateOf(text: string): Conversation | undefined {
  const [type, one, other] = text.split(':', 4);
  if (type !== 'private') return undefined;
  const found = parsed(text);
  // The two orders are one chat; another way to write an id is another key.
  return found?.key === text || found?.key === `private:${other}:${one}` ? found : undefined;
}

function groupOf(text: string): Conversation | undefined {
  const found = text.startsWith('group:') ? parsed(text) : undefined;
  // Such as `seq:group:a:b`: a name of its own, because `seq:group:a%3Ab` is the group.
  return found?.key === text ? found : undefined;
}

function parsed(text: string): Conversation | undefined {
  try {
    return parseConversation(text);
  } catch (error) {
    if (error instanceof TidemarkError) return undefined;
    throw error;
  }
}
