/** Names of conversations, made before anything is measured, as an application has them. */

/** More are made with each call: as many objects would not fit into the memory of a client. */
const maxKept = 1_000_000;

export function named<Name>(count: number, make: (index: number) => Name): (index: number) => Name {
  if (count > maxKept) return make;
  const names = Array.from({ length: count }, (_, index) => make(index));
  return (index) => names[index]!;
}

/** The key of a plain counter. */
export function plainKey(index: number): string {
  return `incr:{group:g${index}}`;
}
