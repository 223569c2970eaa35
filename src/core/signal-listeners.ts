/** Many calls may share one signal, such as all those of a connection: it gets one listener, and each call costs the same. */
export class SignalListeners {
  readonly #bySignal = new WeakMap<AbortSignal, Set<() => void>>();

  /** Calls back once when the signal aborts. The function that is returned takes that back. */
  add(signal: AbortSignal, onAbort: () => void): () => void {
    let listeners = this.#bySignal.get(signal);
    if (listeners === undefined) {
      listeners = this.#listen(signal);
      this.#bySignal.set(signal, listeners);
    }
    const all = listeners;
    all.add(onAbort);
    return () => all.delete(onAbort);
  }

  #listen(signal: AbortSignal): Set<() => void> {
    const listeners = new Set<() => void>();
    signal.addEventListener(
      'abort',
      () => {
        for (const onAbort of listeners) onAbort();
        listeners.clear();
      },
      { once: true },
    );
    return listeners;
  }
}
