import type { DoorContext, Listen, OpenDoor } from '../door.js';

export function openRespDoor(_context: DoorContext, _listen: Listen): Promise<OpenDoor> {
  throw new Error('not written yet');
}
